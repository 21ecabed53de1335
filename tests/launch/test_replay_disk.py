"""The disk for replays is told before a grid starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from gridrl import ExperimentGrid
from gridrl.envs.making import numbers_of_step
from gridrl.launch.replay_disk import told_size


def told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, thunk: str = "gridrl.algos.sac:sac", **keys: object
) -> str:
    """What a dry run says of replays."""
    grid = ExperimentGrid(name="g")
    for key, value in keys.items():
        grid.add(key, value)
    grid.run(thunk, data_dir=tmp_path, dry_run=True)
    return next((line for line in capsys.readouterr().out.splitlines() if line.startswith("Replay of")), "")


def test_it_is_the_sum_over_the_runs_of_what_each_will_hold(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    # Pendulum: 3 numbers are seen, 1 is done, 3 beside: 28 bytes; 2 runs hold 1000 of 5000 steps, in files of 1000 of
    # which two more may be there, 2 runs hold all
    line = told(
        capsys, tmp_path, env_name="Pendulum-v1", replay_size=[1000, 9000], epochs=5, steps_per_epoch=1000, seed=[0, 1]
    )
    assert line.startswith("Replay of 4 runs in checkpoints: up to about 448 kB, ")
    assert line.endswith(" are free (--save_replay false keeps none)")


@pytest.mark.parametrize(
    ("thunk", "keys"),
    [("gridrl.algos.sac:sac", {"save_replay": False}), ("gridrl.algos.ppo:ppo", {})],
    ids=["save_replay=False", "ppo"],
)
def test_nothing_is_told_where_there_is_none(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, thunk: str, keys: dict[str, object]
) -> None:
    assert told(capsys, tmp_path, thunk, env_name="Pendulum-v1", **keys) == ""


def test_an_environment_that_cannot_be_looked_at_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    line = told(capsys, tmp_path, env_name="Pendulum-v1", env_kwargs={"g": 9.0})
    assert "as much as only the environments will show" in line


def test_numbers_and_sizes() -> None:
    assert numbers_of_step("CartPole-v1") == 4 + 2 + 3
    assert numbers_of_step("NoSuch-v0") is None
    assert [told_size(size) for size in (999, 1000, 1_234_567, 2e13)] == ["999 B", "1 kB", "1.23 MB", "20 TB"]
