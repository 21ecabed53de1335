"""The command `test_policy`."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from gridrl.commands.test_policy import find_run
from gridrl.errors import BadValue
from gridrl.run import main


class Walk(gym.Env[Any, Any]):
    """An episode has as many steps as its seed has units; each pays half the action."""

    observation_space = gym.spaces.Discrete(100)
    action_space = gym.spaces.Discrete(10)

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode
        self.left = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[int, dict[str, Any]]:
        assert seed is not None
        self.left = seed
        return seed, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        self.left -= 1
        return self.left, action / 2, self.left == 0, False, {}

    def close(self) -> None:
        CLOSED.append(self.render_mode)


CLOSED: list[str | None] = []


class Policy:
    """Acts with 1 where it is deterministic, with 2 or 3 where it draws."""

    def act(self, obs: int, deterministic: bool = True, *, rng: np.random.Generator | None = None) -> int:
        assert rng is not None
        return 1 if deterministic else 2 + int(rng.integers(2))

    def make_env(self, **kwargs: Any) -> Walk:
        return Walk(**kwargs)


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, int | None]]:
    """What `load` is asked for; it gives `Policy`."""
    asked: list[tuple[Path, int | None]] = []

    def load(run_dir: Path, itr: int | None = None) -> Policy:
        asked.append((run_dir, itr))
        return Policy()

    module = ModuleType("gridrl.algos.loading")
    module.load = load  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gridrl.algos.loading", module)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    CLOSED.clear()
    return asked


def made(path: Path, model: bool = True) -> Path:
    path.mkdir(parents=True)
    (path / "progress.txt").write_text("Epoch\n1\n")
    if model:
        (path / "model").mkdir()
    return path


def test_episodes_are_listed_and_summed_up(
    loaded: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = made(tmp_path / "a" / "a_s0")
    assert main(["test_policy", str(path), "-n", "3", "--seed", "2"]) == 0
    assert loaded == [(path, None)]
    assert CLOSED == [None]
    assert capsys.readouterr().out == (
        f"{path}: 3 episodes, deterministic actions, seed 2\n"
        "  episode      return   length\n"
        "        0        1.00        2\n"
        "        1        1.50        3\n"
        "        2        2.00        4\n"
        "\n"
        "                 mean         std         min         max\n"
        "   return        1.50        0.41        1.00        2.00\n"
        "   length        3.00        0.82        2.00        4.00\n"
    )


def rows(capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    """The cells of each episode's row."""
    return [line.split() for line in capsys.readouterr().out.partition("\n\n")[0].splitlines()[2:]]


