"""What is drawn of several seeds: the line in the middle, the band around it, and both in words."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gridrl.errors import BadValue, did_you_mean
from gridrl.results.stats import ESTIMATES, METHODS, Array, Estimate, Interval, estimate, interval
from gridrl.results.stats import band as interval_band

METRICS = {"mean": "mean", "median": "median", "iqm": "interquartile mean"}
"""What may have a band, in words."""

BANDS = {
    "ci": "95 % interval",
    "std": "standard deviation",
    "se": "standard error",
    "range": "lowest to highest seed",
    "none": "",
    **dict.fromkeys(METHODS, "95 % interval"),
}
"""Bands in words. `ci` chooses the method by the number of seeds; a method's own name asks for that one."""

_METHOD_WORDS = {
    "student_t": "Student's t",
    "percentile": "percentile bootstrap",
    "bca": "BCa bootstrap",
    "bootstrap_t": "bootstrap-t",
}


@dataclass(frozen=True)
class Spread:
    """How seeds are put together.

    Attributes:
        metric: a name in `METRICS`, or one of the documented `est`.
        band: a name in `BANDS`; None: an interval where there are seeds enough for one.
    """

    metric: str = "mean"
    band: str | None = None

    @property
    def words(self) -> str:
        """The line, in words."""
        return METRICS.get(self.metric) or ESTIMATES[self.metric][0]

    @property
    def band_words(self) -> str:
        """The band, in words."""
        method = f" ({_METHOD_WORDS[self.band]})" if self.band in _METHOD_WORDS else ""
        return f"{BANDS[self.band or 'ci']}{method}"

    @property
    def has_band(self) -> bool:
        """Whether there may be one."""
        return self.metric in METRICS and self.band != "none"

    def over(self, values: Array) -> Estimate:
        """The line and the band over seeds.

        Args:
            values: [seeds, g], nan where a seed is not.
        """
        if self.metric not in METRICS:
            return estimate(values, self.metric)
        if self.band is None or self.band == "ci" or self.band in METHODS:
            return interval_band(values, self.metric, self.band if self.band in METHODS else None)
        return self._plain_band(values)

    def of(self, scores: Array) -> Interval:
        """The estimate of final scores, and the line around it.

        Args:
            scores: [seeds], finite.
        """
        if self.band is None or self.band == "ci" or self.band in METHODS:
            return interval(scores, self.metric, self.band if self.band in METHODS else None)
        found = self.over(scores[:, None])
        low, high = float(found.low[0]), float(found.high[0])
        return Interval(float(found.center[0]), low, high, seeds=scores.size)

    def _plain_band(self, values: Array) -> Estimate:
        # the quick ones: their edges are not used
        center = interval_band(values, "iqm", "student_t") if self.metric == "iqm" else estimate(values, self.metric)
        if self.band == "range":
            low, high = estimate(values, "min").center, estimate(values, "max").center
        else:
            of_mean = estimate(values, "mean")
            reach = of_mean.high - of_mean.center
            if self.band == "se":
                reach = reach / np.sqrt(np.maximum(of_mean.count, 1))
            low, high = center.center - reach, center.center + reach
        return dataclasses.replace(center, low=low, high=high)


def spread_of(metric: str | None, est: str | None, band: str | None, *, of_scores: bool = False) -> Spread:
    """What was asked for.

    Args:
        metric, est, band: as typed.
        of_scores: whether it is for final scores, which have less to choose from.

    Raises:
        BadValue: there is no such thing, or both `metric` and `est`; all faults at once.
    """
    faults = []
    if metric is not None and est is not None and metric != est:
        faults.append(f"`--metric` {metric} and `--est` {est}: both say what the line is. Give one.")
    names: tuple[tuple[str, str | None, Sequence[str]], ...] = (
        ("--metric", metric, tuple(METRICS)),
        ("--est", est, tuple(ESTIMATES)),
        ("--band", band, tuple(BANDS)),
    )
    for flag, name, known in names:
        if name is not None and name not in known:
            faults.append(f"`{flag}`: there is no {name!r}.{did_you_mean(name, known)} There are: {', '.join(known)}.")
    line = metric or est or "mean"
    if not faults and band not in (None, "none") and line not in METRICS:
        faults.append(f"`--band` {band}: is for the {', '.join(METRICS)}; the {line} has none.")
    if not faults and of_scores and line not in METRICS:
        faults.append(f"`--est` {line}: final scores have {', '.join(METRICS)}.")
    if not faults and line == "median" and band in METHODS and band != "percentile":
        faults.append(f"`--band` {band}: is for the mean and the iqm; a median has `percentile`.")
    if faults:
        raise BadValue("\n".join(faults))
    return Spread(line, band)
