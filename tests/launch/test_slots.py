"""Who gets which cores and accelerators, on a machine that is made up and on this one."""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from gridrl.errors import BadValue
from gridrl.launch.backend import Resources
from gridrl.launch.limits import Limits
from gridrl.launch.placement import VARIABLE, cores_of_rank, take_cores
from gridrl.launch.slots import Slots, find_slots, listed_devices, visible_devices
from tests.launch.helpers import config_of, run


def devices_of(slots: Slots, count: int) -> list[Any]:
    return [resources.devices if resources else None for resources in (slots.take() for _ in range(count))]


def test_whole_accelerators_go_to_one_run_each_and_come_back() -> None:
    slots = Slots(1, Limits(gpus_per_run=1), devices=["0", "1", "2"])
    assert slots.capacity == 3
    given = [slots.take() for _ in range(4)]
    assert [resources and resources.devices for resources in given] == [("0",), ("1",), ("2",), None]
    assert given[1] is not None
    slots.give_back(given[1])
    assert devices_of(slots, 2) == [("1",), None]


def test_several_accelerators_a_run() -> None:
    slots = Slots(1, Limits(gpus_per_run=2), devices=["a", "b", "c", "d", "e"])
    assert slots.capacity == 2
    assert devices_of(slots, 3) == [("a", "b"), ("c", "d"), None]


@pytest.mark.parametrize(("share", "runs"), [(0.5, 2), (0.25, 4), (0.3, 3), (0.1, 10), (1 / 3, 3), (0.9, 1), (0.51, 1)])
def test_parts_of_accelerators_are_counted(share: float, runs: int) -> None:
    slots = Slots(1, Limits(gpus_per_run=share), devices=["0", "1"])
    assert slots.capacity == 2 * runs
    given = devices_of(slots, 2 * runs + 1)
    assert given.pop() is None
    assert Counter(given) == {("0",): runs, ("1",): runs}
    assert given[:2] == [("0",), ("1",)]  # the emptiest first


def test_a_part_that_comes_back_is_given_again() -> None:
    slots = Slots(1, Limits(gpus_per_run=0.5), devices=["0", "1"])
    first = slots.take()
    rest = [slots.take() for _ in range(3)]
    assert slots.take() is None
    assert rest[0] is not None
    slots.give_back(rest[0])
    assert devices_of(slots, 2) == [("1",), None]
    assert first is not None
    slots.give_back(first)
    assert devices_of(slots, 2) == [("0",), None]


def test_who_asks_for_no_accelerators_has_the_environments() -> None:
    slots = Slots(1, Limits(), devices=[])
    assert slots.capacity is None
    assert slots.take() == Resources(1, 1)
    assert "CUDA_VISIBLE_DEVICES" not in Resources(1, 1).variables


def test_each_run_has_cores_of_its_own() -> None:
    slots = Slots(2, Limits(affinity=True, threads=2), cores=[9, 2, 3, 7, 8, 4, 5, 6, 1])
    assert slots.capacity == 2
    first, second, third = (slots.take() for _ in range(3))
    assert first is not None
    assert second is not None
    assert (first.cores, second.cores, third) == ((1, 2, 3, 4), (5, 6, 7, 8), None)
    slots.give_back(first)
    again = slots.take()
    assert again is not None
    assert again.cores == (1, 2, 3, 4)


def test_ranks_share_the_cores_of_their_run() -> None:
    told = Resources(num_cpu=2, threads=2, cores=(1, 2, 5, 6)).variables[VARIABLE]
    assert [cores_of_rank(told, rank) for rank in (0, 1)] == [[1, 2], [5, 6]]
    assert cores_of_rank("3/2", 1) == [3]


@pytest.mark.parametrize(
    ("wish", "devices"),
    [
        ("0,1", ["0", "1"]),
        (" 2 , GPU-8f6b ", ["2", "GPU-8f6b"]),
        ("", []),
        ("-1", []),
        ("1,-1,0", ["1"]),
        ("1,1", ["1"]),
    ],
)
def test_the_launchers_own_devices_are_those_that_cuda_would_show_it(wish: str, devices: list[str]) -> None:
    assert visible_devices({"CUDA_VISIBLE_DEVICES": wish}) == devices


WHOLE = "GPU 0: NVIDIA H200 (UUID: GPU-11c4)\nGPU 1: NVIDIA H200 (UUID: GPU-93a0)\n"
CUT = """GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5d5b)
  MIG 3g.20gb     Device  0: (UUID: MIG-c7384736)
  MIG 3g.20gb     Device  1: (UUID: MIG-a28ad590)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-77aa)
"""


def test_devices_that_nvidia_smi_lists() -> None:
    assert listed_devices(WHOLE) == ["0", "1"]
    assert listed_devices(CUT) == ["MIG-c7384736", "MIG-a28ad590", "1"]
    assert listed_devices("No devices were found\n") == []


def test_without_the_variable_the_program_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f'#!/bin/sh\n[ "$1" = -L ] && printf "{WHOLE}"\n'.replace("\nGPU 1", "\\nGPU 1"))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert visible_devices({}) == ["0", "1"]
    program.write_text("#!/bin/sh\nexit 9\n")
    assert visible_devices({}) == []


