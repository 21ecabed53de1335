"""Finding runs, by directory and by the beginning of a name; nothing that is broken stops the rest."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridrl.errors import BadValue, ColumnError
from gridrl.log.record import Status, write_status
from gridrl.results.places import matching_dirs, natural
from gridrl.results.reader import find_runs, runs_near
from tests.results.made_runs import MakeRun


def names(*dirs: Path | str) -> list[str]:
    return [run.dir.name for run in find_runs(dirs).runs]


def test_a_run_is_read(make_run: MakeRun, data: Path) -> None:
    path = make_run("ppo", 3, variant={"gamma": 0.9})
    (run,) = find_runs([data]).runs
    assert (run.dir, run.logdir, run.name, run.seed, run.num_rows, run.state) == (path, data, "ppo", 3, 2, "")
    assert run.config["variant"] == {"gamma": 0.9}
    assert run["AverageEpRet"].tolist() == [1.0, 2.0]


def test_runs_come_by_directory_then_by_name_with_numbers_in_order(make_run: MakeRun, data: Path) -> None:
    for name, seed in (("b", 10), ("b", 2), ("a", 0)):
        make_run(name, seed)
    assert names(data) == ["a_s0", "b_s2", "b_s10"]
    assert names(data / "b", data / "a") == ["b_s2", "b_s10", "a_s0"]
    assert names(data / "b" / "b_s10") == ["b_s10"]


def test_a_run_that_is_found_twice_counts_once(make_run: MakeRun, data: Path) -> None:
    make_run("a", 0)
    assert names(data, data / "a", data) == ["a_s0"]


def test_the_beginning_of_a_name_finds_all_that_begin_so(make_run: MakeRun, data: Path) -> None:
    for name in ("ppo_hid32", "ppo_hid64-64", "ppo", "vpg_ppo"):
        make_run(name, 0)
    assert names(data / "ppo_") == ["ppo_hid32_s0", "ppo_hid64-64_s0"]
    assert names(data / "pp") == ["ppo_s0", "ppo_hid32_s0", "ppo_hid64-64_s0"]


def test_a_directory_that_is_there_is_meant_itself(make_run: MakeRun, data: Path) -> None:
    for name in ("ppo", "ppo_hid32"):
        make_run(name, 0)
    assert names(data / "ppo") == ["ppo_s0"]


def test_a_relative_path_without_a_slash_works(make_run: MakeRun, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_run("t1", 0)
    monkeypatch.chdir(data)
    assert names("t") == names("t1") == names("t1/") == names(".") == ["t1_s0"]


def test_a_home_directory_is_expanded(make_run: MakeRun, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_run("t1", 0)
    monkeypatch.setenv("HOME", str(data))
    assert names("~/t1") == ["t1_s0"]


def test_what_is_not_there_is_told_with_what_is_near(make_run: MakeRun, data: Path) -> None:
    make_run("cartpole", 0)
    with pytest.raises(BadValue) as told:
        find_runs([data / "cartpule", data / "xyzzy", data / "cartpole" / "cartpole_s7", data / "nowhere" / "x"])
    assert str(told.value).splitlines() == [
        f"{data}/cartpule: {data} has no directory that starts with 'cartpule'. Did you mean 'cartpole'?",
        f"{data}/xyzzy: {data} has no directory that starts with 'xyzzy'. There are: cartpole.",
        f"{data}/cartpole/cartpole_s7: {data}/cartpole has no directory that starts with 'cartpole_s7'."
        " Did you mean 'cartpole_s0'?",
        f"{data}/nowhere/x: {data} has no directory that starts with 'nowhere'. There are: cartpole.",
    ]


def test_a_file_is_no_directory(make_run: MakeRun, data: Path) -> None:
    progress = make_run("a", 0) / "progress.txt"
    with pytest.raises(BadValue, match="is a file; its directory is wanted"):
        find_runs([progress])


def test_what_has_no_rows_is_set_aside_with_a_reason(make_run: MakeRun, data: Path) -> None:
    make_run("good", 0)
    (make_run("bad", 0) / "progress.txt").write_text("")
    (make_run("bad", 1) / "progress.txt").write_text("Epoch\tAverageEpRet\n")
    queued = make_run("bad", 2)
    (queued / "progress.txt").unlink()
    write_status(queued, Status("queued"))
    (data / "nothing").mkdir()
    found = find_runs([data])
    assert [run.name for run in found.with_rows()] == [run.name for run in found.runs] == ["good"]
    assert [str(skipped) for skipped in found.skipped] == [
        f"{data}/bad/bad_s2: no row yet (queued)",
        f"{data}/bad/bad_s0/progress.txt: is empty",
        f"{data}/bad/bad_s1/progress.txt: holds a header and no row",
    ]


def test_what_cannot_be_read_is_set_aside(make_run: MakeRun, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    make_run("a", 0)
    monkeypatch.setattr("gridrl.results.sources.read_source", refuse)
    found = find_runs([data])
    assert found.with_rows() == []
    assert [str(skipped) for skipped in found.skipped] == [
        f"{data}/a/a_s0/progress.txt: cannot be read: Permission denied"
    ]


def test_a_directory_in_the_place_of_the_file_is_no_run(make_run: MakeRun, data: Path) -> None:
    path = make_run("a", 0) / "progress.txt"
    path.unlink()
    path.mkdir()
    assert names(data) == []


def test_a_file_that_is_no_table_stops_nothing(make_run: MakeRun, data: Path) -> None:
    (make_run("a", 0) / "progress.txt").write_bytes(bytes(range(256)) * 3)
    make_run("b", 0)
    assert "b" in [run.name for run in find_runs([data]).with_rows()]


def test_half_a_row_at_the_end_is_no_row(make_run: MakeRun) -> None:
    path = make_run("a", 0)
    with open(path / "progress.txt", "a") as file:
        file.write("300\t3")
    assert find_runs([path]).runs[0].num_rows == 2


@pytest.mark.parametrize("config", ["", "{", "[1, 2]", '"text"', None])
def test_without_a_readable_config_the_directory_tells_name_and_seed(make_run: MakeRun, config: str | None) -> None:
    path = make_run("a", 7)
    if config is None:
        (path / "config.json").unlink()
    else:
        (path / "config.json").write_text(config)
    found = find_runs([path])
    assert [(run.name, run.seed, run.config) for run in found.runs] == [("a", 7, {})]
    assert bool(found.notes) == (config is not None)


def test_links_are_followed_and_circles_end(make_run: MakeRun, data: Path, tmp_path: Path) -> None:
    path = make_run("a", 0)
    (path / "loop").symlink_to(data)
    (data / "self").symlink_to(data)
    (data / "dangling").symlink_to(tmp_path / "nowhere")
    elsewhere = tmp_path / "scratch"
    elsewhere.mkdir()
    path.parent.rename(elsewhere / "b")
    (data / "linked").symlink_to(elsewhere)
    assert names(data) == ["a_s0"]


def test_the_insides_of_a_run_are_not_searched(make_run: MakeRun, data: Path) -> None:
    inside = make_run("a", 0) / "checkpoints" / "old"
    inside.mkdir(parents=True)
    (inside / "progress.txt").write_text("Epoch\n1\n")
    (data / ".trash").mkdir()
    (data / ".trash" / "progress.txt").write_text("Epoch\n1\n")
    assert names(data) == ["a_s0"]


def test_the_state_of_our_own_runs_is_known(make_run: MakeRun) -> None:
    path = make_run("a", 0)
    write_status(path, Status("failed"))
    assert find_runs([path]).runs[0].state == "failed"


def test_runs_of_other_programs_are_read(data: Path) -> None:
    path = data / "slc" / "slc_s10"
    path.mkdir(parents=True)
    (path / "progress.csv").write_text("Epoch,AverageEpRet,TotalEnvInteracts\n1,-5.5,400\n2,-4.5,800\n")
    (path / "config.json").write_text(json.dumps({"exp_name": "slc", "env": "Pendulum-v1"}))
    (run,) = find_runs([data]).with_rows()
    assert (run.name, run.seed, run.path.name) == ("slc", 10, "progress.csv")
    assert run["AverageEpRet"].tolist() == [-5.5, -4.5]


def test_a_directory_has_one_source_and_what_lies_below_a_run_belongs_to_it(make_run: MakeRun, data: Path) -> None:
    path = make_run("a", 0)
    monitor = "#{}\nr,l,t\n1,2,3\n"
    for name in ("progress.csv", "monitor.csv"):
        (path / name).write_text(monitor)
    for place in (path / "eval", path / "deep" / "eval", data / "b" / "env"):
        place.mkdir(parents=True)
        (place / "monitor.csv").write_text(monitor)
    (data / "b" / "progress.csv").write_text("a,b\n1,2\n")
    (data / "b" / "monitor.csv").write_text(monitor)
    (data / "c").mkdir()
    (data / "c" / "2.monitor.csv").write_text(monitor)
    found = find_runs([data])
    assert [str(run.path.relative_to(data)) for run in found] == [
        "a/a_s0/progress.txt",
        "b/progress.csv",
        "c/2.monitor.csv",
    ]
    (path / "tensorboard").mkdir()  # of our own runs, nothing worth a word
    (path / "tensorboard" / "events.out.tfevents.1").write_text("")
    assert find_runs([data]).told() == [
        f"3 directories below other runs, without a progress file, counted as parts of these: {path}/deep/eval"
    ]


def test_a_run_below_a_run_is_a_run(make_run: MakeRun, data: Path) -> None:
    make_run("a", 0)
    (data / "progress.txt").write_text("Epoch\n1\n")
    assert names(data) == ["data", "a_s0"]


def test_what_is_told_of_runs_is_told_in_one_place(make_run: MakeRun, data: Path) -> None:
    for seed, state in enumerate(("done", "failed", "running", "")):
        path = make_run("a", seed)
        with open(path / "progress.txt", "a") as file:
            file.write("300\t3")
        if state:
            write_status(path, Status(state))
    make_run("b", 0, {})
    (make_run("c", 0) / "config.json").write_text("{")
    found = find_runs(data, group=r"a_s\d")
    found.with_rows(["Performance"])
    half = "half a row at its end is left out"
    assert found.told() == [
        f"{data}/c/c_s0/config.json cannot be read; the name of its directory is taken",
        "2 runs do not match `--group`: grouped by name",
        f"left out {data}/b/b_s0/progress.txt: is empty",
        *(f"{data}/a/a_s{seed}/progress.txt: {half}" for seed in (0, 1, 3)),
        "not finished: a_s1 (failed), a_s2 (running)",
    ]


def test_a_column_can_be_asked_for_by_what_it_means(make_run: MakeRun, data: Path) -> None:
    both = {"TotalEnvInteracts": [1, 2], "AverageEpRet": [3, 4], "AverageTestEpRet": [5, 6], "Time": [7, 8]}
    make_run("a", 0, both)
    (run,) = find_runs(data)
    assert run["global_step"].tolist() == [1, 2]
    assert run["Performance"].tolist() == [5, 6]
    assert (run.score_column(), run.score_column("training")) == ("AverageTestEpRet", "AverageEpRet")
    assert (run.score_column("evaluation"), run.steps_column, run.time_column) == (
        "AverageTestEpRet",
        "TotalEnvInteracts",
        "Time",
    )
    assert list(run.columns(["Time", "nothing", "AverageEpRet"])) == ["Time", "AverageEpRet"]
    assert list(run.columns()) == list(both)
    with pytest.raises(ColumnError) as told:
        run["AverageEpLen"]
    assert str(told.value) == (
        f"{data}/a/a_s0/progress.txt: no column 'AverageEpLen'. Did you mean 'AverageEpRet'? "
        "There are: TotalEnvInteracts, AverageEpRet, AverageTestEpRet, Time."
    )


def test_a_set_of_runs_is_a_sequence(make_run: MakeRun, data: Path) -> None:
    for seed in range(3):
        make_run("a", seed, code={"hash": "c0de"} if seed else 7)
    found = find_runs(data)
    assert (len(found), [run.seed for run in found], found[1].seed) == (3, [0, 1, 2], 1)
    assert [run.code for run in found[1:]] == ["c0de", "c0de"]
    assert found[0].code is None


def test_a_folder_that_may_not_be_read_is_told(make_run: MakeRun, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_run("a", 0)
    make_run("b", 0)
    scan = os.scandir

    def refuse(path: Path) -> Any:
        if Path(path).name == "a":
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = find_runs(data)
    assert [run.name for run in found] == ["b"]
    assert found.told() == [f"left out {data}/a: cannot be read: Permission denied"]


@given(content=st.binary(max_size=200), name=st.sampled_from(["progress.txt", "progress.csv", "0.monitor.csv"]))
def test_any_bytes_are_rows_or_are_told(tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str) -> None:
    run_dir = tmp_path_factory.mktemp("any")
    (run_dir / name).write_bytes(content)
    (run_dir / "config.json").write_bytes(content)
    found = find_runs(run_dir)
    assert len(found) == 1
    rows = [run.num_rows for run in found.with_rows(["Performance", "TotalEnvInteracts"])]
    assert len(rows) + len(found.skipped) == 1
    assert all(count > 0 for count in rows)
    assert any(str(run_dir) in line for line in found.told())  # of the configuration at least


def test_a_thousand_directories_deep_is_no_matter(data: Path) -> None:
    path, way = data, []
    for _ in range(1100):
        path = path / "d"
        path.mkdir()
        way.append(path)
    (path / "progress.txt").write_text("Epoch\n1\n")
    try:
        assert len(find_runs(data)) == 1
    finally:  # nothing else could clear that away
        (path / "progress.txt").unlink()
        for path in reversed(way):
            path.rmdir()


def test_looking_for_runs_needs_no_numpy(make_run: MakeRun, data: Path) -> None:
    make_run("a", 0)
    code = (
        "import sys\n"
        "from gridrl.results.reader import find_runs\n"
        "runs = find_runs(sys.argv[1], where={'seed': 0}, states='unknown', group='a')\n"
        "print(len(runs), 'numpy' in sys.modules)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, str(data)], capture_output=True, text=True, timeout=60, check=True
    )
    assert ended.stdout == "1 False\n"


def test_hints_look_no_further_than_the_nearest_directory(make_run: MakeRun, data: Path) -> None:
    paths = [make_run("a", seed) for seed in range(3)]
    assert runs_near(data / "a" / "a_s9") == paths
    assert runs_near(data / "no" / "such", limit=2) == paths[:2]


def test_numbers_sort_by_size() -> None:
    assert sorted(["s10", "s2", "t", "s1-10", "s1-9"], key=natural) == ["s1-9", "s1-10", "s2", "s10", "t"]
    assert sorted(["lr0-001", "lr0-0003", "lr0-01", "lr1"], key=natural) == ["lr0-0003", "lr0-001", "lr0-01", "lr1"]
    assert sorted(["s10", "s01", "s00"], key=natural) == ["s00", "s01", "s10"]


def test_an_empty_name_is_the_directory_here(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(data)
    assert matching_dirs("") == [Path(".")]
