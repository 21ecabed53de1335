"""What is asked of a figure, checked before anything is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gridrl.errors import BadValue, Problems
from gridrl.results.spreads import Spread, spread_of

Words = str | Sequence[str] | None


@dataclass(frozen=True)
class Asked:
    """What is asked of a figure.

    Attributes:
        values: the columns that are drawn.
        xaxis: the column along the bottom; None where there is none, of final scores.
        smooth: rows that go into the moving mean.
        spread: how seeds are put together.
        log: the axes that are logarithmic.
        kind: `curves`, `compare`, `profile` or `heatmap`.
        keys: of a heatmap, as typed.
        last: rows that a run's final score is the mean of.
    """

    values: tuple[str, ...]
    xaxis: str | None
    smooth: int
    spread: Spread
    log: tuple[str, ...]
    kind: str
    keys: tuple[str, ...]
    last: int

    @property
    def columns(self) -> list[str]:
        """All columns that have to be read."""
        return [*self.values] if self.xaxis is None else [self.xaxis, *self.values]


def read_options(
    *,
    value: Words,
    xaxis: str,
    smooth: int,
    est: str | None,
    metric: str | None,
    band: str | None,
    log: Words,
    compare: bool,
    profile: bool,
    heatmap: Sequence[str] | None,
    last: int,
) -> Asked:
    """What the arguments of `gridrl.plot` mean.

    Raises:
        BadValue: all that is wrong with them.
    """
    problems = Problems()
    kinds = {"compare": compare, "profile": profile, "heatmap": heatmap is not None}
    chosen = [kind for kind, is_asked in kinds.items() if is_asked]
    if len(chosen) > 1:
        flags = " and ".join(f"`--{kind}`" for kind in chosen)
        problems.add(f"{flags}: give one; each is a figure of its own.")
    if heatmap is not None and (len(heatmap) != 2 or heatmap[0] == heatmap[1]):
        problems.add(f"`--heatmap`: wants two keys, got {', '.join(heatmap) or 'none'}.")
    for flag, rows in (("smooth", smooth), ("last", last)):
        if rows < 1:
            problems.add(f"`--{flag}`: wants at least 1 row, got {rows}.")
    values = tuple(dict.fromkeys(words(value)))
    if not values:
        problems.add("`--value`: wants at least one column.")
    log_axes = _log_axes(log, problems)
    spread = _spread(metric, est, band, chosen, problems)
    problems.raise_if_any(BadValue)
    kind = chosen[0] if chosen else "curves"
    return Asked(values, None if chosen else xaxis, smooth, spread, log_axes, kind, tuple(heatmap or ()), last)


def words(given: Words) -> list[str]:
    """One word or several, as a list."""
    return [given] if isinstance(given, str) else list(given or ())


def _log_axes(log: Words, problems: Problems) -> tuple[str, ...]:
    """`x`, `y`, or both, also as `xy`."""
    axes = [letter for word in words(log) for letter in (word if word in ("xy", "yx") else [word])]
    unknown = [axis for axis in axes if axis not in ("x", "y")]
    if unknown:
        problems.add(f"`--log`: there is no axis {', '.join(map(repr, unknown))}. There are: x, y.")
    return tuple(axes)


def _spread(metric: str | None, est: str | None, band: str | None, chosen: Sequence[str], problems: Problems) -> Spread:
    if "profile" in chosen:
        if metric is not None or est is not None:
            problems.add("`--metric`: a profile shows all runs and puts none together; leave it out.")
        if band not in (None, "ci", "percentile", "none"):
            problems.add(f"`--band` {band}: a profile has `ci`, the percentile interval, or `none`.")
        return Spread(band=band)
    try:
        return spread_of(metric, est, band, of_scores=bool(chosen))
    except BadValue as error:
        problems.add(str(error))
        return Spread()
