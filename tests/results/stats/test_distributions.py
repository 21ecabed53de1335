"""The normal and Student's t distribution, against scipy and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from gridrl.errors import BadValue
from gridrl.results.stats.distributions import normal_cdf, normal_quantile, t_quantile, t_tail


@pytest.mark.parametrize("df", [0.5, 1, 2, 2.5, 4, 9, 29, 100.3, 1e4, 1e6, 3e7, 1e15])
def test_students_t_is_that_of_scipy(df: float) -> None:
    for share in (0.001, 0.3, 0.5, 0.6, 0.9, 0.975, 0.995, 0.9999):
        assert t_quantile(share, df) == pytest.approx(scipy_stats.t.ppf(share, df), rel=1e-8, abs=1e-9)
    for t in (-40, -2, 0, 1e-3, 0.3, 1, 2.5, 10, 60):
        assert t_tail(t, df) == pytest.approx(scipy_stats.t.sf(t, df), rel=1e-8, abs=1e-14)


def test_students_t_of_one_and_two_degrees_has_closed_forms() -> None:
    for t in (1e-6, 0.1, 1, 7):
        assert t_tail(t, 1) == pytest.approx(0.5 - math.atan(t) / math.pi, rel=1e-13)
        assert t_tail(t, 2) == pytest.approx(0.5 - t / (2 * math.sqrt(2 + t * t)), rel=1e-12)
    assert t_quantile(0.975, 1) == pytest.approx(math.tan(0.475 * math.pi), rel=1e-13)  # the printed tables' 12.706
    assert t_tail(math.inf, 3) == 0


def test_a_quantile_and_its_tail_belong_together() -> None:
    for df in (1, 3.3, 50):
        for share in (0.01, 0.5, 0.8, 0.999):
            assert t_tail(t_quantile(share, df), df) == pytest.approx(1 - share, abs=1e-14)


def test_the_normal_distribution_is_that_of_scipy() -> None:
    values = np.linspace(-8, 8, 9)
    np.testing.assert_allclose(normal_cdf(values), scipy_stats.norm.cdf(values), atol=1e-15)
    shares = np.array([[1e-9, 0.025], [0.5, 0.975]])
    np.testing.assert_allclose(normal_quantile(shares), scipy_stats.norm.ppf(shares), atol=1e-9)


def test_what_has_no_quantile_is_told() -> None:
    with pytest.raises(BadValue, match="between 0 and 1"):
        t_quantile(1.0, 3)
    with pytest.raises(BadValue, match="degrees of freedom"):
        t_tail(1.0, 0)
