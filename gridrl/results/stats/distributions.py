"""The normal and Student's t distribution: what the intervals and tests need of them."""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

import numpy as np

from gridrl.errors import BadValue
from gridrl.results.stats.checks import Array

_NORMAL = NormalDist()
_MANY = 1e12  # degrees of freedom from which on t is the normal distribution
_TINY = 1e-300


def normal_cdf(values: Array) -> Array:
    """The share of a standard normal distribution below each value."""
    return np.array([_NORMAL.cdf(value) for value in values.flat]).reshape(values.shape)


def normal_quantile(shares: Array) -> Array:
    """The values below which those shares, between 0 and 1, of a standard normal distribution lie."""
    return np.array([_NORMAL.inv_cdf(share) for share in shares.flat]).reshape(shares.shape)


def t_tail(t: float, df: float) -> float:
    """The share of Student's t distribution above `t`.

    For `t >= 0` it is half the regularised incomplete beta function `I(df / 2, 1 / 2)` at `df / (df + t^2)`
    (Abramowitz and Stegun 1964, 26.7.1).

    Args:
        t: any number.
        df: degrees of freedom, above 0, whole or not.
    """
    if not df > 0:
        raise BadValue(f"df: degrees of freedom above 0 are needed, not {df}.")
    if t < 0:
        return 1 - t_tail(-t, df)
    if math.isinf(t):
        return 0.0
    if df > _MANY:
        return math.erfc(t / math.sqrt(2)) / 2
    square = t * t
    x, rest = df / (df + square), square / (df + square)
    if x <= 0 or rest <= 0:
        return 0.0 if x <= 0 else 0.5
    a, b = df / 2, 0.5
    front = math.exp(a * math.log(x) + b * math.log(rest) - _log_beta_half(a))
    # the fraction converges fast below the mode; above it the complement is asked (A&S 26.5.2)
    if x > (a + 1) / (a + b + 2):
        return 0.5 - front / b / _beta_fraction(b, a, rest) / 2
    return front / a / _beta_fraction(a, b, x) / 2


@lru_cache(maxsize=4096)
def t_quantile(share: float, df: float) -> float:
    """The value below which that share of Student's t distribution lies.

    Args:
        share: between 0 and 1.
        df: degrees of freedom, above 0, whole or not.
    """
    if not 0 < share < 1:
        raise BadValue(f"share: a number between 0 and 1 is needed, not {share}.")
    if share < 0.5:
        return -t_quantile(1 - share, df)
    tail = 1 - share
    low, high = 0.0, 1.0
    while t_tail(high, df) > tail:
        low, high = high, 2 * high
    t = (low + high) / 2
    for _ in range(200):  # Newton's steps, halving where one would leave the bracket: ten or so
        excess = t_tail(t, df) - tail
        low, high = (t, high) if excess > 0 else (low, t)
        nearer = t + excess / _t_density(t, df)
        nearer = nearer if low < nearer < high else (low + high) / 2
        if abs(nearer - t) <= 1e-15 * t:
            break
        t = nearer
    return t


def _t_density(t: float, df: float) -> float:
    return math.exp(-(df + 1) / 2 * math.log1p(t * t / df) - _log_beta_half(df / 2)) / math.sqrt(df)


def _log_beta_half(a: float) -> float:
    """log B(a, 1/2); by its series for large `a`, where the difference of two log gammas would lose digits."""
    if a < 100:
        return math.lgamma(a) + math.lgamma(0.5) - math.lgamma(a + 0.5)
    return 0.5 * math.log(math.pi / a) + 1 / (8 * a) - 1 / (192 * a**3) + 1 / (640 * a**5)


def _beta_fraction(a: float, b: float, x: float) -> float:
    """The continued fraction 1 + d1/(1 + d2/(1 + ...)) of A&S 26.5.8, evaluated from the front (Lentz 1976)."""
    value, upper, lower = 1.0, 1.0, 0.0
    for step in range(1, 20_000):
        m = step // 2
        if step % 2:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        lower = 1 / _not_zero(1 + term * lower)
        upper = _not_zero(1 + term / upper)
        value *= upper * lower
        if abs(upper * lower - 1) < 1e-16:
            break
    return value


def _not_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
