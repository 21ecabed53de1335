from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector.utils import batch_space, concatenate, create_empty_array, iterate
from hypothesis import given, settings
from hypothesis import strategies as st

from gridrl.envs.spaces import BoxSpace, DictSpace, FlatObservation, MDPSpace, action_dim, flat_observation
from gridrl.errors import BadValue


def test_a_flat_box_is_returned_as_it_is() -> None:
    flat = flat_observation(spaces.Box(-1, 1, (3,)))
    obs = np.array([0.1, 0.2, 0.3], np.float32)
    assert flat(obs) is obs
    many = np.stack([obs, obs])
    assert flat.batch(many) is many
    assert flat.dim == 3


def test_a_box_of_another_type_or_shape_becomes_float32_vectors() -> None:
    flat = FlatObservation(spaces.Box(0, 255, (2, 2), np.uint8))
    obs = np.array([[1, 2], [3, 255]], np.uint8)
    assert flat(obs).tolist() == [1.0, 2.0, 3.0, 255.0]
    assert flat(obs).dtype == np.float32
    assert flat.batch(np.stack([obs, obs])).shape == (2, 4)
    assert FlatObservation(spaces.Box(-1, 1, (3,), np.float64))(np.ones(3)).dtype == np.float32
    assert FlatObservation(spaces.Box(-1, 1, ()))(np.float32(0.5)).tolist() == [0.5]


