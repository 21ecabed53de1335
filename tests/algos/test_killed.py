"""Runs of an algorithm that are killed three times, through the real launcher, leave what an undisturbed one does."""

from __future__ import annotations

import random
import signal
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

from gridrl import ppo
from gridrl.log.progress import read_progress
from gridrl.log.record import read_status
from tests.algos.short_runs import rows
from tests.launch.disturbing import disturbed, row_count
from tests.launch.helpers import run


class Secret(gym.Wrapper[Any, Any, Any, Any]):
    """A wrapper whose state nobody knows."""


def small(secret: bool, exact_resume: bool, epochs: int, seed: int, logger_kwargs: dict[str, Any]) -> None:
    """A short training run."""
    ppo(
        (lambda: Secret(gym.make("CartPole-v1"))) if secret else lambda: gym.make("CartPole-v1"),
        ac_kwargs={"hidden_sizes": (8, 8)},
        seed=seed,
        steps_per_epoch=300,
        epochs=epochs,
        train_pi_iters=4,
        train_v_iters=4,
        save_freq=4,
        exact_resume=exact_resume,
        normalize_reward=True,
        logger_kwargs=logger_kwargs | {"quiet": True},
    )


@pytest.mark.parametrize(
    ("secret", "exact_resume"), [(False, False), (True, True)], ids=["CartPole", "unknown state, exact_resume"]
)
def test_a_run_killed_three_times_leaves_the_rows_of_an_undisturbed_one(
    tmp_path: Path, secret: bool, exact_resume: bool
) -> None:
    keys = {"secret": secret, "exact_resume": exact_resume, "epochs": 60, "seed": 5}
    undisturbed = run(small, tmp_path / "undisturbed", keys=keys)[0]
    assert undisturbed.ok
    run_dir = tmp_path / "killed" / "g" / "g_s5"
    moments = random.Random(3)
    cut: list[str] = []
    for attempt in range(3):
        wanted = 2 + 18 * attempt + moments.randrange(8)
        result = disturbed(small, run_dir, keys, wanted, signal.SIGKILL)
        assert result.state == "killed"
        (checkpoint,) = (run_dir / "checkpoints").glob("*.pt")
        lost = range(int(checkpoint.stem.rpartition("_")[2]), row_count(run_dir / "progress.txt"))
        cut += ["Epoch", *map(str, lost)] if lost else []
    assert run(small, tmp_path / "killed", keys=keys)[0].ok
    assert rows(run_dir) == rows(undisturbed.run_dir)
    assert row_count(run_dir / "progress.txt") == 60
    times = read_progress(run_dir / "progress.txt")["Time"]
    assert (times[1:] > times[:-1]).all()
    lines = (run_dir / "progress.cut.txt").read_text().splitlines() if cut else []
    assert [line.partition("\t")[0] for line in lines if line] == cut
    status = read_status(run_dir)
    assert status is not None
    assert (status.attempt, status.resume) == (4, None)


def test_an_unknown_state_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = {"secret": [True, False], "exact_resume": False, "epochs": 2, "seed": 5}
    secret, known = run(small, tmp_path, keys=keys)
    assert (secret.state, known.state) == ("done", "done")
    statuses = [read_status(one.run_dir) for one in (secret, known)]
    assert [status and status.resume for status in statuses] == ["inexact", None]
    assert "resume: inexact for 1 run: the state of their environments is not known" in capsys.readouterr().out
