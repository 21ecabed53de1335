from __future__ import annotations

import json
import math
import statistics
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gridrl.errors import BadValue, ColumnError
from gridrl.log.metrics import Moments, Samples, ScalarMeanTracker, as_floats

finite = st.floats(-1e6, 1e6)


def merged(*parts: list[float]) -> Moments:
    whole = Moments()
    for part in parts:
        whole.merge(Moments.of(part))
    return whole


def test_moments_of_a_textbook_sample() -> None:
    moments = Moments.of([2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0])
    assert (moments.count, moments.mean, moments.std, moments.minimum, moments.maximum) == (8, 5.0, 2.0, 2.0, 9.0)


@pytest.mark.parametrize("parts", [([1e8, 1e8 + 1],), ([1e8], [1e8 + 1])], ids=["one rank", "two ranks"])
def test_large_numbers_close_together_keep_their_deviation(parts: tuple[list[float], ...]) -> None:
    moments = merged(*parts)
    assert (moments.mean, moments.std) == (100_000_000.5, 0.5)


def test_the_rounding_of_the_mean_does_not_reach_the_deviation() -> None:
    moments = Moments.of([1e16 + 2, 1e16 + 4, 1e16 + 4])  # neighbours in float64: their mean is none
    assert moments.std == pytest.approx(math.sqrt(8 / 9), rel=1e-15)


@given(st.lists(st.lists(finite, max_size=8), min_size=1, max_size=5))
def test_merged_moments_are_those_of_all_numbers(parts: list[list[float]]) -> None:
    everything = [number for part in parts for number in part]
    moments = merged(*parts)
    assert moments.count == len(everything)
    if not everything:
        assert math.isnan(moments.mean)
        assert math.isnan(moments.std)
        return
    exact = [Fraction(number) for number in everything]
    scale = max(abs(number) for number in everything)
    assert moments.mean == pytest.approx(float(statistics.mean(exact)), rel=1e-12, abs=1e-13 * scale)
    assert moments.std == pytest.approx(math.sqrt(statistics.pvariance(exact)), rel=1e-9, abs=1e-13 * scale)
    assert (moments.minimum, moments.maximum) == (min(everything), max(everything))


@given(st.lists(st.integers(-(10**9), 10**9), min_size=2, max_size=20), st.data())
def test_the_mean_of_whole_numbers_does_not_depend_on_how_they_are_split(numbers: list[int], data: Any) -> None:
    at = data.draw(st.integers(0, len(numbers)))
    assert merged([*map(float, numbers[:at])], [*map(float, numbers[at:])]).mean == sum(numbers) / len(numbers)


@given(finite, st.integers(1, 30))
def test_equal_numbers_have_exactly_their_mean(number: float, count: int) -> None:
    moments = Moments.of([number] * count)
    assert moments.mean == number
    assert moments.std == 0.0


def test_nothing_has_no_statistics_and_changes_none() -> None:
    assert math.isnan(Moments().mean)
    assert math.isnan(Moments().std)
    assert merged([], [3.0], []) == Moments.of([3.0])


@pytest.mark.parametrize("parts", [([math.nan, 1.0],), ([1.0], [math.nan]), ([math.nan], [1.0])])
def test_a_nan_is_seen_in_every_statistic(parts: tuple[list[float], ...]) -> None:
    moments = merged(*parts)
    assert all(math.isnan(x) for x in (moments.mean, moments.std, moments.minimum, moments.maximum))


def test_an_infinite_number_makes_the_deviation_nan_without_a_warning() -> None:
    moments = merged([1.0, math.inf], [2.0])
    assert (moments.mean, moments.minimum, moments.maximum) == (math.inf, 1.0, math.inf)
    assert math.isnan(moments.std)


def test_numbers_near_the_end_of_float64_do_not_crash() -> None:
    assert Moments.of([1e308, 1e308]).mean == 1e308
    assert merged([1e308], [-1e308]).mean == 0.0


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, [3.0]),
        (True, [1.0]),
        (Fraction(1, 4), [0.25]),
        (np.float32(0.5), [0.5]),
        (np.int64(7), [7.0]),
        (np.array(2.0), [2.0]),
        (np.array([[1, 2], [3, 4]], dtype=np.int8), [1.0, 2.0, 3.0, 4.0]),
        (np.array([True, False]), [1.0, 0.0]),
        (np.zeros((0, 3)), []),
        ([], []),
        ([1, 2.5, np.float32(3)], [1.0, 2.5, 3.0]),
        ([[1.0], [2.0, 3.0], 4], [1.0, 2.0, 3.0, 4.0]),
        ([np.array([1.0, 2.0]), np.array([3.0])], [1.0, 2.0, 3.0]),
        ((1, (2, [3])), [1.0, 2.0, 3.0]),
        (torch.tensor(1.5), [1.5]),
        (torch.tensor([[1, 2], [3, 4]]), [1.0, 2.0, 3.0, 4.0]),
        (torch.tensor([1.0, 2.0], requires_grad=True), [1.0, 2.0]),
        (torch.tensor([0.5, 1.5], dtype=torch.bfloat16), [0.5, 1.5]),
        (torch.tensor([True, False]), [1.0, 0.0]),
        ([torch.tensor(1.0), 2.0, np.array([3.0])], [1.0, 2.0, 3.0]),
    ],
    ids=repr,
)
def test_numbers_of_every_kind_become_float64(value: Any, expected: list[float]) -> None:
    floats = as_floats(value)
    assert floats.dtype == np.float64
    assert floats.tolist() == expected


