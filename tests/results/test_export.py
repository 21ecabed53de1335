"""Finished runs in the forms of other tools, read back by these tools."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gridrl.errors import BadValue
from gridrl.log.record import Status, write_status
from gridrl.results.export import Exported, export
from gridrl.results.reader import find_runs
from gridrl.run import main
from tests.results.made_runs import MakeRun


@pytest.fixture
def two_runs(make_run: MakeRun) -> None:
    """Two variants, one with text and a gap."""
    rows = {"TotalEnvInteracts": [100, 200], "AverageEpRet": [0.1, 1e-300], "Time": [1, 2]}
    make_run("a", 0, rows, variant={"lr": 0.1, "net": {"hid": [64, 64]}, "seed": 0}, env={"id": "E-v0"})
    gaps = {"TotalEnvInteracts": [100, 200], "AverageEpRet": ["nan", 3], "Note": ['x,"y"', 7]}
    make_run("b", 1, gaps, variant={"lr": 0.2, "net": {"hid": [64, 64]}, "seed": 1})


HEAD = ["run", "name", "condition", "env", "seed", "state", "lr"]


@pytest.mark.usefixtures("two_runs")
def test_csv_is_one_tidy_table(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "runs.csv"
    assert export(find_runs(data), "csv", out) == Exported(out, 2, 4)
    with open(out, newline="") as file:
        head, *rows = csv.reader(file)
    assert head == [*HEAD, "TotalEnvInteracts", "AverageEpRet", "Time", "Note"]
    assert rows[1] == [str(data / "a" / "a_s0"), "a", "a", "E-v0", "0", "", "0.1", "200.0", "1e-300", "2.0", ""]
    assert rows[2][6:] == ["0.2", "100.0", "", "", 'x,"y"']
    assert rows[3][6:] == ["0.2", "200.0", "3.0", "", "7.0"]


@pytest.mark.usefixtures("two_runs")
def test_parquet_reads_back_as_the_frame(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "runs.parquet"
    assert export(find_runs(data), "parquet", out) == Exported(out, 2, 4)
    frame, expected = pandas.read_parquet(out), find_runs(data).to_frame()
    assert list(frame.columns) == list(expected.columns) == [*HEAD, "TotalEnvInteracts", "AverageEpRet", "Time", "Note"]
    for name in ("run", "name", "seed", "lr", "TotalEnvInteracts"):
        assert frame[name].tolist() == expected[name].tolist()
    np.testing.assert_array_equal(frame["AverageEpRet"], [0.1, 1e-300, np.nan, 3])
    assert frame["Note"].tolist()[2:] == ['x,"y"', "7.0"]  # one kind a column


@pytest.mark.usefixtures("two_runs")
def test_tensorboard_shows_every_number_at_its_step(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "events"
    assert export(find_runs(data), "tensorboard", out) == Exported(out, 2, 4)
    shown = EventAccumulator(str(out / "a" / "a_s0"))
    shown.Reload()
    assert sorted(shown.Tags()["scalars"]) == ["AverageEpRet", "Time", "TotalEnvInteracts"]
    assert [(event.step, event.value) for event in shown.Scalars("Time")] == [(100, 1), (200, 2)]
    first, last = (event.wall_time for event in shown.Scalars("Time"))
    assert last - first == pytest.approx(1)
    assert "_hparams_/session_start_info" in shown.summary_metadata
    again = find_runs(out)
    assert [(run.name, run.seed) for run in again] == [("a", 0), ("b", 1)]
    assert again[1]["Performance"].tolist() == pytest.approx([np.nan, 3], nan_ok=True)
    assert "Note" not in again[1].column_names or np.isnan(again[1]["Note"][0])


def test_each_run_has_a_place_of_its_own(make_run: MakeRun, data: Path, tmp_path: Path) -> None:
    for name in ("x", "y"):
        make_run(f"{name}/a", 0, variant={})
    export(find_runs([data / "x", data / "y"]), "tensorboard", tmp_path / "events")
    found = sorted(str(path.parent.relative_to(tmp_path / "events")) for path in (tmp_path / "events").rglob("events*"))
    assert len(found) == len(set(found)) == 2
    export(find_runs(data / "x" / "a"), "tensorboard", tmp_path / "one")
    assert len(list((tmp_path / "one").rglob("events*"))) == 1


@pytest.mark.usefixtures("two_runs")
def test_wandb_gets_a_run_for_each_run(data: Path, tmp_path: Path) -> None:
    """In a process of its own, offline; what has been written is read with W&B's own records."""
    home = str(tmp_path / "home")
    variables = ("WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR", "WANDB_ARTIFACT_DIR", "HOME")
    ended = subprocess.run(
        [sys.executable, "-m", "gridrl.run", "export", str(data), "--to", "wandb", "--out", str(tmp_path / "out")],
        env=os.environ | dict.fromkeys(variables, home) | {"WANDB_MODE": "offline", "WANDB_DIR": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, f"Wrote 2 runs with 4 rows to {tmp_path}/out\n"), ended.stderr
    files = sorted(
        (tmp_path / "out" / "wandb").glob("offline-run-*/run-*.wandb"), key=lambda path: path.stat().st_mtime_ns
    )
    assert len(files) == 2
    config, history = wandb_records(files[0])
    assert (config["lr"], config["net:hid"], config["seed"], config["env"]) == ("0.1", "[64,64]", "0", '"E-v0"')
    assert history == [
        {"TotalEnvInteracts": "100", "AverageEpRet": "0.1", "Time": "1", "_step": "100"},
        {"TotalEnvInteracts": "200", "AverageEpRet": "1e-300", "Time": "2", "_step": "200"},
    ]


READ_WANDB = """
import json, sys
from wandb.proto import wandb_internal_pb2 as pb

# LevelDB's log: blocks of 32 KiB; in front of each piece its check (4 bytes), its length (2) and its kind (1)
content, at, whole, config, rows = open(sys.argv[1], "rb").read(), 7, b"", {}, []
while at + 7 <= len(content):
    if at % 32768 > 32768 - 7:
        at += 32768 - at % 32768
    length, kind = int.from_bytes(content[at + 4 : at + 6], "little"), content[at + 6]
    whole += content[at + 7 : at + 7 + length]
    at += 7 + length
    if kind in (1, 4):  # whole, or the last piece
        record, whole = pb.Record.FromString(whole), b""
        config |= {item.key: item.value_json for item in record.run.config.update}
        items = {item.key or "/".join(item.nested_key): item.value_json for item in record.history.item}
        rows += [{key: items[key] for key in items if key not in ("_runtime", "_timestamp")}] if items else []
print(json.dumps([config, rows]))
"""


def wandb_records(path: Path) -> tuple[dict[str, str], list[dict[str, str]]]:
    """The configuration and the rows of a W&B file, as JSON."""
    ended = subprocess.run(
        [sys.executable, "-c", READ_WANDB, str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr
    config, rows = json.loads(ended.stdout)
    return config, rows


@pytest.mark.usefixtures("two_runs")
def test_nothing_is_overwritten(data: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    for name in ("runs.csv", "full/x"):
        (tmp_path / name).write_text("precious")
    for form, name in (("csv", "runs.csv"), ("parquet", "runs.csv"), ("tensorboard", "full"), ("csv", "full")):
        with pytest.raises(BadValue, match="Nothing is overwritten: name another one"):
            export(find_runs(data), form, tmp_path / name)
    assert (tmp_path / "runs.csv").read_text() == "precious"
    (tmp_path / "empty").mkdir()
    assert export(find_runs(data), "tensorboard", tmp_path / "empty").runs == 2


@pytest.mark.usefixtures("two_runs")
def test_runs_that_still_run_are_left_out_and_told(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_status(data / "a" / "a_s0", Status("running"))
    out = tmp_path / "runs.csv"
    assert main(["export", str(data), "--to", "csv", "--out", str(out)]) == 0
    assert capsys.readouterr() == (
        f"Wrote 1 run with 2 rows to {out}\n",
        f"Warning: left out {data}/a/a_s0: is not over yet (running)\n",
    )
    write_status(data / "b" / "b_s1", Status("queued"))
    with pytest.raises(BadValue) as told:
        export(find_runs(data), "csv", tmp_path / "other.csv")
    assert str(told.value).splitlines() == [
        f"There is no finished run with rows in {data}.",
        f"left out {data}/a/a_s0: is not over yet (running)",
        f"left out {data}/b/b_s1: is not over yet (queued)",
    ]
    assert not (tmp_path / "other.csv").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["--to", "cvs", "--out", "x"],
            "`--to`: there is no 'cvs'. Did you mean 'csv'? There are: tensorboard, wandb, ",
        ),
        (["--to", "csv"], "`--out` is missing: where should csv be written? `--out runs.csv`"),
        (["--to", "csv", "--out", "/proc/nowhere/x.csv"], "`--out`: /proc/nowhere cannot be written: "),
        ([], "--to is missing."),
    ],
)
@pytest.mark.usefixtures("two_runs")
def test_what_is_typed_wrong_is_told(
    data: Path, words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(data), *words]) == 2
    assert capsys.readouterr().err.startswith(told)


@pytest.mark.usefixtures("two_runs")
@pytest.mark.parametrize(("form", "package"), [("parquet", "pyarrow"), ("wandb", "wandb")])
def test_what_is_not_installed_is_told(
    data: Path, tmp_path: Path, form: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(BadValue, match=f"`--to {form}` needs {package}, which"):
        export(find_runs(data), form, tmp_path / "out")
