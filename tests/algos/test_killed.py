"""Runs of an algorithm that are killed three times, through the real launcher, leave what an undisturbed one does."""

from __future__ import annotations

import json
import random
import signal
from pathlib import Path
from typing import Any

import gymnasium as gym
import psutil
import pytest

from gridrl import dqn, ppo, sac, vpg
from gridrl.envs.making import env_fn
from gridrl.log.progress import read_progress
from gridrl.log.record import read_status
from tests.algos.off_policy_runs import TARGET
from tests.algos.short_runs import rows
from tests.launch.disturbing import disturbed, row_count, signal_after
from tests.launch.helpers import run


class Secret(gym.Wrapper[Any, Any, Any, Any]):
    """A wrapper whose state nobody knows."""


def small(
    algorithm: str, secret: bool, exact_resume: bool, epochs: int, seed: int, logger_kwargs: dict[str, Any]
) -> None:
    """A short training run."""
    if algorithm == "dqn":
        small_dqn(epochs, seed, logger_kwargs)
        return
    if algorithm == "sac":
        sac(
            env_fn(TARGET),
            ac_kwargs={"hidden_sizes": (8,)},
            seed=seed,
            steps_per_epoch=60,
            epochs=epochs,
            replay_size=700,
            batch_size=8,
            start_steps=60,
            update_after=60,
            update_every=20,
            num_test_episodes=1,
            save_freq=4,
            adaptive_temperature=True,
            updates_per_cycle=1,
            logger_kwargs=logger_kwargs | {"quiet": True},
        )
        return
    train, own = (ppo, {"train_pi_iters": 4}) if algorithm == "ppo" else (vpg, {})
    train(
        (lambda: Secret(gym.make("CartPole-v1"))) if secret else lambda: gym.make("CartPole-v1"),
        ac_kwargs={"hidden_sizes": (8, 8)},
        seed=seed,
        steps_per_epoch=300,
        epochs=epochs,
        train_v_iters=4,
        save_freq=4,
        exact_resume=exact_resume,
        normalize_reward=True,
        logger_kwargs=logger_kwargs | {"quiet": True},
        **own,
    )


def small_dqn(epochs: int, seed: int, logger_kwargs: dict[str, Any]) -> None:
    """The same of DQN, with everything that a checkpoint has to hold, and a memory that overflows."""
    dqn(
        lambda: gym.make("CartPole-v1"),
        ac_kwargs={"hidden_sizes": (8, 8), "dueling": True},
        seed=seed,
        steps_per_epoch=51,
        epochs=epochs,
        replay_size=1000,
        batch_size=16,
        start_steps=100,
        update_after=100,
        update_every=8,
        updates_per_cycle=2,
        target_update_every=3,
        prioritised=True,
        num_test_episodes=1,
        save_freq=4,
        logger_kwargs=logger_kwargs | {"quiet": True},
    )


@pytest.mark.parametrize(
    ("algorithm", "secret", "exact_resume"),
    [
        ("ppo", False, False),
        ("ppo", True, True),
        ("vpg", False, False),
        ("dqn", False, False),
        ("sac", False, False),
    ],
    ids=[
        "PPO on CartPole",
        "PPO on an unknown state, exact_resume",
        "VPG on CartPole",
        "DQN on CartPole",
        "SAC with its replay",
    ],
)
def test_a_run_killed_three_times_leaves_the_rows_of_an_undisturbed_one(
    tmp_path: Path, algorithm: str, secret: bool, exact_resume: bool
) -> None:
    keys = {"algorithm": algorithm, "secret": secret, "exact_resume": exact_resume, "epochs": 60, "seed": 5}
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
    keys = {"algorithm": "ppo", "secret": [True, False], "exact_resume": False, "epochs": 2, "seed": 5}
    secret, known = run(small, tmp_path, keys=keys)
    assert (secret.state, known.state) == ("done", "done")
    statuses = [read_status(one.run_dir) for one in (secret, known)]
    assert [status and status.resume for status in statuses] == ["inexact", None]
    assert "resume: inexact for 1 run: the state of the environments is not known" in capsys.readouterr().out


@pytest.mark.parametrize(("who", "signum"), [("a rank", signal.SIGUSR1), ("mpiexec", signal.SIGTERM)])
def test_ppo_over_ranks_that_is_asked_to_make_room_goes_on_as_if_nothing_had_been(
    tmp_path: Path, who: str, signum: signal.Signals
) -> None:
    keys = {"algorithm": "ppo", "secret": False, "exact_resume": False, "epochs": 80, "seed": 5}
    undisturbed = run(small, tmp_path / "undisturbed", keys=keys, num_cpu=2)[0]
    run_dir = tmp_path / "stopped" / "g" / "g_s5"

    def pid() -> int:
        rank = json.loads((run_dir / "ranks" / "1.begin.json").read_text())
        return rank["pid"] if who == "a rank" else mpiexec_of(rank["pid"])

    watching = signal_after(6, signum, run_dir, pid)
    result = run(small, tmp_path / "stopped", keys=keys, num_cpu=2)[0]
    watching.join(timeout=60)
    assert (result.state, result.exit_code, result.rank) == ("preempted", 75, None)
    stopped_after = row_count(run_dir / "progress.txt")
    assert 6 <= stopped_after < 80
    assert [path.name for path in (run_dir / "checkpoints").iterdir()] == [f"checkpoint_{stopped_after:06d}.pt"]
    assert run(small, tmp_path / "stopped", keys=keys, num_cpu=2)[0].ok
    assert rows(run_dir) == rows(undisturbed.run_dir)
    assert row_count(run_dir / "progress.txt") == 80
    assert not (run_dir / "progress.cut.txt").exists()


def mpiexec_of(rank: int) -> int:
    """The `mpiexec` above a rank."""
    return next(parent.pid for parent in psutil.Process(rank).parents() if "mpiexec" in parent.name())
