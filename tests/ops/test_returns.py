from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gridrl.errors import ShapeError
from gridrl.ops.returns import (
    Array,
    discount,
    discount_cumsum,
    explained_variance,
    gae,
    make_gamma_matrix,
    split_rollouts,
)

REWARD = np.array([1.0, 2.0, 3.0])
VALUE = np.array([0.5, 0.4, 0.3])
NEXT = np.array([0.4, 0.3, 0.2])
NEVER = np.zeros(3, np.bool_)
IN_THE_MIDDLE = np.array([False, True, False])


def test_discounted_sums_by_hand() -> None:
    # 3; 2 + 0.9 * 3 = 4.7; 1 + 0.9 * 4.7 = 5.23
    np.testing.assert_allclose(discount_cumsum(REWARD, 0.9), [5.23, 4.7, 3.0], rtol=1e-15)


def test_discounted_sums_of_a_block_by_hand() -> None:
    block = np.array([[1.0, 10.0], [2.0, 20.0]])
    np.testing.assert_array_equal(discount_cumsum(block, 0.5), [[2.0, 20.0], [2.0, 20.0]])


def test_discounted_sums_keep_the_floating_type_and_widen_integers() -> None:
    assert discount_cumsum(np.ones(3, np.float32), 0.9).dtype == np.float32
    assert discount_cumsum(np.ones(3, np.int64), 0.5).tolist() == [1.75, 1.5, 1.0]


def test_discounted_sums_of_nothing_are_nothing() -> None:
    assert discount_cumsum([], 0.9).shape == (0,)


def test_gae_by_hand() -> None:
    # delta = [0.86, 1.87, 2.88]; 1.87 + 0.72 * 2.88 = 3.9436; 0.86 + 0.72 * 3.9436 = 3.699392
    adv = gae(REWARD, VALUE, NEXT, NEVER, NEVER, gamma=0.9, lam=0.8)
    np.testing.assert_allclose(adv, [3.699392, 3.9436, 2.88], rtol=1e-14)


def test_a_termination_drops_the_next_value_and_cuts_the_trace() -> None:
    # delta[1] = 2 - 0.4 = 1.6; 0.86 + 0.72 * 1.6 = 2.012
    adv = gae(REWARD, VALUE, NEXT, IN_THE_MIDDLE, IN_THE_MIDDLE, gamma=0.9, lam=0.8)
    np.testing.assert_allclose(adv, [2.012, 1.6, 2.88], rtol=1e-14)


def test_a_truncation_keeps_the_next_value_and_cuts_the_trace() -> None:
    # delta[1] = 2 + 0.27 - 0.4 = 1.87; 0.86 + 0.72 * 1.87 = 2.2064
    adv = gae(REWARD, VALUE, NEXT, NEVER, IN_THE_MIDDLE, gamma=0.9, lam=0.8)
    np.testing.assert_allclose(adv, [2.2064, 1.87, 2.88], rtol=1e-14)


def test_gae_with_lambda_one_gives_discounted_returns_less_the_value() -> None:
    # 3 + 0.9 * 0.2 = 3.18; 2 + 0.9 * 3.18 = 4.862; 1 + 0.9 * 4.862 = 5.3758
    adv = gae(REWARD, VALUE, np.append(VALUE[1:], 0.2), NEVER, NEVER, gamma=0.9, lam=1.0)
    np.testing.assert_allclose(adv + VALUE, [5.3758, 4.862, 3.18], rtol=1e-14)


def test_gae_with_lambda_zero_gives_one_step_errors() -> None:
    adv = gae(REWARD, VALUE, NEXT, NEVER, NEVER, gamma=0.9, lam=0.0)
    np.testing.assert_allclose(adv, [0.86, 1.87, 2.88], rtol=1e-14)


def test_gae_refuses_a_column_with_both_shapes() -> None:
    with pytest.raises(ShapeError, match=r"reward \[3\], value \[3, 1\], next_value \[3\]"):
        gae(REWARD, VALUE[:, None], NEXT, NEVER, NEVER, gamma=0.9, lam=0.8)


def test_a_block_of_three_axes_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"\[T\] or \[T, N\], not \[2, 2, 2\]"):
        discount_cumsum(np.zeros((2, 2, 2)), 0.9)


def random_block(seed: int, steps: int, envs: int) -> tuple[Array, ...]:
    rng = np.random.default_rng(seed)
    reward, value, next_value = rng.normal(size=(3, steps, envs)).astype(np.float32)
    terminated = rng.random((steps, envs)) < 0.15
    done = terminated | (rng.random((steps, envs)) < 0.15)
    return reward, value, next_value, terminated, done


