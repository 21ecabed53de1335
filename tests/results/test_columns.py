"""Columns that mean the same under other names."""

from __future__ import annotations

from pathlib import Path

import pytest

from gridrl.results.columns import EVALUATION, MEANINGS, TRAINING, find_column, mixed_scores, score_kind


@pytest.mark.parametrize(
    ("there", "steps", "score"),
    [
        (["TotalEnvInteracts", "AverageEpRet", "AverageTestEpRet"], "TotalEnvInteracts", "AverageTestEpRet"),
        (["time/total_timesteps", "rollout/ep_rew_mean"], "time/total_timesteps", "rollout/ep_rew_mean"),
        (["total_timesteps", "rollout/ep_rew_mean", "eval/mean_reward"], "total_timesteps", "eval/mean_reward"),
        (["r", "l", "t", "steps"], "steps", "r"),
        (["global_step", "charts/episodic_return"], "global_step", "charts/episodic_return"),
        (["EpRet"], None, "EpRet"),
        (["Loss"], None, None),
    ],
)  # fmt: skip
def test_every_program_has_its_names(there: list[str], steps: str | None, score: str | None) -> None:
    assert find_column("TotalEnvInteracts", there) == steps
    assert find_column("Performance", there) == score


def test_a_column_of_that_very_name_comes_first() -> None:
    assert find_column("EpRet", ["AverageEpRet", "EpRet"]) == "EpRet"
    assert find_column("Performance", ["AverageEpRet", "Performance"]) == "Performance"


def test_training_returns_never_stand_for_evaluation() -> None:
    assert find_column("AverageEpRet", ["eval/mean_reward"]) is None
    assert find_column("AverageTestEpRet", ["rollout/ep_rew_mean"]) is None
    assert find_column("AverageTestEpRet", ["eval/mean_reward"]) == "eval/mean_reward"


def test_no_name_means_two_things() -> None:
    names = [name for meaning in MEANINGS for name in meaning.names]
    assert len(set(names)) == len(names)


def test_returns_of_both_kinds_on_one_axis_are_told() -> None:
    assert (score_kind("r"), score_kind("eval/mean_reward"), score_kind("Loss")) == (TRAINING, EVALUATION, "")
    assert mixed_scores(["AverageEpRet", "r", "AverageEpRet"]) == ""
    assert mixed_scores(["AverageTestEpRet", "Loss"]) == ""
    assert mixed_scores(["AverageEpRet", "AverageTestEpRet", "r"]) == (
        "training returns (AverageEpRet, r) and evaluation returns (AverageTestEpRet) share an axis"
    )


def test_the_documents_hold_the_whole_table() -> None:
    page = (Path(__file__).parents[2] / "docs" / "plotting.md").read_text()
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    for meaning in MEANINGS:
        assert any(line.endswith(f"| {', '.join(f'`{name}`' for name in meaning.names)} |") for line in lines), meaning