def test_discrete_observations_become_one_hot() -> None:
    flat = FlatObservation(spaces.Discrete(4, start=-1))
    assert flat(-1).tolist() == [1.0, 0.0, 0.0, 0.0]
    assert flat(np.int64(2)).tolist() == [0.0, 0.0, 0.0, 1.0]
    assert flat.batch(np.array([0, 2])).tolist() == [[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]


def test_multi_discrete_by_hand() -> None:
    flat = FlatObservation(spaces.MultiDiscrete([2, 3], start=[0, 5]))
    assert flat(np.array([1, 5])).tolist() == [0.0, 1.0, 1.0, 0.0, 0.0]
    assert flat.batch(np.array([[0, 7], [1, 6]])).tolist() == [[1.0, 0.0, 0.0, 0.0, 1.0], [0.0, 1.0, 0.0, 1.0, 0.0]]


def test_nested_spaces_by_hand() -> None:
    space = spaces.Dict(
        {
            "b": spaces.Tuple((spaces.Discrete(2), spaces.MultiBinary(2))),
            "a": spaces.Box(-9, 9, (1, 2), np.float64),
        }
    )
    flat = FlatObservation(space)
    obs = {"a": np.array([[7.0, 8.0]]), "b": (1, np.array([1, 0], np.int8))}
    # gymnasium sorts the keys of a Dict made from a dict
    assert flat(obs).tolist() == [7.0, 8.0, 0.0, 1.0, 1.0, 0.0]
    batch = {"a": np.array([[[7.0, 8.0]], [[5.0, 6.0]]]), "b": (np.array([1, 0]), np.array([[1, 0], [0, 1]]))}
    assert flat.batch(batch).tolist() == [[7.0, 8.0, 0.0, 1.0, 1.0, 0.0], [5.0, 6.0, 1.0, 0.0, 0.0, 1.0]]


def leaves() -> st.SearchStrategy[gym.Space[Any]]:
    shapes = st.lists(st.integers(1, 3), min_size=0, max_size=3).map(tuple)
    return st.one_of(
        st.builds(lambda shape: spaces.Box(-5, 5, shape), shapes),
        st.builds(lambda shape: spaces.Box(-5, 5, shape, np.int16), shapes),
        st.builds(lambda n, start: spaces.Discrete(n, start=start), st.integers(1, 5), st.integers(-3, 3)),
        st.builds(lambda nvec: spaces.MultiDiscrete(nvec), st.lists(st.integers(1, 4), min_size=1, max_size=3)),
        st.builds(lambda n: spaces.MultiBinary(n), st.integers(1, 4)),
    )


def any_space() -> st.SearchStrategy[gym.Space[Any]]:
    return st.recursive(
        leaves(),
        lambda parts: st.one_of(
            st.lists(parts, min_size=1, max_size=3).map(spaces.Tuple),
            st.dictionaries(st.sampled_from("zyxabc"), parts, min_size=1, max_size=3).map(spaces.Dict),
        ),
        max_leaves=6,
    )


@settings(max_examples=120, deadline=None)
@given(space=any_space(), seed=st.integers(0, 1000))
def test_every_space_is_flattened_as_gymnasium_does(space: gym.Space[Any], seed: int) -> None:
    space.seed(seed)
    flat = FlatObservation(space)
    samples = [space.sample() for _ in range(3)]
    expected = np.stack([np.asarray(spaces.flatten(space, sample), np.float32) for sample in samples])
    assert flat.dim == expected.shape[1]
    for sample, row in zip(samples, expected, strict=True):
        np.testing.assert_array_equal(flat(sample), row)
        assert flat(sample).dtype == np.float32
    batch = concatenate(space, samples, create_empty_array(space, n=3))
    assert len(list(iterate(batch_space(space, 3), batch))) == 3
    np.testing.assert_array_equal(flat.batch(batch), expected)
    assert flat.batch(batch).dtype == np.float32


@pytest.mark.parametrize(
    "space",
    [
        spaces.Text(5),
        spaces.Sequence(spaces.Discrete(2)),
        spaces.Dict(a=spaces.Discrete(2), b=spaces.Tuple((spaces.Text(3),))),
    ],
)
def test_spaces_without_a_vector_form_are_refused(space: gym.Space[Any]) -> None:
    with pytest.raises(BadValue, match=r"Observations of .* cannot be made into a vector\. Box, Discrete"):
        FlatObservation(space)


def test_an_empty_space_is_refused() -> None:
    with pytest.raises(BadValue, match="are empty: there is nothing to learn from"):
        FlatObservation(spaces.Dict())


def test_parts_of_a_space_may_be_empty() -> None:
    flat = FlatObservation(spaces.Dict(a=spaces.Dict(), b=spaces.Tuple((spaces.Tuple(()), spaces.Discrete(2)))))
    assert flat({"a": {}, "b": ((), 1)}).tolist() == [0.0, 1.0]
    assert flat.batch({"a": {}, "b": ((), np.array([1, 0]))}).tolist() == [[0.0, 1.0], [1.0, 0.0]]


def test_action_dims() -> None:
    assert action_dim(spaces.Discrete(4, start=3)) == 4
    assert action_dim(spaces.Box(-1, 1, (2, 3))) == 6
    for space in (spaces.MultiBinary(2), spaces.Box(0, 3, (2,), np.int64), spaces.MultiDiscrete([2, 2])):
        with pytest.raises(BadValue, match=r"Actions of .* are not supported: a Discrete or a Box of floats is needed"):
            action_dim(space)


def test_a_world_is_described_by_the_documented_fields() -> None:
    world = MDPSpace(
        rewards=BoxSpace(torch.float32, (1,)),
        actions=BoxSpace(dtype=np.float64, shape=[2]),
        state=DictSpace(spaces={"image": BoxSpace(torch.uint8, (4, 4, 3)), "alive": BoxSpace("bool", ())}),
    )
    assert world.rewards == BoxSpace(np.float32, (1,))
    assert (world.actions.dtype, world.actions.shape) == (np.float64, (2,))
    assert world.state.spaces["image"].dtype == np.uint8
    assert BoxSpace(torch.bool, ()) == world.state.spaces["alive"]
    with pytest.raises(BadValue, match=r"dtype torch\.bfloat16 of a space is no type of numpy"):
        BoxSpace(torch.bfloat16, (1,))
