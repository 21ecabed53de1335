"""Draws performance profiles: which share of a variant's runs scores above each threshold, over all environments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gridrl.results.curves import Curve
from gridrl.results.finals import final_scores
from gridrl.results.panels import Sheet
from gridrl.results.scales import number_axis, set_scales
from gridrl.results.stats import Array, advice, profile_band
from gridrl.results.stats.advising import SEEDS_FOR_BAND

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

_EDGE = 0.03  # of the scores' width, beyond the lowest and the highest

Raw = dict[str, dict[str, Array]]
"""By variant and environment: [seeds]."""

Scores = dict[str, Array]
"""By variant: [seeds, environments]."""


@dataclass
class ProfileSheet(Sheet):
    """Performance profiles, a line for each variant.

    Scores of several environments are brought to one scale: 0 is the worst run of an environment, 1 its best.

    Attributes:
        last: rows that a run's final score is the mean of.
        band: `none` for no interval; None: an interval from five seeds on.
        log: the axes that are logarithmic; only `x` can be, of one environment's scores.
    """

    last: int = 10
    band: str | None = None
    log: Sequence[str] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        raw = {(value, place): self._scores_of(value, place) for value, place in self.plots}
        self._scores = {
            (value, place): self._on_one_scale(found, [raw[value, other] for other in range(len(self.panels))])
            for (value, place), found in raw.items()
        }
        self._lines: dict[str, Line2D] = {}
        self._has_bands = False

    def _envs(self, place: int) -> list[str]:
        return sorted({run.env for run in self.panels[place].runs})

    def _scores_of(self, value: str, place: int) -> Raw:
        """The scores of the variants that have runs on all environments of their plot; the others are told."""
        envs = self._envs(place)
        found: Raw = {}
        for curve in self.panels[place].curves:
            by_env = {env: Curve(curve.label, tuple(run for run in curve.runs if run.env == env)) for env in envs}
            scores = {env: final_scores(one, value, self.last, self.found) for env, one in by_env.items()}
            missing = [env or "no environment" for env in envs if not scores[env].size]
            if not missing:
                found[curve.label] = scores
            elif len(missing) < len(envs):
                self.found.notes.append(f"{curve.label} has no profile: there is no run on {', '.join(missing)}")
        return found

    def _on_one_scale(self, found: Raw, everywhere: Sequence[Raw]) -> Scores:
        """Scores of a plot as [seeds, environments]; of several environments, those of all plots make the scale."""
        scaled: Scores = {}
        for label, scores in found.items():
            if len(scores) > 1:
                scores = {env: _between_extremes(one, env, everywhere) for env, one in scores.items()}
            scaled[label] = self._same_seeds(label, list(scores.values()))
        return scaled

    def _same_seeds(self, label: str, scores: list[Array]) -> Array:
        """As many runs of each environment as the one with the fewest has."""
        fewest, most = min(map(len, scores)), max(map(len, scores))
        if fewest < most:
            self.found.notes.append(f"{label}: {fewest} runs of each environment are taken, one has no more")
        return np.array([one[:fewest] for one in scores]).T

    @property
    def is_empty(self) -> bool:
        """Whether no variant has scores."""
        return not any(self._scores.values())

    def draw(self, ax: Axes, place: int, value: str) -> None:
        """Draws a line for each variant."""
        scores = self._scores[value, place]
        if not scores:
            return
        set_scales(ax, [axis for axis in self.log if axis == "x"])
        steps = np.unique(np.concatenate([one.ravel() for one in scores.values()]))
        edge = _EDGE * (steps[-1] - steps[0] or 1.0)
        taus = np.array([steps[0] - edge, *steps, steps[-1] + edge])
        for label, found in scores.items():
            self._draw_profile(ax, label, taus, found)

    def _draw_profile(self, ax: Axes, label: str, taus: Array, scores: Array) -> None:
        look, seeds = self.looks[label], len(scores)
        profile = profile_band(scores, taus)
        if seeds > 1 and self.band != "none" and (advice(seeds).shows_band or self.band is not None):
            self._has_bands = True
            pale: dict[str, Any] = {"color": look.color, "alpha": 0.15, "linewidth": 0, "zorder": 2}
            ax.fill_between(taus, profile.low, profile.high, step="post", **pale, label="_band")
        every = max(1, taus.size // 8)
        marks: dict[str, Any] = {"marker": look.marker, "markevery": (look.rank * 3 % every, every)}
        label_with_seeds = self.named(label, seeds, seeds)
        (line,) = ax.plot(
            taus,
            profile.center,
            drawstyle="steps-post",
            label=label_with_seeds,
            **look.line,
            **(marks if look.marker else {}),
        )
        self._lines.setdefault(label, line)

    def finish(self, axes: Sequence[Axes], value: str) -> None:
        """Sets limits, numbers and words."""
        for place, ax in enumerate(axes):
            ax.set_ylim(-0.03, 1.03)
            ax.margins(x=0)
            number_axis(ax.xaxis)
            several = "\n0: the worst run of an environment, 1: its best" if len(self._envs(place)) > 1 else ""
            ax.set_xlabel(f"{self.value_words(value)}, mean of a run's last {self.last} rows{several}")
            ax.set_ylabel("share of runs above")

    @property
    def shares(self) -> tuple[bool, bool]:
        """All plots go from no run to all of them."""
        return self.shares_values, True

    def entries(self) -> dict[str, Any]:
        """What stands in the legend."""
        counts: dict[str, list[int]] = {}
        for scores in self._scores.values():
            for label, found in scores.items():
                counts.setdefault(label, []).append(len(found))
        return {
            self.named(label, min(counts[label]), max(counts[label])): self._lines[label]
            for label in self.looks
            if label in self._lines
        }

    def caption(self) -> str:
        """What the lines and bands are."""
        envs = max(len(self._envs(place)) for place in range(len(self.panels)))
        parts = [f"share of n seeds{f' on each of {envs} environments' if envs > 1 else ''}"]
        if self._has_bands:
            few = any(len(found) < SEEDS_FOR_BAND for scores in self._scores.values() for found in scores.values())
            where = f" from {SEEDS_FOR_BAND} seeds on" if few and self.band is None else ""
            parts.append(f"band: 95 % interval (stratified bootstrap){where}")
        return "; ".join(parts)


def _between_extremes(scores: Array, env: str, everywhere: Sequence[Raw]) -> Array:
    """Scores from 0, the worst run of an environment, to 1, its best."""
    everyone = np.concatenate([found[env] for plot in everywhere for found in plot.values() if env in found])
    low, high = everyone.min(), everyone.max()
    scaled: Array = (scores - low) / (high - low if high > low else 1.0)
    return scaled
