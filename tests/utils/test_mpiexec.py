"""Every mpiexec is recognised, gets what it needs, and is checked against mpi4py before anything starts."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from gridrl.errors import BadValue, MPIError
from gridrl.utils import mpiexec
from gridrl.utils.mpiexec import Mpiexec, check_mpi, find_mpiexec, implementation_of, most_ranks, resolve_num_cpu
from gridrl.utils.processes import physical_cores, usable_cores

HYDRA = """HYDRA build details:
    Version:                                 5.0.2
    Release Date:                            Fri Sep 25 20:45:26 UTC 2026
    CC:                              cc
    Process Manager:                         pmi
    Launchers available:                     ssh rsh fork slurm ll lsf sge manual persist
"""
OPEN_MPI = "mpiexec (Open MPI) 5.0.11\n\nReport bugs to https://www.open-mpi.org/community/help/\n"
INTEL = (
    "Intel(R) MPI Library for Linux* OS, Version 2021.18.1 Build 20260626 (id: b44796a)\nCopyright 2003-2026, Intel."
)


@pytest.mark.parametrize(
    ("text", "implementation"),
    [
        (HYDRA, "MPICH"),
        ("MPICH Version:      5.0.2\nMPICH ABI:          17:0:0", "MPICH"),
        ("MVAPICH Version        :      3.0", "MPICH"),
        (OPEN_MPI, "Open MPI"),
        ("mpirun (Open MPI) 4.1.4\n\nReport bugs to http://www.open-mpi.org/community/help/\n", "Open MPI"),
        ("prterun (PRRTE) 3.0.8", "Open MPI"),
        ("Open MPI v5.0.11, package: Open MPI user@localhost Distribution, ident: 5.0.11", "Open MPI"),
        (INTEL, "Intel MPI"),
        ("Intel(R) MPI Library 2021.18.1 for Linux* OS\n", "Intel MPI"),
        ("slurm 22.05.8", "unknown"),
        ("", "unknown"),
    ],
)
def test_an_implementation_is_known_by_what_it_says(text: str, implementation: str) -> None:
    assert implementation_of(text) == implementation


def test_the_command_line_names_ranks_and_binding() -> None:
    assert Mpiexec(("/m", "--x"), "MPICH").command(2, ["a", "b c"]) == ["/m", "--x", "-n", "2", "a", "b c"]
    assert Mpiexec(("/m",), "MPICH").command(3, ["a"], True) == ["/m", "-n", "3", "-bind-to", "core", "a"]
    assert Mpiexec(("/m",), "Open MPI").command(3, ["a"], True) == ["/m", "-n", "3", "--bind-to", "core", "a"]
    assert Mpiexec(("/m",), "unknown").command(3, ["a"], True) == ["/m", "-n", "3", "a"]


def test_a_rank_gets_its_threads_and_no_surrounding_mpi() -> None:
    base = {"PATH": "/bin", "OMP_NUM_THREADS": "64", "PMI_RANK": "1", "MPI_LOCALRANKID": "1", "MPI4PY_RC_THREADS": "0"}
    assert Mpiexec(("/m",), "MPICH").environment(base, threads=2) == {
        "PATH": "/bin",
        "MPI4PY_RC_THREADS": "0",
        "OMP_NUM_THREADS": "2",
        "MKL_NUM_THREADS": "2",
        "OPENBLAS_NUM_THREADS": "2",
    }


def test_open_mpi_runs_as_root_on_any_number_of_cores_unbound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    environment = Mpiexec(("/m",), "Open MPI").environment({"PRTE_MCA_hwloc_default_binding_policy": "core"})
    assert environment["OMPI_ALLOW_RUN_AS_ROOT"] == environment["OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] == "1"
    assert environment["PRTE_MCA_rmaps_default_mapping_policy"] == ":oversubscribe"
    assert environment["OMPI_MCA_rmaps_base_oversubscribe"] == "1"
    assert environment["OMPI_MCA_hwloc_base_binding_policy"] == "none"
    assert environment["PRTE_MCA_hwloc_default_binding_policy"] == "core", "what the user has set stays"


def test_open_mpi_is_not_told_about_root_by_anyone_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    environment = Mpiexec(("/m",), "Open MPI").environment({}, bind_to_core=True)
    assert "OMPI_ALLOW_RUN_AS_ROOT" not in environment
    assert not any("binding" in name for name in environment)


def test_intel_mpi_does_not_pin_unless_asked() -> None:
    assert Mpiexec(("/m",), "Intel MPI").environment({})["I_MPI_PIN"] == "0"
    assert "I_MPI_PIN" not in Mpiexec(("/m",), "Intel MPI").environment({}, bind_to_core=True)


def test_the_mpiexec_beside_this_interpreter_is_found_and_fits() -> None:
    found = check_mpi(2)
    assert found == find_mpiexec()
    assert found is not None
    assert found.program == (str(Path(sys.executable).with_name("mpiexec")),)
    assert found.implementation == "MPICH"


def fake_mpiexec(directory: Path, says: str, status: int = 0) -> Path:
    directory.mkdir(exist_ok=True)
    program = directory / "mpiexec"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{says}\nEND\nexit {status}\n")
    program.chmod(0o755)
    return program


def say_in_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: str) -> None:
    config = tmp_path / "config.py"
    config.write_text(f"MPIEXEC = {value!r}\n")
    monkeypatch.setenv("GRIDRL_USER_CONFIG", str(config))


def test_the_setting_goes_before_everything_and_may_hold_options(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = fake_mpiexec(tmp_path / "with space", OPEN_MPI)
    say_in_settings(monkeypatch, tmp_path, f"'{program}' --mca btl tcp")
    assert find_mpiexec() == Mpiexec((str(program), "--mca", "btl", "tcp"), "Open MPI")
    say_in_settings(monkeypatch, tmp_path, str(program))
    assert find_mpiexec() == Mpiexec((str(program),), "Open MPI")


def test_a_setting_that_names_no_program_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    say_in_settings(monkeypatch, tmp_path, "/nowhere/mpiexec")
    with pytest.raises(MPIError, match=r"MPIEXEC = '/nowhere/mpiexec' in user_config.py: there is no such program"):
        find_mpiexec()


def test_path_is_the_last_resort(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    on_path = fake_mpiexec(tmp_path / "bin", INTEL)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", f"{on_path.parent}:{os.environ['PATH']}")
    assert find_mpiexec() == Mpiexec((str(on_path),), "Intel MPI")


def test_a_missing_mpiexec_is_told_with_the_way_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MPIError, match=r"none beside .*python, none on PATH and no MPIEXEC.*pip install mpi4py mpich"):
        check_mpi(2)


def test_one_rank_needs_no_mpiexec(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert check_mpi(1) is None


def test_an_mpiexec_of_another_implementation_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = fake_mpiexec(tmp_path, OPEN_MPI)
    say_in_settings(monkeypatch, tmp_path, str(program))
    with pytest.raises(MPIError) as caught:
        check_mpi(4)
    assert str(caught.value).startswith(
        f"num_cpu=4: {program} is of Open MPI, but mpi4py uses the library of MPICH (MPICH Version:"
    )
    assert "Set MPIEXEC in user_config.py to the mpiexec of MPICH" in str(caught.value)


def test_an_unknown_mpiexec_of_the_users_is_trusted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    say_in_settings(monkeypatch, tmp_path, str(fake_mpiexec(tmp_path, "aprun 1.0")))
    found = check_mpi(2)
    assert found is not None
    assert found.implementation == "unknown"


def test_a_library_that_does_not_load_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MPI4PY_LIBMPI", str(tmp_path / "libmpi.so"))
    with pytest.raises(MPIError, match=r"cannot import \(MPI4PY_LIBMPI=.*libmpi.so\): .*libmpi"):
        check_mpi(2)


def test_missing_mpi4py_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(MPIError, match=r"num_cpu=3 needs mpi4py, which .* does not have.*num_cpu=1 needs none"):
        check_mpi(3)


def test_the_library_is_asked_once_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    check_mpi(2)
    monkeypatch.setattr(mpiexec, "_ask", None)
    check_mpi(2)


def test_auto_is_the_physical_cores() -> None:
    assert resolve_num_cpu("auto") == physical_cores()


def test_a_whole_number_of_ranks_passes() -> None:
    assert [resolve_num_cpu(1), resolve_num_cpu(np.int64(2)), resolve_num_cpu(most_ranks())] == [1, 2, most_ranks()]


@pytest.mark.parametrize("value", [2.0, True, "2", "AUTO", None, [2]])
def test_what_is_no_whole_number_is_told(value: object) -> None:
    with pytest.raises(BadValue, match=r"^num_cpu=.*: a whole number of ranks from 1 is wanted, or 'auto'"):
        resolve_num_cpu(value)


@pytest.mark.parametrize("value", [0, -1])
def test_no_rank_at_all_is_told(value: int) -> None:
    with pytest.raises(BadValue, match=rf"^--cpu={value}: a run has at least 1 rank. Write 1, or 'auto'"):
        resolve_num_cpu(value, "--cpu")


def test_more_ranks_than_make_sense_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_NUM_NODES", raising=False)
    most = 8 * usable_cores()
    with pytest.raises(BadValue, match=rf"at most {most} \(8 per core\) are allowed. Many runs at once are `jobs`"):
        resolve_num_cpu(most + 1)
    monkeypatch.setenv("SLURM_JOB_NUM_NODES", "2")
    assert resolve_num_cpu(most + 1) == most + 1