@pytest.mark.parametrize(
    "value", [None, "1.5", 1j, [1.0, None], [1.0, "a"], {"a": 1}, object, torch.tensor(1j), np.datetime64("2020-01-01")]
)
def test_what_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(ColumnError, match="is no number"):
        as_floats(value)


@pytest.mark.parametrize("value", [None, "1.5", 1j, np.complex64(1)])
def test_samples_refuse_what_is_no_number(value: Any) -> None:
    with pytest.raises(ColumnError, match="is no number"):
        Samples().add(value)


def test_samples_take_single_numbers_and_arrays_together() -> None:
    samples = Samples()
    for value in (1.0, np.array([2.0, 3.0]), torch.tensor(4.0), [5.0], np.float32(6.0), np.bool_(True)):
        samples.add(value)
    assert samples.moments() == Moments(
        count=7, total=22.0, squares=pytest.approx(22.857142857142858), minimum=1.0, maximum=6.0
    )


def test_samples_do_not_look_at_an_array_again() -> None:
    samples, buffer = Samples(), np.array([1.0, 2.0])
    samples.add(buffer)
    buffer[:] = 99.0
    assert samples.moments().maximum == 2.0


def test_many_single_numbers_are_folded_and_all_count() -> None:
    samples = Samples()
    for number in range(150_000):
        samples.add(number)
    assert len(samples._numbers) < 65_536
    moments = samples.moments()
    assert (moments.count, moments.mean, moments.minimum, moments.maximum) == (150_000, 74_999.5, 0.0, 149_999.0)
    assert moments.std == pytest.approx(math.sqrt((150_000**2 - 1) / 12), rel=1e-14)


@given(st.lists(finite | st.lists(finite, max_size=4), max_size=10))
def test_saved_samples_have_the_same_statistics_to_the_last_bit(values: list[Any]) -> None:
    samples = Samples()
    for value in values:
        samples.add(value)
    assert Samples.from_state_dict(json.loads(json.dumps(samples.state_dict()))).moments() == samples.moments()


def test_a_tracker_gives_weighted_means_in_the_order_of_first_sight() -> None:
    tracker = ScalarMeanTracker()
    assert tracker.empty
    tracker.add_scalars({"b": 1.0, "a": 10})
    tracker.add_scalars({"b": 4.0}, n=2)
    assert not tracker.empty
    assert list(tracker.means().items()) == [("b", 3.0), ("a", 10.0)]
    assert dict(tracker.sums()) == {"b": 9.0, "a": 10.0}
    assert dict(tracker.counts()) == {"b": 3, "a": 1}
    assert list(tracker.pop_and_reset()) == ["b", "a"]
    assert tracker.empty
    assert tracker.pop_and_reset() == {}


def test_a_tracker_takes_a_count_per_key() -> None:
    tracker = ScalarMeanTracker()
    tracker.add_scalars({"a": 2.0, "b": 3.0}, n={"a": 3, "b": 1})
    tracker.add_scalars({"a": 6.0}, n={"a": 1, "unused": 5})
    assert tracker.means() == {"a": 3.0, "b": 3.0}


def test_a_tracker_leaves_out_what_counts_nothing() -> None:
    tracker = ScalarMeanTracker()
    tracker.add_scalars({"a": 2.0}, n=0)
    assert tracker.empty
    assert tracker.means() == {}


@pytest.mark.parametrize(
    ("scalars", "n", "error"),
    [
        ({"a": 1.0, "b": 2.0}, {"a": 1}, KeyError),
        ({"a": 1.0, "b": 2.0}, {"a": 1, "b": -1}, BadValue),
        ({"a": 1.0, "b": None}, 1, ColumnError),
        ({"a": 1.0, "b": [1.0, 2.0]}, 1, ColumnError),
        ({"a": 1.0}, 1.5, TypeError),
    ],
)
def test_a_tracker_adds_all_of_a_call_or_nothing(scalars: dict[str, Any], n: Any, error: type[Exception]) -> None:
    tracker = ScalarMeanTracker()
    with pytest.raises(error):
        tracker.add_scalars(scalars, n)
    assert tracker.empty


def test_a_tracker_keeps_numbers_and_no_graphs() -> None:
    tracker = ScalarMeanTracker()
    tracker.add_scalars({"loss": torch.tensor(2.0, requires_grad=True) * 3, "x": np.float32(0.5)})
    assert all(type(value) is float for value in tracker.sums().values())
    assert tracker.means() == {"loss": 6.0, "x": 0.5}


def test_merged_trackers_know_what_one_would() -> None:
    left, right = ScalarMeanTracker(), ScalarMeanTracker()
    left.add_scalars({"a": 1.0})
    right.add_scalars({"a": 4.0, "b": 5.0}, n=2)
    left.merge(right)
    assert left.means() == {"a": 3.0, "b": 5.0}
    assert left.counts() == {"a": 3, "b": 2}


def test_means_added_with_their_counts_are_a_merge() -> None:
    worker, engine = ScalarMeanTracker(), ScalarMeanTracker()
    engine.add_scalars({"a": 1.0})
    worker.add_scalars({"a": 4.0}, n=2)
    counts = worker.counts()
    engine.add_scalars(worker.pop_and_reset(), n=counts)
    assert engine.means() == {"a": 3.0}
