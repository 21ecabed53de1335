"""Runs that were done under other code: recognised, skipped, repeated or accepted, as the user says."""

from __future__ import annotations

import importlib
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gridrl.errors import BadValue
from gridrl.launch.result import GridResult
from gridrl.launch.resuming import Resume
from gridrl.log.claims import latest_claim
from gridrl.log.code_record import mixes_code
from gridrl.run import main
from tests.launch.helpers import config_of, run

MINE = """
from pathlib import Path

from parts import scaled
from gridrl.signature import grows


@grows("epochs")
def train(lr: float = 0.1, epochs: int = 1, fail: bool = False, seed: int = 0, logger_kwargs: dict = dict()):
    directory = Path(logger_kwargs["output_dir"])
    with open(directory / "calls.txt", "a") as file:
        file.write(f"{scaled(lr)} ")
    (directory / "checkpoints").mkdir(exist_ok=True)
    if (save := directory.parent.parent / "save").exists():
        (directory / "checkpoints" / f"mine_000001{save.read_text()}").write_text("")
    if (directory.parent.parent / "fail").exists():
        raise ArithmeticError("it was asked for")
"""
PARTS = "def scaled(x):\n    return 2 * x\n"
OTHER = "def scaled(x):\n    return 3 * x\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a function and a module that it uses."""
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "parts.py").write_text(PARTS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def train(here: Path, keys: dict[str, Any] | None = None, **options: Any) -> GridResult:
    return run(f"{here}/mine.py:train", here / "data", keys=keys or {"lr": [1.0, 2.0]}, **options)


def edit(here: Path) -> None:
    (here / "parts.py").write_text(OTHER)


def calls(result: GridResult) -> list[str]:
    return [(found.run_dir / "calls.txt").read_text().strip() for found in result]


def code_of(result: GridResult, place: int = 0) -> Any:
    return config_of(result[place].run_dir)["code"]


ONE = (
    "1 run done under other code, skipped as stale: --force stale runs it again, --accept-code takes it as made by the "
    'present code (in a script: force="stale", accept_code=True)'
)
TWO = (
    "2 runs done under other code, skipped as stale: --force stale runs them again, --accept-code takes them as made "
    'by the present code (in a script: force="stale", accept_code=True)'
)


def test_after_an_edit_finished_runs_are_skipped_and_told(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = train(here)
    assert code_of(first) == code_of(first, 1) == {"hash": code_of(first)["hash"]}
    edit(here)
    capsys.readouterr()
    again = train(here, {"lr": [1.0, 2.0, 3.0]})
    told = capsys.readouterr().out.splitlines()
    assert told.count(TWO) == 1
    assert "3 runs, 2 stale; 1 at once (jobs), 1 rank each (num_cpu)" in told
    assert [line.split() for line in told if line.startswith("g_lr")] == [
        ["g_lr1-0", "0", "stale"],
        ["g_lr2-0", "0", "stale"],
        ["g_lr3-0", "0", "done", told[-2].split()[3], "s"],
    ]
    assert told[-1] == "1 done, 2 stale."
    assert [(r.state, r.skipped, r.stale) for r in again] == [("done", True, True)] * 2 + [("done", False, False)]
    assert again.ok
    assert again.counts() == {"stale": 2, "done": 1}
    assert calls(again) == ["2.0", "4.0", "9.0"]
    assert code_of(again) == code_of(first) != code_of(again, 2)


def test_what_is_as_it_was_is_not_stale(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(here)
    (here / "parts.py").write_text("# doubles\n\n" + PARTS)
    capsys.readouterr()
    assert train(here).counts() == {"skipped": 2}
    assert "2 runs, 2 done already\n" in capsys.readouterr().out
    edit(here)
    assert train(here).counts() == {"stale": 2}
    (here / "parts.py").write_text(PARTS)
    assert train(here).counts() == {"skipped": 2}


def test_runs_without_a_hash_are_not_stale(here: Path) -> None:
    first = train(here)
    config = config_of(first[0].run_dir)
    for code in (None, 3, {}, {"hash": 4}):
        (first[0].run_dir / "config.json").write_text(json.dumps({**config, "code": code}))
        edit(here)
        assert train(here).counts() == {"skipped": 1, "stale": 1}
        assert train(here, force="stale", dry_run=True)[0].skipped


def test_only_the_stale_ones_run_again_from_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(here, {"lr": [1.0]})
    edit(here)
    train(here)  # the second value under the new code
    capsys.readouterr()
    shown = train(here, force="stale", dry_run=True)
    told = capsys.readouterr().out
    assert "2 runs, 1 done already, 1 done, to be run again; 1 at once" in told
    assert "1 earlier run to be moved to .trash\n" in told
    assert "other code" not in told
    assert [(r.prospect, r.stale) for r in shown] == [("again", False), ("", False)]
    again = train(here, force="stale")
    assert calls(again) == ["3.0", "6.0"]
    assert again.counts() == {"done": 1, "skipped": 1}
    assert [path.read_text() for path in (here / "data" / ".trash").rglob("calls.txt")] == ["2.0 "]
    assert code_of(again) == code_of(again, 1) == {"hash": code_of(again)["hash"]}
    assert train(here, force="stale").counts() == {"skipped": 2}


def test_plain_force_repeats_all_that_is_done(here: Path) -> None:
    train(here, {"lr": [1.0]})
    edit(here)
    train(here)
    assert calls(train(here, force=True)) == ["3.0", "6.0"]


def test_accepted_runs_count_as_made_by_the_present_code(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = train(here)
    path = first[0].run_dir / "config.json"
    former = config_of(first[0].run_dir)
    path.write_text(json.dumps({**former, "code": {**former["code"], "commit": "abc"}, "algorithm": {"x": 1}}))
    edit(here)
    capsys.readouterr()
    assert train(here, accept_code=True, dry_run=True).counts() == {"skipped": 2}
    assert "2 runs done under other code would count as made by the present code from now on" in capsys.readouterr().out
    assert train(here).counts() == {"stale": 2}
    capsys.readouterr()
    accepted = train(here, accept_code=True)
    told = capsys.readouterr().out.splitlines()
    assert told.count("2 runs done under other code count as made by the present code from now on") == 1
    assert "2 runs, 2 done already" in told
    assert accepted.counts() == {"skipped": 2}
    assert calls(accepted) == ["2.0", "4.0"]
    code = code_of(accepted)
    assert code == {"hash": code["hash"], "accepted": [former["code"]["hash"]], "commit": "abc"}
    assert code["hash"] != former["code"]["hash"]
    now = config_of(first[0].run_dir)
    assert {**now, "code": 0} == {**former, "algorithm": {"x": 1}, "code": 0}
    assert train(here).counts() == {"skipped": 2}
    claim = latest_claim(first[0].run_dir)
    assert claim is not None
    assert claim.is_released
    (here / "parts.py").write_text(PARTS)
    again = train(here, accept_code=True)
    assert code_of(again)["accepted"] == [code["hash"]]
    assert code_of(again)["hash"] == former["code"]["hash"]


@pytest.mark.parametrize("checkpoint", [".pt", ".plain", ""])
def test_a_run_that_goes_on_names_all_code_that_it_ran_under(
    here: Path, capsys: pytest.CaptureFixture[str], checkpoint: str
) -> None:
    has_checkpoint = bool(checkpoint)
    (here / "data").mkdir()
    (here / "data" / "fail").write_text("")
    if has_checkpoint:
        (here / "data" / "save").write_text(checkpoint)
    keys = {"lr": [1.0]}
    old = code_of(train(here, keys))["hash"]
    edit(here)
    capsys.readouterr()
    new = code_of(failed := train(here, keys, code="new"))["hash"]
    line = "1 run goes on from checkpoints made under other code; config.json names all code that it ran under"
    assert (line in capsys.readouterr().out.splitlines()) == has_checkpoint
    assert code_of(failed) == ({"hash": new, "ran_under": [old, new]} if has_checkpoint else {"hash": new})
    (here / "data" / "fail").unlink()
    done = train(here, keys)
    assert done.counts() == {"done": 1}
    assert line not in capsys.readouterr().out.splitlines()
    assert code_of(done) == ({"hash": new, "ran_under": [old, new]} if has_checkpoint else {"hash": new})
    assert train(here, keys).counts() == {"skipped": 1}
    assert mixes_code([config_of(done[0].run_dir)]) == has_checkpoint


def test_a_run_that_has_grown_goes_on_under_the_present_code(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "data").mkdir()
    (here / "data" / "save").write_text(".pt")
    old = code_of(train(here, {"epochs": [1]}))["hash"]
    edit(here)
    capsys.readouterr()
    with pytest.raises(BadValue, match=r"Your code has changed since 1 of these runs was queued: parts\.py\."):
        train(here, {"epochs": [2]})
    grown = train(here, {"epochs": [2]}, code="new")
    assert "1 run goes on from checkpoints made under other code" in capsys.readouterr().out
    new = code_of(grown)["hash"]
    assert code_of(grown) == {"hash": new, "ran_under": [old, new]}
    (here / "parts.py").write_text(PARTS)
    accepted = code_of(train(here, {"epochs": [3]}, accept_code=True))
    assert accepted == {"hash": old, "accepted": [new]}
    edit(here)
    assert code_of(train(here, {"epochs": [4]}, force="stale")) == {"hash": new}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"force": "stael"}, "force='stael': True, False or 'stale' is wanted. Did you mean 'stale'?"),
        ({"accept_code": 1}, "accept_code=1: True or False is wanted."),
        ({"force": "stale", "accept_code": True}, "force and accept_code do not go together: choose one of them."),
        ({"fresh": True, "accept_code": True}, "fresh and accept_code do not go together: choose one of them."),
        ({"only_failed": True, "force": "stale"}, "only_failed and force do not go together: choose one of them."),
    ],
)
def test_wishes_that_make_no_sense_are_told(here: Path, given: dict[str, Any], message: str) -> None:
    with pytest.raises(BadValue) as told:
        train(here, **given)
    assert str(told.value) == message


