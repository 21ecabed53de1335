from __future__ import annotations

import pickle

import pytest

from gridrl import errors
from gridrl.errors import (
    BadValue,
    ExperimentFailed,
    GridRLError,
    Problems,
    UnknownFlag,
    UsageError,
    did_you_mean,
    nearest,
)

ALL = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, GridRLError)]


@pytest.mark.parametrize("kind", ALL)
def test_every_error_is_a_gridrl_error_and_says_when_it_happens(kind: type[GridRLError]) -> None:
    assert issubclass(kind, GridRLError)
    assert kind.__doc__


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (errors.GridError, ValueError),
        (errors.DuplicateKey, ValueError),
        (errors.NotPicklable, ValueError),
        (errors.ExperimentFailed, RuntimeError),
        (errors.BuildError, TypeError),
        (errors.BindingError, TypeError),
        (errors.ColumnError, ValueError),
        (errors.NotEnoughData, RuntimeError),
        (errors.ShapeError, ValueError),
        (errors.InvalidCheckpointLocation, ValueError),
    ],
)
def test_code_that_expects_a_builtin_error_catches_ours(kind: type[GridRLError], builtin: type[Exception]) -> None:
    with pytest.raises(builtin):
        raise kind("wrong")


@pytest.mark.parametrize("kind", [errors.UnknownCommand, errors.UnknownFlag, errors.BadValue])
def test_what_is_typed_wrong_is_a_usage_error(kind: type[GridRLError]) -> None:
    assert issubclass(kind, UsageError)


def test_the_nearest_option_is_found_whatever_its_case() -> None:
    options = ["epochs", "CartPole-v1", "hid"]
    assert nearest("cartpole-v1", options) == "CartPole-v1"
    assert nearest("epoch", options) == "epochs"
    assert nearest("EPOCHS", iter(options)) == "epochs"


def test_nothing_is_suggested_where_nothing_is_close() -> None:
    assert nearest("zzz", ["epochs", "hid"]) is None
    assert nearest("epochs", []) is None
    assert did_you_mean("zzz", ["epochs"]) == ""


def test_a_suggestion_is_a_sentence_to_append() -> None:
    assert did_you_mean("epoch", ["epochs", "hid"]) == " Did you mean 'epochs'?"


def test_all_faults_of_one_call_are_told_at_once_and_each_once() -> None:
    problems = Problems()
    problems.raise_if_any(BadValue)
    for message in ("first", "second", "first"):
        problems.add(message)
    with pytest.raises(UnknownFlag) as caught:
        problems.raise_if_any(UnknownFlag)
    assert str(caught.value) == "first\nsecond"


def test_a_failed_experiment_tells_its_rank_and_survives_pickling() -> None:
    failed = ExperimentFailed("it ended", name="a", exit_code=-9, rank=1, log_tail="Killed")
    copy = pickle.loads(pickle.dumps(failed))
    assert (str(copy), copy.name, copy.exit_code, copy.rank, copy.log_tail) == ("it ended", "a", -9, 1, "Killed")
    assert copy.run_dir is None
