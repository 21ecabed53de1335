"""The command `tensorboard`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gridrl.commands.tensorboard import tensorboard_command
from gridrl.errors import BadValue
from gridrl.run import main


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two experiments with event files, one without."""
    for name in ("a", "ab", "c"):
        path = tmp_path / name / f"{name}_s0"
        path.mkdir(parents=True)
        (path / "progress.txt").write_text("Epoch\n1\n")
        if name != "c":
            (path / "tensorboard").mkdir()
            (path / "tensorboard" / "events.out.tfevents.1.host").write_text("")
    return tmp_path


def test_one_directory_is_handed_on(data: Path) -> None:
    assert tensorboard_command([str(data)], ["--port=1"]) == [
        sys.executable, "-m", "tensorboard.main", "--logdir", str(data), "--port=1",
    ]  # fmt: skip


def test_of_several_directories_those_with_events_are_shown(data: Path) -> None:
    dirs = [str(data / name) for name in ("a", "ab", "c")]
    assert tensorboard_command(dirs)[3:] == ["--logdir_spec", f"{dirs[0]}:{dirs[0]},{dirs[1]}:{dirs[1]}"]


def test_other_programs_events_are_shown_too(data: Path) -> None:
    (data / "runs" / "x").mkdir(parents=True)
    (data / "runs" / "x" / "events.out.tfevents.1.host").write_text("")
    assert tensorboard_command([str(data / "runs")])[3:] == ["--logdir", str(data / "runs")]


def test_runs_without_events_are_told_how_to_have_some(data: Path) -> None:
    with pytest.raises(BadValue) as told:
        tensorboard_command([str(data / "c")])
    assert str(told.value) == (
        f"{data}/c: 1 run, none with TensorBoard's event files. "
        "They are written by runs that are started with `--log tensorboard`."
    )


def test_names_that_tensorboard_cannot_take_are_told(data: Path) -> None:
    (data / "a").rename(data / "a,b")
    with pytest.raises(BadValue, match="TensorBoard takes no comma and no colon there"):
        tensorboard_command([str(data / "a,b"), str(data / "ab")])


def test_it_must_be_installed(data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("gridrl.commands.tensorboard.is_installed", lambda package: False)
    assert main(["tensorboard", str(data)]) == 2
    assert capsys.readouterr().err.startswith("TensorBoard is not installed: pip install 'gridrl[tensorboard]'. See ")


class Process:
    """Stands for a TensorBoard that was interrupted, or has ended."""

    def __init__(self, *results: int | BaseException) -> None:
        self.results = list(results)
        self.terminated = False

    def wait(self) -> int:
        result = self.results.pop(0)
        if isinstance(result, BaseException):
            raise result
        return result

    def terminate(self) -> None:
        self.terminated = True


@pytest.mark.parametrize(
    ("results", "status", "terminated"), [([0], 0, False), ([1], 1, False), ([KeyboardInterrupt(), -15], 0, True)]
)
def test_it_runs_until_it_ends_or_is_interrupted(
    data: Path, monkeypatch: pytest.MonkeyPatch, results: list[int | BaseException], status: int, terminated: bool
) -> None:
    process = Process(*results)
    commands = []

    def start(command: list[str]) -> Process:
        commands.append(command)
        return process

    monkeypatch.setattr(subprocess, "Popen", start)
    assert main(["tensorboard", str(data), "--port", "7000", "--host", "0.0.0.0"]) == status
    assert commands[0][-2:] == ["--port=7000", "--host=0.0.0.0"]
    assert process.terminated == terminated
    assert not process.results
