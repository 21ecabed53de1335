"""Where episodes lie and where sequences may start, against lists of tuples that are searched from end to end."""

from __future__ import annotations

import numpy as np
import pytest

from gridrl.errors import BadValue, NotEnoughData
from gridrl.memory.episodes import Episodes
from gridrl.memory.starts import Starts


def check(episodes: Episodes, lengths: dict[int, int]) -> None:
    """Everything that can be asked agrees with the plain list of identities and lengths."""
    assert list(episodes.places) == list(lengths)
    assert episodes.size == sum(lengths.values())
    seen: set[int] = set()
    for identity, steps in lengths.items():
        start, found = episodes.places[identity]
        rows = range(start, start + steps + 1)
        assert found == steps
        assert rows.stop <= episodes.capacity
        assert seen.isdisjoint(rows), "two episodes share a row"
        seen.update(rows)
        assert episodes.left[rows.start : rows.stop].tolist() == list(range(steps, -1, -1))
        assert set(episodes.owner[rows.start : rows.stop].tolist()) == {identity}
    assert np.count_nonzero(episodes.owner >= 0) == len(seen)
    for length in (1, 2, 5):
        points = [(identity, step) for identity, steps in lengths.items() for step in range(steps - length + 1)]
        assert sorted(episodes.points(episodes.starts(length).rows)) == sorted(points)


@pytest.mark.parametrize("oldest_first", [True, False])
def test_episodes_come_and_go_and_every_start_is_known(oldest_first: bool) -> None:
    rng = np.random.default_rng(3)
    episodes, lengths = Episodes(limit=400), {}
    for identity in range(1500):
        steps = int(rng.integers(1, 40 if identity % 50 else 200))
        while lengths and sum(lengths.values()) + steps > 400:
            leaving = next(iter(lengths)) if oldest_first else int(rng.choice(list(lengths)))
            episodes.remove(leaving)
            del lengths[leaving]
        episodes.add(identity, steps)
        lengths[identity] = steps
        if identity % 20 == 0:
            check(episodes, lengths)
    check(episodes, lengths)
    assert episodes.capacity < 1.25 * (400 + 400) + 300, "the ring does not grow without need"


def test_those_who_watch_are_told_where_rows_went() -> None:
    episodes = Episodes()
    value = np.full(episodes.capacity, -1)

    def moved(rows: np.ndarray, capacity: int) -> None:
        nonlocal value
        value, old = np.full(capacity, -1), value
        value[: len(rows)] = old[rows]

    episodes.watch(moved)
    for identity in range(100):
        start, steps = episodes.add(identity, 9)
        value[start : start + steps + 1] = identity
    assert all(set(value[p.start : p.start + 10]) == {identity} for identity, p in episodes.places.items())


def test_state_lays_the_same_rows_and_draws_the_same() -> None:
    episodes = Episodes(limit=100)
    for identity in range(30):
        if identity > 8:
            episodes.remove(identity - 9)
        episodes.starts(2)
        episodes.add(identity, 10)
    again = Episodes(limit=100)
    again.load_state(episodes.state())
    check(again, dict.fromkeys(range(21, 30), 10))
    for one in (episodes, again):
        one.remove(25)
        one.add(99, 17)
    assert again.starts(2).rows.tolist() == episodes.starts(2).rows.tolist()
    assert again.places == episodes.places


def test_a_length_that_was_asked_for_before_a_state_was_taken_keeps_its_order_after_it() -> None:
    episodes, again = Episodes(), Episodes()
    for identity in range(5):
        episodes.add(identity, 4)
    episodes.starts(3)
    again.load_state(episodes.state())
    for one in (episodes, again):
        one.remove(1)  # the last starts fill the gap
        one.add(7, 4)
    assert episodes.starts(3).rows.tolist() == [0, 1, 20, 21, 10, 11, 15, 16, 25, 26]
    assert again.starts(3).rows.tolist() == episodes.starts(3).rows.tolist()


@pytest.mark.parametrize(
    ("identity", "steps", "told"),
    [
        (-1, 3, "identity -1: a whole number from 0 to 2"),
        (2**63, 3, "a whole number from 0 to 2"),
        (1.5, 3, "a whole number is needed, not 1.5"),
        (True, 3, "a whole number is needed, not True"),
        (4, 3, "identity 4 is taken"),
        (5, 0, "at least one step, this one has 0"),
    ],
)
def test_identities_and_lengths_that_cannot_be_are_told(identity: int, steps: int, told: str) -> None:
    episodes = Episodes()
    episodes.add(4, 2)
    with pytest.raises(BadValue, match=told):
        episodes.add(identity, steps)
    check(episodes, {4: 2})


def test_too_little_data_is_told_with_what_there_is() -> None:
    episodes = Episodes()
    episodes.add(0, 4)
    episodes.add(1, 2)
    with pytest.raises(
        NotEnoughData, match=r"of 5 steps, .* was asked for; the memory holds 2 episodes, the longest of 4"
    ):
        episodes.require(5)
    with pytest.raises(BadValue, match="at least 1 is needed, not 0"):
        episodes.starts(0)


def test_starts_are_drawn_evenly() -> None:
    starts = Starts(2, 100)
    starts.add(0, 4)  # rows 0 1 2
    starts.add(10, 1)  # too short
    starts.add(20, 3)  # rows 20 21
    starts.remove(10, 1)
    drawn = starts.draw(50_000, np.random.default_rng(0))
    rows, count = np.unique(drawn, return_counts=True)
    assert rows.tolist() == [0, 1, 2, 20, 21]
    assert ((count - 10_000) ** 2 / 10_000).sum() < 18.5  # chi-square, 4 degrees of freedom, p = 0.001
