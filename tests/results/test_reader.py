"""Finding runs, by directory and by the beginning of a name; nothing that is broken stops the rest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gridrl.errors import BadValue
from gridrl.log.record import Status, write_status
from gridrl.results.reader import find_runs, matching_dirs, natural, runs_near
from tests.results.made_runs import MakeRun


def names(*dirs: Path | str) -> list[str]:
    return [run.dir.name for run in find_runs(dirs).runs]


def test_a_run_is_read(make_run: MakeRun, data: Path) -> None:
    path = make_run("ppo", 3, variant={"gamma": 0.9})
    (run,) = find_runs([data]).runs
    assert (run.dir, run.logdir, run.name, run.seed, run.num_rows, run.state) == (path, data, "ppo", 3, 2, "")
    assert run.config["variant"] == {"gamma": 0.9}
    assert run.columns["AverageEpRet"].tolist() == [1.0, 2.0]


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
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    make_run("a", 0)
    monkeypatch.setattr("gridrl.log.progress.read_progress", refuse)
    found = find_runs([data])
    assert found.with_rows() == []
    assert [str(skipped) for skipped in found.skipped] == [
        f"{data}/a/a_s0/progress.txt: cannot be read: [Errno 13] Permission denied"
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
    assert (run.name, run.seed, run.progress.name) == ("slc", 10, "progress.csv")
    assert run.columns["AverageEpRet"].tolist() == [-5.5, -4.5]


def test_hints_look_no_further_than_the_nearest_directory(make_run: MakeRun, data: Path) -> None:
    paths = [make_run("a", seed) for seed in range(3)]
    assert runs_near(data / "a" / "a_s9") == paths
    assert runs_near(data / "no" / "such", limit=2) == paths[:2]


def test_numbers_sort_by_size() -> None:
    assert sorted(["s10", "s2", "t", "s1-10", "s1-9"], key=natural) == ["s1-9", "s1-10", "s2", "s10", "t"]


def test_an_empty_name_is_the_directory_here(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(data)
    assert matching_dirs("") == [Path(".")]
