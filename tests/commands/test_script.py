"""Foreign programs over a grid: what they get, and what is recorded of them."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gridrl.commands.script import read_script
from gridrl.errors import BadValue
from gridrl.run import main
from tests.launch.disturbing import signal_after

TRAIN = """
import json, os, sys
print(json.dumps([sys.argv[1:], os.environ["GRIDRL_SEED"], os.environ["GRIDRL_RUN_DIR"], os.environ["GRIDRL_ATTEMPT"]]))
if "--fails" in sys.argv:
    sys.exit("no luck")
"""


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str], str]:
    """Writes a program and gives its path."""

    def write(text: str = TRAIN) -> str:
        path = tmp_path / "train.py"
        path.write_text(text)
        return str(path)

    return write


def told(run_dir: Path) -> Any:
    return json.loads((run_dir / "stdout.log").read_text().splitlines()[-1])


def test_a_program_gets_its_options_as_they_were_typed(
    program: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "my data"
    words = ["script", program(), "fit", "--lr", "1e-3", "1e-4", "--Fast-mode", "--out", "{run_dir}/{seed}.pt"]
    words += ["--seed", "3", "--data-dir", str(data), "--jobs", "2", "--", "--timeout", "5"]
    assert main(words) == 0
    run_dirs = [data / f"train_lr{lr}" / f"train_lr{lr}_s3" for lr in ("1e-3", "1e-4")]
    for lr, run_dir in zip(("1e-3", "1e-4"), run_dirs, strict=True):
        options = ["--lr", lr, "--Fast-mode", "--out", f"{run_dir}/3.pt", "--timeout", "5", "--seed", "3"]
        assert told(run_dir) == [["fit", *options], "3", str(run_dir), "1"]
        assert json.loads((run_dir / "status.json").read_text())["state"] == "done"
    capsys.readouterr()
    assert main(words) == 0  # again: nothing is left to do
    assert "2 runs, 2 done already" in capsys.readouterr().out
    assert told(run_dirs[0])[3] == "1"


def test_seeds_are_no_option_of_the_program(program: Callable[..., str], tmp_path: Path) -> None:
    assert main(["script", program(), "--seeds", "2", "--data-dir", str(tmp_path / "data")]) == 0
    assert [told(tmp_path / "data" / "train" / f"train_s{seed}")[:2] for seed in (0, 1)] == [[[], "0"], [[], "1"]]


def test_a_program_that_fails_is_a_failed_run_with_its_exit_status(program: Callable[..., str], tmp_path: Path) -> None:
    assert (
        main(["script", program("import sys\nprint('no luck')\nsys.exit(3)"), "--data-dir", str(tmp_path / "d")]) == 1
    )
    status = json.loads((tmp_path / "d" / "train" / "train_s0" / "status.json").read_text())
    assert (status["state"], status["exit_code"]) == ("failed", 3)
    assert status["error"] == "ProgramFailed: train.py ended with exit status 3: no luck"


def test_an_executable_of_any_kind_runs(tmp_path: Path) -> None:
    path = tmp_path / "train"
    path.write_text('#!/bin/sh\necho "$@" > "$GRIDRL_RUN_DIR/words"\n')
    path.chmod(0o755)
    assert main(["script", str(path), "--x", "a b", "--data-dir", str(tmp_path / "d")]) == 0
    assert (tmp_path / "d" / "train" / "train_s0" / "words").read_text() == "--x a b\n"


ASKS = """
import sys
sys.path.insert(0, {root!r})
import time
from gridrl import current_run

run = current_run()
_, first = run.load() or (None, 0)
for epoch in range(first, 3000 if run.attempt == 1 else first + 2):
    if run.should_stop():
        run.save(None, step=epoch)
        break
    run.log(Epoch=epoch)
    if epoch == 0:
        run.save(None, step=1)
    time.sleep(0.02)
"""


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGUSR1])
def test_a_program_that_is_asked_to_stop_is_preempted_and_goes_on(
    program: Callable[..., str], tmp_path: Path, signum: signal.Signals
) -> None:
    words = ["script", program(ASKS.format(root=str(Path(__file__).parents[2]))), "--data-dir", str(tmp_path / "d")]
    run_dir = tmp_path / "d" / "train" / "train_s0"
    watching = signal_after(3, signum, run_dir)
    assert main(words) == 75
    watching.join(timeout=60)
    status = json.loads((run_dir / "status.json").read_text())
    assert (status["state"], status["exit_code"], status["signal"]) == ("preempted", 75, signum)
    before = len((run_dir / "progress.txt").read_text().splitlines())
    assert main(words) == 0
    rows = (run_dir / "progress.txt").read_text().splitlines()
    assert rows == ["Epoch", *map(str, range(before + 1))]


def test_a_program_that_does_not_care_is_killed(program: Callable[..., str], tmp_path: Path) -> None:
    text = (
        "import os, time\nopen(os.environ['GRIDRL_RUN_DIR'] + '/progress.txt', 'w').write('a\\n1\\n')\ntime.sleep(60)"
    )
    run_dir = tmp_path / "d" / "train" / "train_s0"
    signal_after(1, signal.SIGTERM, run_dir)
    assert main(["script", program(text), "--data-dir", str(tmp_path / "d")]) == 1
    assert json.loads((run_dir / "status.json").read_text())["state"] == "killed"


def test_several_values_and_shorthands_are_read(program: Callable[..., str]) -> None:
    request = read_script([program(), "--n", "range(0,3)", "--width[w]", "64", "--log", "x", "--cpu", "1"])
    assert [(key.name, key.values, key.shorthand) for key in request.keys[1:]] == [
        ("options:n", ("0", "1", "2"), "n"),
        ("options:width", ("64",), "w"),
        ("options:log", ("x",), "log"),
    ]
    assert request.launch == {"exp_name": "train", "num_cpu": 1}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing.py"], "`nothing.py`: there is no such program"),
        (["{train}", "--lr", "1", "--lr", "2"], "`--lr`: is given twice. Several values stand behind one option"),
        (["{train}", "--cpu", "2"], "`--num_cpu`: a program is started as one process. A run of several ranks"),
        (["{train}", "--jobs", "0"], "`--jobs`: wants at least 1, got 0"),
        (["{train}", "--seed", "x"], "`--seed`: train.py wants int, got 'x'"),
        (["{data}"], "`.*`: is neither a `\\*.py` nor executable"),
    ],
)
def test_what_is_typed_wrong_is_told(
    program: Callable[..., str], tmp_path: Path, words: list[str], message: str
) -> None:
    (tmp_path / "data.txt").write_text("")
    texts = {"train": program(), "data": str(tmp_path / "data.txt")}
    with pytest.raises(BadValue, match=message):
        read_script([word.format(**texts) for word in words])


def test_its_help_names_what_the_program_gets(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["script", "--help"]) == 0
    out = capsys.readouterr().out
    for name in ("GRIDRL_RUN_DIR", "{run_dir}", "--jobs", "--seeds N"):
        assert name in out
    assert "--preset" not in out
