"""What a run's columns mean, whichever program has written them: one table of aliases for scores, steps and time.

Every program has names of its own for the return of an episode and for the steps so far. A name of this table stands
for its whole row of the table wherever a run has no column of that very name.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass

from gridrl.log.standing import PERFORMANCE

EVALUATION, TRAINING = "evaluation", "training"


@dataclass(frozen=True)
class Meaning:
    """Something that several programs log under names of their own.

    Attributes:
        words: what it is, for an axis.
        names: its columns; the first one that a run has counts.
        kind: `EVALUATION` or `TRAINING` where it is a score, else empty.
    """

    words: str
    names: tuple[str, ...]
    kind: str = ""


EVALUATION_SCORE = Meaning(
    "return per test episode",
    (
        "AverageTestEpRet",  # Spinning Up, stable-learning-control, gridrl
        "TestEpRet",
        "eval/mean_reward",  # stable-baselines3
        "eval/episodic_return",  # CleanRL
        "charts/eval_episodic_return",
        "test/reward",  # Tianshou
        "test/returns_stat/mean",
        "evaluation/episode_reward_mean",  # RLlib
        "evaluation/env_runners/episode_return_mean",
    ),
    EVALUATION,
)
TRAINING_SCORE = Meaning(
    "return per episode",
    (
        "AverageEpRet",
        "EpRet",
        "rollout/ep_rew_mean",
        "charts/episodic_return",
        "train/reward",
        "train/returns_stat/mean",
        "episode_reward_mean",
        "env_runners/episode_return_mean",
        "r",  # Monitor of stable-baselines3 and OpenAI Baselines: one episode a row
    ),
    TRAINING,
)
STEPS = Meaning(
    "environment steps",
    (
        "TotalEnvInteracts",
        "time/total_timesteps",
        "total_timesteps",
        "timesteps_total",
        "num_env_steps_sampled_lifetime",
        "global_step",
        "steps",  # added up from the lengths of a monitor's episodes
    ),
)
LENGTH = Meaning(
    "steps per episode",
    ("EpLen", "AverageEpLen", "rollout/ep_len_mean", "charts/episodic_length", "episode_len_mean", "l"),
)
TIME = Meaning("time (s)", ("Time", "time/time_elapsed", "time_total_s", "wall_time", "t"))
EPOCH = Meaning("epoch", ("Epoch", "time/iterations", "training_iteration"))

MEANINGS = (EVALUATION_SCORE, TRAINING_SCORE, STEPS, LENGTH, TIME, EPOCH)
"""The whole table."""

SCORES = (EVALUATION_SCORE, TRAINING_SCORE)
"""Where `Performance` is looked for: test episodes before training episodes."""


def meaning_of(column: str) -> Meaning | None:
    """What a column means, None where the table does not hold it."""
    return next((meaning for meaning in MEANINGS if column in meaning.names), None)


def words_of(column: str) -> str:
    """What a column holds, in words; a column that the table does not know is its own name.

    >>> words_of("Performance"), words_of("global_step"), words_of("LossPi")
    ('return per episode', 'environment steps', 'LossPi')
    """
    meaning = TRAINING_SCORE if column == PERFORMANCE else meaning_of(column)
    return meaning.words if meaning else column


def find_column(asked: str, there: Container[str]) -> str | None:
    """The column that a name stands for.

    >>> find_column("TotalEnvInteracts", ["time/total_timesteps", "rollout/ep_rew_mean"])
    'time/total_timesteps'
    >>> find_column("Performance", ["AverageEpRet", "AverageTestEpRet"])
    'AverageTestEpRet'

    Args:
        asked: a column, or a name of the table, or `Performance`.
        there: the columns that a run has.

    Returns:
        The column of that very name, else the first one that means the same; None where there is none.
    """
    if asked in there:
        return asked
    meaning = meaning_of(asked)
    meanings: Sequence[Meaning] = SCORES if asked == PERFORMANCE else [meaning] if meaning else []
    return next((name for meaning in meanings for name in meaning.names if name in there), None)


def score_kind(column: str) -> str:
    """`EVALUATION` or `TRAINING` for the column of a score, an empty string for every other."""
    meaning = meaning_of(column)
    return meaning.kind if meaning else ""


def mixed_scores(columns: Iterable[str]) -> str:
    """What has to be told where these columns share an axis; nothing where that is all right.

    >>> mixed_scores(["AverageEpRet", "eval/mean_reward"])
    'training returns (AverageEpRet) and evaluation returns (eval/mean_reward) share an axis'
    """
    by_kind: dict[str, dict[str, None]] = {}
    for column in columns:
        by_kind.setdefault(score_kind(column), {})[column] = None
    if not {EVALUATION, TRAINING} <= by_kind.keys():
        return ""
    told = [f"{kind} returns ({', '.join(by_kind[kind])})" for kind in (TRAINING, EVALUATION)]
    return f"{told[0]} and {told[1]} share an axis"