@pytest.mark.parametrize(
    ("share", "devices", "told"),
    [
        (1, "", "gpus_per_run=1: there are none here. What counts is CUDA_VISIBLE_DEVICES"),
        (0.5, "", "gpus_per_run=0.5: there are none here."),
        (3, "4,5", r"gpus_per_run=3: there are 2 here \(4, 5\)\."),
        (1.5, "0,1", "gpus_per_run=1.5: a whole number from 0, or a part of one such as 0.5, is wanted."),
        (-1, "0", "gpus_per_run=-1: a whole number"),
        (True, "0", "gpus_per_run=True: a whole number"),
    ],
)
def test_too_few_accelerators_are_told_before_anything_starts(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, share: float, devices: str, told: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", devices)
    with pytest.raises(BadValue, match=told):
        run(lambda seed: None, data_dir, gpus_per_run=share)
    assert not data_dir.exists()


def test_runs_see_their_accelerators_and_never_more_of_them_than_there_are(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two devices for two runs each. One of the runs fails, one is killed: their shares are given back."""

    def thunk(lr: int, logger_kwargs: Any) -> None:
        here = Path(logger_kwargs["output_dir"])
        mine = os.environ["CUDA_VISIBLE_DEVICES"]
        users = here.parents[1] / f"users-of-{mine}"
        users.mkdir(exist_ok=True)
        (users / str(lr)).touch()
        (here / "saw").write_text(f"{mine} {len(list(users.iterdir()))}")
        time.sleep(0.1)
        (users / str(lr)).unlink()
        if lr == 1:
            raise ValueError("no")
        if lr == 2:
            os.kill(os.getpid(), 9)

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,GPU-7")
    result = run(thunk, data_dir, keys={"lr": list(range(8))}, jobs=8, gpus_per_run=0.5)
    assert [r.state for r in result] == ["done", "failed", "killed"] + ["done"] * 5
    seen = [(r.run_dir / "saw").read_text().split() for r in result]
    assert [device for device, _ in seen[:4]] == ["5", "GPU-7", "5", "GPU-7"]
    assert {device for device, _ in seen} == {"5", "GPU-7"}
    assert max(int(users) for _, users in seen) <= 2
    told = capsys.readouterr()
    assert "8 runs; 4 at once (jobs)" in told.out
    assert "jobs=8: there is room for 4 at once." in told.err


def test_runs_are_bound_to_cores_of_their_own(data_dir: Path) -> None:
    def thunk(lr: int, logger_kwargs: Any) -> None:
        here = Path(logger_kwargs["output_dir"])
        (here / "cores").write_text(repr(sorted(os.sched_getaffinity(0))))
        while len(list(here.parents[1].glob("*/*/cores"))) < 2:
            time.sleep(0.02)

    cores = sorted(os.sched_getaffinity(0))[:2]
    result = run(thunk, data_dir, keys={"lr": [1, 2]}, jobs=2, affinity=True)
    assert result.ok
    assert sorted((r.run_dir / "cores").read_text() for r in result) == [f"[{core}]" for core in cores]


def test_each_rank_has_cores_of_its_own(data_dir: Path) -> None:
    def thunk(logger_kwargs: Any) -> None:
        from gridrl.utils.mpi import proc_id

        here = Path(logger_kwargs["output_dir"])
        (here / f"cores{proc_id()}").write_text(repr(sorted(os.sched_getaffinity(0))))

    first, second = sorted(os.sched_getaffinity(0))[:2]
    (only,) = run(thunk, data_dir, num_cpu=2, affinity=True)
    assert only.ok
    assert [(only.run_dir / f"cores{rank}").read_text() for rank in (0, 1)] == [f"[{first}]", f"[{second}]"]


def test_without_affinity_runs_may_use_every_core(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def thunk(logger_kwargs: Any) -> None:
        (Path(logger_kwargs["output_dir"]) / "cores").write_text(repr(sorted(os.sched_getaffinity(0))))

    (only,) = run(thunk, data_dir)
    assert (only.run_dir / "cores").read_text() == repr(sorted(os.sched_getaffinity(0)))
    monkeypatch.delenv(VARIABLE, raising=False)
    take_cores()
    assert (only.run_dir / "cores").read_text() == repr(sorted(os.sched_getaffinity(0)))


def test_more_cores_than_there_are_cannot_be_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2}, raising=False)
    with pytest.raises(BadValue) as error:
        find_slots(2, Limits(threads=2, affinity=True))
    assert str(error.value) == (
        "affinity: a run of 2 rank(s) with 2 thread(s) each needs 4 cores of its own, and this process may use 3."
    )
    assert find_slots(2, Limits(threads=2)).capacity is None
    monkeypatch.delattr(os, "sched_getaffinity")
    with pytest.raises(BadValue, match="this system cannot bind a process to cores"):
        find_slots(1, Limits(affinity=True))


def test_threads_reach_the_libraries_and_the_record(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def thunk(seed: int, logger_kwargs: Any) -> None:
        import torch

        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        told = [os.environ[name] for name in names]
        (Path(logger_kwargs["output_dir"]) / "threads").write_text(f"{told} {torch.get_num_threads()}")

    (only,) = run(thunk, data_dir, threads=2)
    assert (only.run_dir / "threads").read_text() == "['2', '2', '2'] 2"
    assert config_of(only.run_dir)["threads"] == 2
    with pytest.raises(BadValue, match="threads=0: the threads of a run are a whole number from 1"):
        run(thunk, data_dir, threads=0)


@pytest.mark.parametrize(
    ("cores", "num_cpu", "threads", "jobs"), [(8, 1, 2, 4), (8, 2, 2, 2), (8, 2, 3, 1), (2, 1, 4, 1)]
)
def test_as_many_runs_go_at_once_as_their_threads_leave_room_for(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, cores: int, num_cpu: int, threads: int, jobs: int
) -> None:
    from gridrl.launch import checks
    from gridrl.launch.order import Order

    monkeypatch.setattr(checks, "usable_cores", lambda: cores)
    order = Order("g", [], "m:f", data_dir, num_cpu=num_cpu, limits=Limits(threads=threads))
    assert checks.check_resources(order)[:2] == (num_cpu, jobs)
