"""The front door of the command line: what it finds, how it ends, what it costs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import gridrl
from gridrl import run
from gridrl.algos import ALGOS
from gridrl.commands import COMMANDS
from gridrl.errors import ExperimentFailed, GridRLWarning, MPIError
from gridrl.run import main

HEAVY = ("torch", "numpy", "matplotlib", "gymnasium", "mpi4py", "rich")


def ended(*words: str, cwd: Path, python: tuple[str, ...] = ("-m", "gridrl.run")) -> subprocess.CompletedProcess[str]:
    """A command line in a process of its own."""
    return subprocess.run(
        [sys.executable, *python, *words], cwd=cwd, capture_output=True, text=True, timeout=120, check=False
    )


def test_nothing_typed_is_the_general_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    text = capsys.readouterr().out
    for words in (["help"], ["--help"], ["-h"]):
        assert main(words) == 0
        assert capsys.readouterr().out == text
    for name in (*ALGOS, *COMMANDS, "my_module:train", "file.py:train"):
        (line,) = (line for line in text.splitlines() if line.startswith(f"  {name} "))
        assert len(line.split()) > 2, f"{name} has no meaning"


def test_every_command_has_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    for name in COMMANDS:
        assert main(["help", name]) == 0
        assert capsys.readouterr().out.startswith(("python -m gridrl.run", "gridrl: "))


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"gridrl {gridrl.__version__}\n"


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("pop", "`pop`: gridrl has no such command. Did you mean `ppo`?"),
        ("polt", "`polt`: gridrl has no such command. Did you mean `plot`?"),
        ("npg", "`npg`: gridrl has no such command. It is an option of another algorithm: `trpo --algo npg`."),
        ("xyzzy", "`xyzzy`: gridrl has no such command."),
        ("--env", "`--env`: gridrl has no such command. The first word is a command or an algorithm."),
        ("train.py", "`train.py`: gridrl has no such command. Name a function in it: `train.py:train`."),
        ("mine.train", "`mine.train`: gridrl has no such command. A function of yours is written `mine:train`."),
        (":train", "`:train`: gridrl has no such command."),
    ],
)
def test_an_unknown_command_is_told(word: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([word, "--seed", "0"]) == 2
    assert capsys.readouterr() == ("", f"{message} See `python -m gridrl.run --help`.\n")


def test_a_module_or_function_that_is_not_there_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("def train(): ...")
    for word in ("mine.py:trian", "mien.py:train", "no_such_module:train"):
        assert main([word]) == 2
        err = capsys.readouterr().err
        assert word.partition(":")[0].removesuffix(".py") in err
        assert f"See `python -m gridrl.run {word} --help`." in err
        assert "Traceback" not in err


@pytest.mark.parametrize(
    ("raised", "status", "printed"),
    [
        (ExperimentFailed("it failed"), 1, "it failed\n"),
        (MPIError("no mpiexec"), 2, "no mpiexec\n"),
        (KeyboardInterrupt(), 130, ""),
        (SystemExit(0), 0, ""),
        (SystemExit(3), 3, ""),
        (SystemExit(None), 0, ""),
    ],
)
def test_every_end_has_its_exit_status(
    raised: BaseException,
    status: int,
    printed: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def end(words: list[str]) -> int:
        raise raised

    monkeypatch.setattr(run, "dispatch", end)
    assert main(["ppo"]) == status
    assert capsys.readouterr().err == printed


def test_a_fault_of_ours_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def end(words: list[str]) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(run, "dispatch", end)
    with pytest.raises(ZeroDivisionError):
        main(["ppo"])


def test_the_words_are_those_of_the_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["gridrl", "--version"])
    with pytest.raises(SystemExit) as end:
        run.entry()
    assert end.value.code == 0
    assert "gridrl" in capsys.readouterr().out


def test_our_warnings_are_one_line() -> None:
    assert run._one_line(GridRLWarning("mind the gap"), GridRLWarning, "f.py", 3) == "Warning: mind the gap\n"
    assert run._one_line(UserWarning("other"), UserWarning, "f.py", 3) == "f.py:3: UserWarning: other\n"


@pytest.mark.parametrize("words", [[], ["ppo", "--help"], ["plot", "--help"], ["test_policy", "--help"], ["pop"]])
def test_help_loads_nothing_heavy(words: list[str], tmp_path: Path) -> None:
    code = (
        "import sys\nfrom gridrl.run import main\n"
        f"main({words!r})\n"
        f"import json; print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    )
    found = ended(cwd=tmp_path, python=("-c", code))
    assert json.loads(found.stdout.splitlines()[-1]) == [], found.stderr


def test_a_process_ends_with_the_status_and_without_a_traceback(tmp_path: Path) -> None:
    found = ended("ppo", "--env", "CartPole-v1", "--hidd", "3", cwd=tmp_path)
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr == (
        "`--hidd`: ppo has no such option. Did you mean `--hid` (ac_kwargs:hidden_sizes)? "
        "See `python -m gridrl.run ppo --help`.\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_the_package_itself_can_be_run(tmp_path: Path) -> None:
    assert ended("--version", cwd=tmp_path, python=("-m", "gridrl")).stdout == f"gridrl {gridrl.__version__}\n"


def test_modules_of_the_working_directory_are_found_by_the_script(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text('def train(lr: float = 1.0):\n    """Trains mine."""\n')
    code = "from gridrl.run import entry; entry()"
    found = ended("mine:train", "--help", cwd=tmp_path, python=("-P", "-c", code))  # -P: not through Python itself
    assert (found.returncode, found.stderr) == (0, "")
    assert "Trains mine." in found.stdout


@pytest.mark.parametrize("words", [["ppo", "--help"], ["help"]])
def test_a_reader_that_goes_away_is_no_fault(words: list[str], tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        found = subprocess.run(
            [sys.executable, "-m", "gridrl.run", *words],
            cwd=tmp_path, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=120, check=False,
        )  # fmt: skip
    finally:
        os.close(writing)
    assert (found.returncode, found.stderr) == (1, "")


def test_standard_output_may_be_closed(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def train(seed): ...\n")
    command = f"exec '{sys.executable}' -m gridrl.run mine.py:train >&-"
    found = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (found.returncode, found.stderr) == (0, "")


def test_ctrl_c_is_130(tmp_path: Path) -> None:
    code = "import gridrl.run, os, signal; gridrl.run.dispatch = lambda words: os.kill(os.getpid(), signal.SIGINT)\n"
    found = ended(cwd=tmp_path, python=("-c", code + "gridrl.run.entry()"))
    assert (found.returncode, found.stderr) == (130, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
@pytest.mark.parametrize("words", [["help"], ["json:dumps", "--obj", "1", "--data_dir", "d"]])
def test_output_that_cannot_be_written_is_told_in_a_line(tmp_path: Path, words: list[str]) -> None:
    with open("/dev/full", "w") as full:
        process = subprocess.run(
            [sys.executable, "-m", "gridrl.run", *words],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
            check=False,
        )
    assert (process.returncode, process.stderr) == (1, "Standard output cannot be written: No space left on device.\n")