def test_only_what_failed_goes_together_with_accepting() -> None:
    Resume(only_failed=True, accept_code=True).check()


def test_the_command_line_has_all_of_it(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = shlex.split("mine.py:train --lr 1")
    calls_file = here / "data" / "train" / "train_s0" / "calls.txt"
    assert main(words) == 0
    edit(here)
    capfd.readouterr()
    assert main(words) == 0
    assert ONE in capfd.readouterr().out.splitlines()
    assert main([*words, "--accept-code"]) == 0
    assert "1 run done under other code counts as made by the present code from now on\n" in capfd.readouterr().out
    assert main([*words, "--force", "stale"]) == 0
    assert calls_file.read_text() == "2 "
    (here / "parts.py").write_text("def scaled(x):\n    return 5 * x\n")
    assert main([*words, "--force", "stale", "--dry-run"]) == 0
    assert main([*words, "--force", "stale"]) == 0
    assert calls_file.read_text() == "5 "
    assert main([*words, "--force"]) == 0
    assert len(list((here / "data" / ".trash").rglob("calls.txt"))) == 2
    capfd.readouterr()
    assert main([*words, "--force", "stael"]) == 2
    assert "`--force`: " in capfd.readouterr().err


def test_an_edited_program_makes_its_runs_stale(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    program = here / "program.py"
    program.write_text("import parts\nprint('it gives', parts.scaled(1))\n")
    words = ["script", str(program), "--lr", "1", "2", "--data_dir", str(here / "data")]
    assert main(words) == 0
    assert main(words) == 0
    assert "2 runs, 2 done already" in capfd.readouterr().out
    program.write_text("import parts  # ours\nprint('it gives', parts.scaled(1))\n")
    assert main(words) == 0
    assert "2 runs, 2 done already" in capfd.readouterr().out
    edit(here)
    assert main(words) == 0
    assert TWO in capfd.readouterr().out.splitlines()
    assert main([*words, "--force", "stale"]) == 0
    logs = list((here / "data").glob("program*/*/stdout.log"))
    assert [log.read_text() for log in logs] == ["it gives 3\n", "it gives 3\n"]


def test_a_function_and_its_name_are_one_run_under_one_code(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(here))
    for name in ("mine", "parts"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    importlib.invalidate_caches()
    run("mine:train", here / "data")
    by_name = importlib.import_module("mine").train
    assert run(by_name, here / "data").counts() == {"skipped": 1}
    for name in ("mine", "parts"):
        del sys.modules[name]


CELL = """
from gridrl import ExperimentGrid

def train(lr, seed):
    print({result})

grid = ExperimentGrid("cell")
grid.add("lr", [1.0])
grid.run(train, data_dir="data")
"""


def test_a_function_of_a_notebook_that_was_edited_is_stale_not_new(tmp_path: Path) -> None:
    def prompt(result: str) -> str:
        """What a program without a file says, as a notebook or a prompt is one."""
        command = [sys.executable, "-c", CELL.format(result=result)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True).stdout

    prompt("lr + seed")
    assert "1 done before" in prompt("lr + seed")
    assert "1 run done under other code, skipped as stale" in prompt("lr - seed")
    assert len(list((tmp_path / "data").glob("*/*_s*"))) == 1
