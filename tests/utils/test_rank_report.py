"""Real output of three MPI implementations, read for the rank that ended badly."""

from __future__ import annotations

import pytest

from gridrl.utils.rank_report import reported_failure
from gridrl.utils.ranks import RankFailure

HYDRA = """
===================================================================================
=   BAD TERMINATION OF ONE OF YOUR APPLICATION PROCESSES
=   PID 5615 RUNNING AT vm
=   EXIT CODE: 9
=   CLEANING UP REMAINING PROCESSES
=   YOU CAN IGNORE THE BELOW CLEANUP MESSAGES
===================================================================================
YOUR APPLICATION TERMINATED WITH THE EXIT STRING: Killed (signal 9)
This typically refers to a problem with your application.
"""
HYDRA_EXIT = """
=   BAD TERMINATION OF ONE OF YOUR APPLICATION PROCESSES
=   PID 5615 RUNNING AT vm
=   EXIT CODE: 9
=   CLEANING UP REMAINING PROCESSES
"""
MPICH_ABORT = (
    "hello\nAbort(7) on node 1 (rank 1 in comm 0): application called MPI_Abort(MPI_COMM_WORLD, 7) - process 1\n"
)
MPICH_ERROR = """Abort(1007228430) on node 2 (rank 2 in comm 0): Fatal error in internal_Allreduce: Message truncated
internal_Allreduce(124): MPI_Allreduce(sendbuf=MPI_IN_PLACE, recvbuf=0x5581) failed
"""
MPI4PY_ABORT = """Traceback (most recent call last):
  File "f.py", line 8, in <module>
    raise ValueError("x")
ValueError: x
Abort(1) on node 1 (rank 1 in comm 0): application called MPI_Abort(MPI_COMM_WORLD, 1) - process 1
"""
OPEN_MPI_EXIT = """--------------------------------------------------------------------------
prterun detected that one or more processes exited with non-zero status,
thus causing the job to be terminated. The first process to do so was:

   Process name: [prterun-vm-12887@1,1]
   Exit code:    4
--------------------------------------------------------------------------
"""
OPEN_MPI_4_EXIT = "  Process name: [[57341,1],2]\n  Exit code:    4\n"
OPEN_MPI_SIGNAL = "prterun noticed that process rank 1 with PID 12904 on node vm exited on\nsignal 9 (Killed).\n"
OPEN_MPI_ABORT = """MPI_ABORT was invoked on rank 1 in communicator MPI_COMM_WORLD
  Proc: [[64060,1],1]
  Errorcode: 7

NOTE: invoking MPI_ABORT causes Open MPI to kill all MPI processes.
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (HYDRA, RankFailure(2, "killed by signal 9 (SIGKILL)", -9)),
        (HYDRA_EXIT, RankFailure(2, "ended with exit code 9", 9)),
        (MPICH_ABORT, RankFailure(1, "aborted: application called MPI_Abort(MPI_COMM_WORLD, 7) - process 1", 7)),
        (MPICH_ERROR, RankFailure(2, "aborted: Fatal error in internal_Allreduce: Message truncated", 1)),
        (MPI4PY_ABORT, RankFailure(1, "aborted: ValueError: x", 1)),
        (OPEN_MPI_EXIT, RankFailure(1, "ended with exit code 4", 4)),
        (OPEN_MPI_4_EXIT, RankFailure(2, "ended with exit code 4", 4)),
        (OPEN_MPI_SIGNAL, RankFailure(1, "killed by signal 9 (SIGKILL)", -9)),
        (OPEN_MPI_ABORT, RankFailure(1, "aborted: MPI_ABORT was invoked", 7)),
    ],
)
def test_the_rank_that_ended_badly_is_read(text: str, expected: RankFailure) -> None:
    assert reported_failure([text], {5614: 0, 5615: 2}) == expected


def test_a_process_that_is_no_rank_names_none() -> None:
    assert reported_failure([HYDRA], {1: 0}) is None


def test_an_abort_in_a_ranks_log_goes_before_the_report_of_a_process_that_mpiexec_ended() -> None:
    found = reported_failure([HYDRA, "", MPICH_ABORT], {5615: 0})
    assert found is not None
    assert (found.rank, found.exit_code) == (1, 7)


def test_output_without_a_failure_names_none() -> None:
    assert reported_failure(["", "all is well\nExit code: 3\n"], {}) is None
