"""Which directory belongs to which run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gridrl.errors import BadValue, GridError, Problems
from gridrl.launch import directories
from gridrl.launch.directories import Directories, Place, check_data_dir
from gridrl.launch.known import KnownRuns
from gridrl.launch.order import Order
from gridrl.launch.plan import make_plan


def order(data_dir: Path, *variants: tuple[str, Mapping[str, Any]], **more: Any) -> Order:
    def thunk(lr: Any = 1, size: int = 3, seed: int = 0) -> None: ...

    return Order(grid=more.pop("grid", "g"), variants=variants, thunk=thunk, data_dir=data_dir, **more)


def places(given: Order) -> list[Place]:
    return [run.place for run in make_plan(given).runs]


def make_runs(given: Order) -> list[Path]:
    """Writes what the launcher would, without running anything."""
    runs = make_plan(given).runs
    for run in runs:
        run.paths.root.mkdir(parents=True, exist_ok=True)
        run.paths.config.write_text(json.dumps(run.config))
    return [run.place.run_dir for run in runs]


def test_seeds_of_a_variant_share_the_hash_of_its_directory(data_dir: Path) -> None:
    make_runs(order(data_dir, ("g", {"lr": 1, "seed": 0})))
    first, second = places(order(data_dir, ("g", {"lr": 2, "seed": 0}), ("g", {"lr": 2, "seed": 5})))
    assert first.name == second.name != "g"
    assert [first.run_dir.name, second.run_dir.name] == [f"{first.name}_s0", f"{first.name}_s5"]


def test_a_seed_that_is_free_does_not_mix_into_another_variants_directory(data_dir: Path) -> None:
    make_runs(order(data_dir, ("g", {"lr": 1, "seed": 0})))
    (only,) = places(order(data_dir, ("g", {"lr": 2, "seed": 7})))
    assert only.run_dir.parent != data_dir / "g"


def test_a_new_seed_joins_the_others_of_its_variant(data_dir: Path) -> None:
    make_runs(order(data_dir, ("g", {"lr": 1, "seed": 0})))
    given = order(data_dir, ("g_lr1", {"lr": 1, "seed": 1}), ("g_lr2", {"lr": 2, "seed": 1}))
    assert [place.run_dir for place in places(given)] == [data_dir / "g" / "g_s1", data_dir / "g_lr2" / "g_lr2_s1"]
    (stamped,) = places(order(data_dir, ("g_lr1", {"lr": 1, "seed": 2}), datestamp=True))
    assert stamped.name == "g"
    assert stamped.run_dir.parent.name.endswith("_g")
    assert stamped.run_dir.parent != data_dir / "g"


def test_the_difference_names_ranks_thunks_and_defaults(data_dir: Path) -> None:
    make_runs(order(data_dir, ("g", {"lr": 1})))
    plan = make_plan(order(data_dir, ("g", {"lr": 1, "size": 4}), num_cpu=2, dry_run=True))
    (note,) = plan.notes
    assert note == (
        f"{data_dir / 'g'} belongs to other runs (num_cpu: 1 -> 2; size: 3 by default -> 4): these go to "
        f"{plan.runs[0].place.run_dir.parent}."
    )


def test_hashes_that_clash_are_made_longer(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directories, "short_hash", lambda text, n: "0" * n if n < 8 else text[-n - 3 : -3])
    for lr in (1, 2):
        make_runs(order(data_dir, ("g", {"lr": lr})))
    (third,) = places(order(data_dir, ("g", {"lr": 3})))
    assert sorted(path.name for path in data_dir.iterdir()) == ["g", "g-0000"]
    assert third.name != "g-0000"
    assert len(third.name) == len("g-") + 8


def test_another_grid_with_the_same_hyperparameters_has_runs_of_its_own(data_dir: Path) -> None:
    (first,) = make_runs(order(data_dir, ("t", {"lr": 1}), grid="t"))
    (second,) = places(order(data_dir, ("u", {"lr": 1}), grid="u"))
    assert (first, second.run_dir) == (data_dir / "t" / "t_s0", data_dir / "u" / "u_s0")


def test_a_directory_that_was_renamed_is_found(data_dir: Path) -> None:
    make_runs(order(data_dir, ("g", {"lr": 1})))
    (data_dir / "g").rename(data_dir / "my best")
    (only,) = places(order(data_dir, ("g", {"lr": 1})))
    assert only.run_dir == data_dir / "my best" / "g_s0"


def test_other_peoples_json_is_no_run(data_dir: Path) -> None:
    for name, text in {"a": "[1]", "b": "{}", "c": '{"run_id": 3}', "d": "no json", "e": '{"run_id": "x"}'}.items():
        (data_dir / name).mkdir(parents=True)
        (data_dir / name / "config.json").write_text(text)
    (data_dir / "file").write_text("")
    assert [run.run_dir.name for run in KnownRuns(data_dir).below(data_dir)] == ["e"]
    assert list(KnownRuns(data_dir).below(data_dir / "nowhere")) == []
    assert places(order(data_dir, ("g", {"lr": 1})))[0].run_dir == data_dir / "g" / "g_s0"


def test_problems_of_all_runs_are_collected(data_dir: Path) -> None:
    for seed in (0, 1):
        (data_dir / "g" / f"g_s{seed}").mkdir(parents=True)
        (data_dir / "g" / f"g_s{seed}" / "mine.txt").write_text("")
    given = order(data_dir, ("g", {"seed": 0}), ("g", {"seed": 1}), ("g", {"seed": 2}))
    problems = Problems()
    where = Directories(data_dir, datestamp=False)
    for run in make_plan(order(data_dir / "elsewhere", *given.variants)).runs:
        where.place(run.spec, run.config, problems)
    assert [message.split(" holds ")[0] for message in problems.messages] == [
        str(data_dir / "g" / "g_s0"),
        str(data_dir / "g" / "g_s1"),
    ]


def test_a_check_leaves_nothing_in_a_data_directory(data_dir: Path) -> None:
    check_data_dir(data_dir)
    assert list(data_dir.iterdir()) == []


VALUES: list[Any] = ["a/b", "a-b", "A/B", "1", "1-0", "none", "1-2", "x" * 300, "y" * 300]
VALUES += [1, 1.0, True, None, (1, 2), 0.1, {"a": 1}]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(
    first=st.lists(st.sampled_from(VALUES), min_size=1, max_size=4, unique_by=repr),
    second=st.lists(st.sampled_from(VALUES), min_size=1, max_size=4, unique_by=repr),
    seeds=st.lists(st.integers(0, 3), min_size=1, max_size=2, unique=True),
)
def test_different_runs_never_share_a_directory(
    tmp_path_factory: pytest.TempPathFactory, first: list[Any], second: list[Any], seeds: list[int]
) -> None:
    """Two grids of one name, one after the other: a run keeps its directory, and no two runs have the same."""
    from gridrl import ExperimentGrid

    data_dir = tmp_path_factory.mktemp("data")
    owner: dict[str, str] = {}
    for values in (first, second, first):
        grid = ExperimentGrid("g")
        try:
            grid.add("lr", values)
            grid.add("seed", seeds)
        except GridError:
            return
        variants = [(grid.variant_name(variant), variant) for variant in grid.variants()]
        given = order(data_dir, *variants, varying=frozenset({"lr", "seed"}))
        for run, run_dir in zip(make_plan(given).runs, make_runs(given), strict=True):
            assert run.place.run_dir == run_dir
            assert owner.setdefault(str(run_dir).casefold(), run.spec.run_id) == run.spec.run_id
    assert len(set(owner.values())) == len(owner)


@pytest.mark.parametrize("name", ["/etc", "//", "../x", "a/../../b", "a\0b"])
def test_a_name_that_leads_elsewhere_is_told_before_it_is_looked_for(name: str, data_dir: Path) -> None:
    with pytest.raises(BadValue, match="a name is text, without empty parts"):
        places(order(data_dir, (name, {"lr": 1})))
