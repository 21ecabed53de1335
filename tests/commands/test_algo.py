"""A function in a file, run over a grid from the command line."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from gridrl.commands.algo import next_commands, plot_paths, with_preset
from gridrl.commands.request import Key, Request
from gridrl.errors import BadValue
from gridrl.launch.result import GridResult, RunResult
from gridrl.run import main
from gridrl.utils.files import RunPaths

TRAIN = '''
from pathlib import Path


def train(lr: float = 0.1, net: dict = dict(), fail: bool = False, seed: int = 0, logger_kwargs: dict = dict()):
    """Writes two rows.

    Args:
        lr: the only number.
    """
    if fail:
        raise ArithmeticError("it was asked for")
    rows = "".join(f"{step}\\t{lr * step + seed}\\n" for step in (1, 2))
    Path(logger_kwargs["output_dir"], "progress.txt").write_text("TotalEnvInteracts\\tAverageEpRet\\n" + rows)
'''


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory with the module `mine`, without a display."""
    (tmp_path / "mine.py").write_text(TRAIN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    return tmp_path


def config(path: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(RunPaths(path).config.read_text())
    return read


def test_a_grid_runs_and_says_how_to_go_on(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = shlex.split("mine.py:train --lr 0.5 1.5 --net:hid[h] [3,4] --seeds 2 --exp-name 'my grid' --data_dir out")
    assert main(words) == 0
    names = ["my grid_lr0-5", "my grid_lr1-5"]
    dirs = [here / "out" / name / f"{name}_s{seed}" for name in names for seed in (0, 1)]
    assert sorted((here / "out").glob("*/*/progress.txt")) == sorted(path / "progress.txt" for path in dirs)
    assert config(dirs[3])["variant"] == {"lr": 1.5, "net": {"hid": [3, 4]}, "seed": 1}
    assert config(dirs[3])["command"] == shlex.join(["python", "-m", "gridrl.run", *words])
    assert capfd.readouterr().out.splitlines()[-2:] == [
        "See what came of it:",
        "  python -m gridrl.run plot 'out/my grid' --save curves.png",
    ]


def test_a_module_of_the_working_directory_runs_with_its_defaults(here: Path) -> None:
    assert main(["mine:train"]) == 0
    assert (here / "data" / "train" / "train_s0" / "progress.txt").exists()


def test_a_run_that_fails_is_told_by_the_exit_status(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["mine.py:train", "--fail", "false", "true"]) == 1
    assert (here / "data" / "train" / "train_s0" / "progress.txt").exists()  # the one that does not fail, has run
    out = capfd.readouterr().out
    assert "it was asked for" in out
    assert "  python -m gridrl.run plot data/train --save curves.png" in out.splitlines()


def test_a_dry_run_starts_nothing(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["mine.py:train", "--lr", "1", "2", "--dry-run"]) == 0
    assert not list(here.glob("data/**/progress.txt"))
    assert "See what came of it" not in capfd.readouterr().out


def test_what_is_typed_wrong_starts_nothing(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["mine.py:train", "--lr", "much", "--sed", "3"]) == 2
    assert not (here / "data").exists()
    assert capfd.readouterr() == (
        "",
        "`--lr`: train wants float, got 'much'.\n"
        "`--sed`: train has no such option. Did you mean `--seed`?\n"
        "See `python -m gridrl.run mine.py:train --help`.\n",
    )


def test_names_in_tables_are_checked_with_everything_else(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = shlex.split("ppo --env CartPole-v1 --gamma much --log tensorbord --preset sb4")
    assert main(words) == 2
    assert capfd.readouterr().err.splitlines() == [
        "`--gamma`: ppo wants float, got 'much'.",
        "`--log`: 'tensorbord' is no sink. Did you mean 'tensorboard'? "
        "There are: progress, terminal, tensorboard, wandb.",
        "`--preset`: preset 'sb4': ppo has spinningup, sb3. Did you mean 'sb3'?",
        "See `python -m gridrl.run ppo --help`.",
    ]


def test_the_message_of_the_design(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["ppo", "--env", "CartPole-v1", "--hidd", "[64,64]"]) == 2
    assert capfd.readouterr().err == (
        "`--hidd`: ppo has no such option. Did you mean `--hid` (ac_kwargs:hidden_sizes)? "
        "See `python -m gridrl.run ppo --help`.\n"
    )


def test_an_environment_that_is_not_registered_is_told(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (here / "world.py").write_text("def act(env_fn): ...")
    assert main(["world.py:act", "--env", "CartPool-v1"]) == 2
    assert "Did you mean 'CartPole-v1'?" in capfd.readouterr().err
    assert not (here / "data" / "act").exists()


def test_the_short_form_of_an_option_is_its_short_form_in_names(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = shlex.split("ppo --env CartPole-v1 --hid [64,64] [32] --dry_run")
    assert main(words) == 0
    out = capfd.readouterr().out
    assert "ppo_hid64-64" in out
    assert "ppo_hid32" in out


TARGET = "gridrl.algos.ppo:ppo"


def test_a_preset_fills_what_was_not_given() -> None:
    given = Request((Key("gamma", (0.5,)), Key("minibatch_size", (32, 64))), {"preset": "sb3"})
    filled = with_preset(given, TARGET)
    assert filled.keys[:2] == given.keys
    values = {key.name: key.values for key in filled.keys}
    assert values["gamma"] == (0.5,)
    assert values["lam"] == (0.95,)
    assert values["ac_kwargs:log_std"] == (0.0,)
    assert len(values) == len(filled.keys)


def test_a_dict_that_was_given_whole_is_left_whole() -> None:
    filled = with_preset(Request((Key("ac_kwargs", ({"hidden_sizes": [3]},)),), {"preset": "sb3"}), TARGET)
    assert [key.name for key in filled.keys if key.name.startswith("ac_kwargs")] == ["ac_kwargs"]


def test_the_documented_defaults_are_a_preset_that_changes_nothing() -> None:
    given = Request((Key("gamma", (0.5,)),), {"preset": "spinningup"})
    assert with_preset(given, TARGET) == given


def test_a_function_of_ones_own_has_no_preset() -> None:
    with pytest.raises(BadValue, match=r"mine\.py:train has no presets"):
        with_preset(Request((), {"preset": "sb3"}), "mine.py:train")


def made(*paths: Path) -> list[Path]:
    for path in paths:
        path.mkdir(parents=True)
    return list(paths)


def test_the_suggested_plot_shows_these_runs_and_no_others(here: Path) -> None:
    runs = made(here / "data/g_a1/g_a1_s0", here / "data/g_a1/g_a1_s1", here / "data/g_a2/g_a2_s0")
    assert plot_paths(runs[:2]) == ["data/g_a1"]
    assert plot_paths(runs) == ["data/g"]
    made(here / "data/g_a3")
    assert plot_paths(runs) == ["data/g_a1", "data/g_a2"]


def test_a_directory_that_is_the_beginning_of_another_is_listed(here: Path) -> None:
    runs = made(here / "data/g/g_s0", here / "data/g_a2/g_a2_s0")
    assert plot_paths(runs) == ["data/g", "data/g_a2"]


def test_many_directories_are_shown_by_their_parent(here: Path) -> None:
    runs = made(*(here / f"data/{letter}/{letter}_s0" for letter in "abcdefgh"))
    assert plot_paths(runs) == ["data"]


def test_paths_are_quoted_for_the_shell(here: Path) -> None:
    (run,) = made(here / "it's/a b/a b_s0")
    RunPaths(run).progress.write_text("Epoch\n1\n")
    RunPaths(run).model.mkdir()
    result = GridResult([RunResult({}, "a b", 0, run, "done")])
    lines = next_commands(result)
    assert shlex.split(lines[2])[4:] == ["it's/a b", "--save", "curves.png"]
    assert shlex.split(lines[3])[3:] == ["test_policy", "it's/a b/a b_s0"]


def test_nothing_is_suggested_where_nothing_came_of_it(here: Path) -> None:
    (run,) = made(here / "data/g/g_s0")
    assert next_commands(GridResult([RunResult({}, "g", 0, run, "failed")])) == []
    assert next_commands(GridResult([RunResult({}, "g", 0, run, "done")])) == []


def test_with_a_display_a_window_is_suggested(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (run,) = made(here / "data/g/g_s0")
    RunPaths(run).progress.write_text("Epoch\n1\n")
    monkeypatch.setenv("DISPLAY", ":0")
    assert next_commands(GridResult([RunResult({}, "g", 0, run, "done")]))[-1] == "  python -m gridrl.run plot data/g"


def test_runs_are_repeated_from_the_command_line(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    progress = here / "data" / "train" / "train_s0" / "progress.txt"
    assert main(["mine.py:train"]) == 0
    progress.write_text("mine")
    assert main(["mine.py:train"]) == 0
    assert progress.read_text() == "mine"
    assert main(["mine.py:train", "--force"]) == 0
    assert progress.read_text() != "mine"
    assert [path.read_text() for path in (here / "data" / ".trash").rglob("progress.txt")] == ["mine"]
    assert main(["mine.py:train", "--fresh"]) == 0
    assert len(list((here / "data" / ".trash").rglob("progress.txt"))) == 2
    capfd.readouterr()
    assert main(["mine.py:train", "--lr", "0.1", "0.2", "--only-failed"]) == 1  # not all of them are done
    assert "2 runs, 2 left out\n" in capfd.readouterr().out
    assert main(["mine.py:train", "--only-failed", "--fresh"]) == 2
    assert "only_failed and fresh do not go together" in capfd.readouterr().err