def summed_by_definition(block: tuple[Array, ...], env: int, gamma: float, lam: float) -> list[float]:
    """Equation 16 itself: the weighted sum of the errors that follow, up to the end of the episode."""
    reward, value, next_value, terminated, done = (column[:, env].tolist() for column in block)
    error = [
        r + (0.0 if ended else gamma * after) - v
        for r, v, after, ended in zip(reward, value, next_value, terminated, strict=True)
    ]
    sums = []
    for t in range(len(error)):
        last = next((k for k in range(t, len(done)) if done[k]), len(done) - 1)
        sums.append(math.fsum((gamma * lam) ** (k - t) * error[k] for k in range(t, last + 1)))
    return sums


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    steps=st.integers(1, 40),
    envs=st.integers(1, 4),
    gamma=st.floats(0.0, 1.0),
    lam=st.floats(0.0, 1.0),
)
def test_gae_equals_the_sum_it_is_defined_by(seed: int, steps: int, envs: int, gamma: float, lam: float) -> None:
    block = random_block(seed, steps, envs)
    adv = gae(*block, gamma=gamma, lam=lam)
    assert adv.dtype == np.float32
    expected = np.stack([summed_by_definition(block, env, gamma, lam) for env in range(envs)], axis=1)
    np.testing.assert_allclose(adv, expected, rtol=1e-5, atol=1e-6)


def test_one_environment_gives_the_very_numbers_of_its_column_among_several() -> None:
    block = random_block(seed=3, steps=200, envs=5)
    together = gae(*block, gamma=0.99, lam=0.95)
    for env in range(5):
        alone = gae(*(column[:, env] for column in block), gamma=0.99, lam=0.95)
        in_a_block = gae(*(column[:, env : env + 1] for column in block), gamma=0.99, lam=0.95)
        np.testing.assert_array_equal(alone, together[:, env])
        np.testing.assert_array_equal(in_a_block[:, 0], together[:, env])


def test_the_arguments_are_not_changed() -> None:
    block = random_block(seed=4, steps=20, envs=2)
    before = [column.copy() for column in block]
    gae(*block, gamma=0.9, lam=0.9)
    for column, kept in zip(block, before, strict=True):
        np.testing.assert_array_equal(column, kept)


def test_explained_variance_by_hand() -> None:
    ret = np.array([1.0, 2.0, 3.0, 4.0])
    assert explained_variance(ret, ret) == 1.0
    assert explained_variance(np.full(4, 7.0), ret) == 0.0
    # the errors 0, 0, 0, 2 have variance 0.75, the returns 1.25
    assert explained_variance(np.array([1.0, 2.0, 3.0, 2.0]), ret) == pytest.approx(0.4)
    assert math.isnan(explained_variance(ret, np.ones(4)))


def test_a_gamma_matrix_by_hand() -> None:
    assert make_gamma_matrix(0.5, 1).tolist() == [[1.0], [0.5]]
    assert make_gamma_matrix(0.5, 3).tolist() == [[1, 0, 0], [0.5, 1, 0], [0.25, 0.5, 1], [0.125, 0.25, 0.5]]
    assert make_gamma_matrix(0.0, 2).tolist() == [[1, 0], [0, 1], [0, 0]]
    with pytest.raises(ShapeError, match="1 step or more, not 0"):
        make_gamma_matrix(0.9, 0)


@given(st.integers(1, 6), st.integers(1, 5), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_discounting_by_a_matrix_equals_the_recurrence(steps: int, rollouts: int, gamma: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    reward, value = rng.standard_normal((rollouts, steps)), rng.standard_normal((rollouts, 1))
    found = discount(
        torch.tensor(reward, dtype=torch.float32),
        torch.tensor(value, dtype=torch.float32),
        make_gamma_matrix(gamma, steps),
    )
    expected = discount_cumsum(np.concatenate([reward, value], 1).T, gamma)[:-1].T
    assert found.shape == (rollouts * steps, 1)
    assert found.numpy().reshape(rollouts, steps) == pytest.approx(expected, abs=1e-5)


def test_discounting_refuses_shapes_that_would_broadcast() -> None:
    matrix = make_gamma_matrix(0.9, 2)
    for rewards, values in [((3, 1), (3, 1)), ((3, 2), (3,)), ((3, 2), (1, 1)), ((6,), (3, 1))]:
        with pytest.raises(ShapeError, match=r"they are \[B, 2\] and \[B, 1\]"):
            discount(torch.zeros(rewards), torch.zeros(values), matrix)


def test_rollouts_are_split_into_rows_of_their_own() -> None:
    rows = torch.arange(12).reshape(6, 2)
    assert torch.equal(split_rollouts(rows, 3), torch.stack([rows[:3], rows[3:]]))
    assert split_rollouts(np.zeros((4, 1, 5)), 2).shape == (2, 2, 1, 5)
    with pytest.raises(ShapeError, match="6 rows are no whole number of rollouts of 4 steps"):
        split_rollouts(rows, 4)