def test_sampled_episodes_repeat_with_their_seed(
    loaded: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(made(tmp_path / "a_s0"))
    words = ["test_policy", path, "--sample", "-n", "2", "--seed"]
    assert main([*words, "40"]) == 0
    first = rows(capsys)
    assert main([*words, "41"]) == 0
    second = rows(capsys)
    assert first[1][1:] == second[0][1:]  # the same seed, as second and as first episode
    assert 40 < float(first[0][1]) < 60
    assert first[0][1:] != first[1][1:]


def test_long_episodes_can_be_cut(loaded: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(made(tmp_path / "a_s0"))
    assert main(["test_policy", path, "-n", "2", "--len", "3", "--seed", "9", "--itr", "40", "-d", "-nr"]) == 0
    assert rows(capsys) == [["0", "1.50", "3"], ["1", "1.50", "3"]]
    assert loaded[0][1] == 40


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--sample -d", "`--sample` and `--deterministic` exclude each other."),
        ("--seed -1", "`--seed`: wants a whole number from 0 on, got -1."),
        ("-n 0 --len -1", "`--episodes`: wants at least 1, got 0.\n"
         "`--len`: wants at least 1 step, or 0 for no limit, got -1."),
        ("--render", "`--render`: there is no display to open a window on. `--record DIR` writes videos instead."),
        ("-r --record v", "`--render` and `--record` exclude each other: one opens a window, the other writes videos."),
        ("--episods 3", "`--episods`: test_policy has no such option. Did you mean `--episodes`?"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_told(
    loaded: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str], words: str, message: str
) -> None:
    assert main(["test_policy", str(made(tmp_path / "a_s0")), *words.split(" ")]) == 2
    assert capsys.readouterr().err.startswith(message)
    assert not loaded


def test_videos_need_their_extra(
    loaded: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("gridrl.commands.test_policy.is_installed", lambda package: False)
    assert main(["test_policy", str(made(tmp_path / "a_s0")), "--record", "v"]) == 2
    assert "`--record` needs moviepy, which is not installed: pip install 'gridrl[video]'." in capsys.readouterr().err


def test_a_window_is_opened_where_there_is_a_display(
    loaded: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    assert main(["test_policy", str(made(tmp_path / "a_s0")), "--render", "--seed", "1"]) == 0
    assert CLOSED == ["human"]


def test_the_only_run_of_a_directory_is_meant(tmp_path: Path) -> None:
    path = made(tmp_path / "a" / "a_s0")
    assert find_run(path) == find_run(tmp_path / "a") == find_run(tmp_path) == path


def test_of_several_runs_one_must_be_named(tmp_path: Path) -> None:
    paths = [made(tmp_path / "a" / f"a_s{seed}") for seed in range(9)]
    with pytest.raises(BadValue) as told:
        find_run(tmp_path)
    assert str(told.value).splitlines() == [
        f"{tmp_path}: holds 9 runs; one is wanted. Runs there are:",
        *(f"  {path}" for path in paths[:8]),
        "  ... and 1 more",
    ]


def test_a_directory_that_is_not_there_is_told_with_runs_that_are(tmp_path: Path) -> None:
    path = made(tmp_path / "a" / "a_s0")
    with pytest.raises(BadValue) as told:
        find_run(tmp_path / "a" / "a_s1")
    assert str(told.value).splitlines() == [
        f"{tmp_path}/a/a_s1: there is no such directory. Runs there are:",
        f"  {path}",
    ]


def test_a_directory_without_runs_is_told_with_runs_beside_it(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    path = made(tmp_path / "a" / "a_s0")
    with pytest.raises(BadValue) as told:
        find_run(tmp_path / "empty")
    assert str(told.value).splitlines() == [f"{tmp_path}/empty: holds no run. Runs there are:", f"  {path}"]


def test_a_run_without_a_policy_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadValue, match=r"no policy was saved there\."):
        find_run(made(tmp_path / "a_s0", model=False))


def test_a_run_that_has_no_row_yet_is_a_run_without_a_policy(tmp_path: Path) -> None:
    run_dir = tmp_path / "a" / "a_s0"
    run_dir.mkdir(parents=True)
    (run_dir / "config.json").write_text("{}")
    (run_dir / "progress.txt").write_text("")
    with pytest.raises(BadValue, match=r"a_s0: no policy was saved there\."):
        find_run(run_dir)


def test_a_trained_policy_acts_and_is_filmed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The real thing: ppo trains, the policy is loaded, the frames become videos."""
    from gridrl.algos.ppo import ppo
    from gridrl.envs.making import env_fn

    path = tmp_path / "run_s0"
    ppo(
        env_fn("CartPole-v1"),
        ac_kwargs={"hidden_sizes": (4,)},
        steps_per_epoch=100,
        epochs=1,
        train_pi_iters=1,
        train_v_iters=1,
        logger_kwargs={"output_dir": str(path), "quiet": True},
    )
    videos = tmp_path / "videos"
    capsys.readouterr()
    assert main(["test_policy", str(path), "-n", "2", "--len", "4", "--sample", "--record", str(videos)]) == 0
    out = capsys.readouterr().out
    assert [line.split() for line in out.splitlines()[2:4]] == [["0", "4.00", "4"], ["1", "4.00", "4"]]
    assert out.endswith(f"Videos: {videos}\n")
    assert [film.stat().st_size > 1000 for film in sorted(videos.glob("*.mp4"))] == [True, True]
