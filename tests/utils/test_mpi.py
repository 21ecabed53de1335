"""What ranks tell each other: with one rank everything is the identity, with two the numbers are worked by hand."""

from __future__ import annotations

import math
import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from gridrl.errors import BadValue, MPIError
from gridrl.utils import mpi
from gridrl.utils.mpi_environment import in_mpi, rank_in_environment, without_mpi

Answers = Callable[[str, int], list[Any]]


def test_one_rank_is_no_mpi() -> None:
    assert (mpi.num_procs(), mpi.proc_id(), mpi.in_mpi()) == (1, 0, False)
    mpi.barrier()


def test_a_value_of_one_rank_is_its_sum_average_and_broadcast() -> None:
    array = np.array([1.5, 2.5])
    assert mpi.mpi_sum(3) == 3.0
    assert isinstance(mpi.mpi_sum(3), float)
    assert mpi.mpi_avg([1, 2]).tolist() == [1.0, 2.0]
    assert mpi.allreduce(3) == 3
    assert isinstance(mpi.allreduce(3), int)
    assert mpi.broadcast(array) is array
    assert mpi.gather_objects({"a": 1}) == [{"a": 1}]


def test_a_result_is_a_copy_and_leaves_its_argument_alone() -> None:
    array = np.array([1.0, 2.0])
    result = mpi.mpi_sum(array)
    result[0] = 9
    assert array.tolist() == [1.0, 2.0]


def test_sums_are_in_float64_and_tensors_keep_their_kind() -> None:
    assert mpi.mpi_sum(np.ones(2, np.float32)).dtype == np.float64
    assert mpi.mpi_sum(torch.ones(2)).dtype == torch.float32
    assert mpi.mpi_sum(torch.ones(2, dtype=torch.int64)).dtype == torch.float64
    assert mpi.allreduce(torch.ones(2, dtype=torch.bfloat16)).dtype == torch.bfloat16
    assert mpi.allreduce(torch.ones(2, dtype=torch.int64)).dtype == torch.int64
    assert mpi.allreduce(np.ones(2, np.float32)).dtype == np.float32


def test_an_unknown_reduction_is_told() -> None:
    with pytest.raises(BadValue, match=r"op='mean': no such reduction. Allowed: sum, prod, min, max"):
        mpi._handle("mean")


def test_statistics_by_hand() -> None:
    # mean (1+2+6)/3 = 3, squared deviations 4+1+9 = 14
    assert mpi.mpi_statistics_scalar([1, 2, 6]) == (3.0, math.sqrt(14 / 3))
    assert mpi.mpi_statistics_scalar([1, 2, 6], with_min_and_max=True) == (3.0, math.sqrt(14 / 3), 1.0, 6.0)
    assert mpi.mpi_statistics_scalar(np.array([[1, 2], [6, 3]])) == (3.0, math.sqrt(14 / 4))
    assert mpi.mpi_statistics_scalar(torch.tensor([4.0])) == (4.0, 0.0)


def test_statistics_do_not_lose_a_small_spread_of_large_numbers() -> None:
    assert mpi.mpi_statistics_scalar([1e8, 1e8 + 1]) == (1e8 + 0.5, 0.5)


def test_statistics_of_nothing_are_nan_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = mpi.mpi_statistics_scalar([], with_min_and_max=True)
    assert len(found) == 4
    assert all(math.isnan(value) for value in found)


def test_statistics_of_an_infinite_number_do_not_warn() -> None:
    mean, std = mpi.mpi_statistics_scalar([1.0, math.inf])
    assert mean == math.inf
    assert math.isnan(std)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, False),
        ({"PMI_RANK": "0", "PMI_SIZE": "2"}, True),
        ({"PMI_RANK": "0", "PMI_SIZE": "1"}, False),
        ({"OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_SIZE": "4", "PMIX_RANK": "3"}, True),
        ({"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "1", "PMIX_RANK": "0"}, False),
        ({"PMIX_RANK": "0"}, True),
        ({"PMIX_RANK": "0", "SLURM_STEP_NUM_TASKS": "1"}, False),
        ({"SLURM_PROCID": "1", "SLURM_NTASKS": "2"}, False),
    ],
)
def test_ranks_are_known_by_their_environment(environ: dict[str, str], expected: bool) -> None:
    assert in_mpi(environ) is expected


def test_a_child_of_a_rank_is_no_rank() -> None:
    assert not in_mpi({"PMI_RANK": "0", "PMI_SIZE": "2", "GRIDRL_RANK_PID": "1"})


def test_the_rank_is_read_from_the_environment() -> None:
    assert rank_in_environment({"PMI_RANK": "3"}) == 3
    assert rank_in_environment({"OMPI_COMM_WORLD_RANK": "2", "PMIX_RANK": "0"}) == 2
    assert rank_in_environment({"PMI_RANK": ""}) is None


def test_variables_of_a_surrounding_mpi_are_stripped_and_settings_stay() -> None:
    rank = {"PMI_RANK": "1", "PMI_FD": "9", "HYDI_CONTROL_FD": "8", "MPI_LOCALRANKID": "0", "GRIDRL_RANK_PID": "5"}
    settings = {"MPI4PY_LIBMPI": "/opt/libmpi.so", "PATH": "/bin", "PMIRROR": "x"}
    assert without_mpi(rank | settings | {"OMPI_MCA_btl": "tcp", "PRTE_X": "1", "OPAL_Y": "2"}) == settings


def test_settings_of_an_implementation_stay_outside_mpi() -> None:
    settings = {"OMPI_MCA_btl": "tcp", "I_MPI_FABRICS": "shm", "HYDRA_IFACE": "lo", "MPIR_CVAR_NOLOCAL": "1"}
    assert without_mpi(settings | {"PMI_FD": "9"}) == settings


def test_a_rank_without_mpi4py_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PMI_RANK", "0")
    monkeypatch.setenv("PMI_SIZE", "2")
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(MPIError, match=r"mpi4py cannot be imported.*pip install mpi4py mpich.*num_cpu=1"):
        mpi.num_procs()


WITHOUT_MPI4PY = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "mpi4py":
            raise ImportError("blocked")

sys.meta_path.insert(0, Blocked())
import numpy as np, torch
from gridrl.utils import mpi, mpirun, torch_mpi
assert mpi.mpi_statistics_scalar([1.0, 3.0], True) == (2.0, 1.0, 1.0, 3.0)
assert mpi.mpi_avg(np.ones(2)).tolist() == [1.0, 1.0] and mpi.broadcast("x") == "x" and mpi.num_procs() == 1
mpi.barrier()
module = torch.nn.Linear(2, 1)
torch_mpi.setup_pytorch_for_mpi(); torch_mpi.sync_params(module); torch_mpi.mpi_avg_grads(module)
mpirun.mpi_fork(1)
assert mpirun.check_mpi(1) is None
try:
    mpirun.check_mpi(2)
except mpirun.MPIError as error:
    print(error)
"""


def test_one_rank_works_where_mpi4py_cannot_be_imported() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT_MPI4PY], capture_output=True, text=True, timeout=100, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("num_cpu=2 needs mpi4py, which"), ended.stdout


TWO_RANKS = """
import os, subprocess
import numpy as np
from gridrl.utils import mpi

def work():
    rank = mpi.proc_id()
    shared, grid = np.full(2, float(rank)), np.asfortranarray(np.full((2, 3), rank, np.float32))
    mpi.broadcast(shared, root=1)
    mpi.broadcast(grid.T[::2], root=1)
    out = np.empty(1, np.int64)
    mpi.allreduce(np.array([rank + 1]), out, op="max")
    child = "from gridrl.utils import mpi; print(mpi.in_mpi(), mpi.num_procs())"
    return dict(
        size=mpi.num_procs(), rank=rank, in_mpi=mpi.in_mpi(),
        sum=mpi.mpi_sum(rank + 1), avg=mpi.mpi_avg(np.array([0, rank])).tolist(), large=mpi.mpi_sum(1e8 + rank),
        product=mpi.mpi_op(rank + 2, "prod"),
        least=mpi.allreduce(rank - 5, op="min"), truths=mpi.allreduce(rank == 1), out=out.tolist(),
        half=mpi.allreduce(np.array([0.5], np.float16)).tolist(),
        handle=mpi.allreduce(rank, op=__import__("mpi4py.MPI").MPI.MAX),
        shared=shared.tolist(), grid=grid.tolist(), object=mpi.broadcast({"of": rank}),
        objects=mpi.gather_objects(["row"] * rank),
        moments=mpi.mpi_statistics_scalar([1, 2] if rank == 0 else [6], True),
        one_sided=mpi.mpi_statistics_scalar([1e8, 1e8 + 1] if rank == 0 else [], True),
        empty=[str(value) for value in mpi.mpi_statistics_scalar([])],
        child=subprocess.check_output([__import__("sys").executable, "-c", child], text=True, timeout=60).strip(),
    )
"""


def test_two_ranks_agree_on_the_numbers(answers_of_ranks: Answers) -> None:
    first, second = answers_of_ranks(TWO_RANKS, 2)
    assert (first.pop("rank"), second.pop("rank")) == (0, 1)
    # the columns 0 and 2 went out of rank 1 through a view, column 1 stayed
    assert first.pop("grid") == [[1.0, 0.0, 1.0], [1.0, 0.0, 1.0]]
    assert second.pop("grid") == [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    assert first == second
    assert first == {
        "size": 2,
        "in_mpi": True,
        "sum": 3.0,
        "avg": [0.0, 0.5],
        "large": 2e8 + 1,
        "product": 6.0,
        "least": -5,
        "truths": 1,
        "out": [2],
        "half": [1.0],
        "handle": 1,
        "shared": [1.0, 1.0],
        "object": {"of": 0},
        "objects": [[], ["row"]],
        "moments": [3.0, math.sqrt(14 / 3), 1.0, 6.0],
        "one_sided": [1e8 + 0.5, 0.5, 1e8, 1e8 + 1],
        "empty": ["nan", "nan"],
        "child": "False 1",
    }
