"""The numbers behind the charts of a report: curves on few points, final scores, maps over two hyperparameters."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from gridrl.results import columns as meanings
from gridrl.results.curves import Curve, series
from gridrl.results.facets import in_order, short_keys
from gridrl.results.looks import PALETTE, look
from gridrl.results.run import Run
from gridrl.results.stats import Array, advice, band, interpolate
from gridrl.results.summary import Asked, VariantSummary, differing_settings

POINTS, LEAST_POINTS = 200, 50
"""A curve has at most so many points, and fewer in a report on many runs; a point is the mean of those that fall
together."""

_NUMBERS = 400_000  # of single seeds: 3 MB

MOST_SHOWN = 12
"""So many variants are drawn at first; the others can be switched on."""

MOST_COLUMNS = 9
"""So many columns have curves where none are asked for."""

_MOST_KEYS = 8  # hyperparameters that a map can be drawn over: 28 maps
_DASHES = (("solid", "solid"), ("dash", "dashed"), ("dot", "dotted"), ("dashdot", "dashed"))  # plotly's, the page's
_DERIVED = ("Std", "Max", "Min", "Delta")
_TIME = meanings.TIME.names[0]


def chart_data(
    summaries: Sequence[VariantSummary], asked: Asked, columns: Sequence[str], smooth: int
) -> dict[str, Any]:
    """Everything that the page's program draws, as JSON.

    Args:
        summaries: the rows of the table, in their order.
        asked: which scores.
        columns: those that have curves, see `chart_columns`.
        smooth: rows that go into a curve's moving mean.
    """
    keys = differing_settings(summaries)
    curves, axes = _curves(summaries, asked, columns, smooth)
    ranks, shown = look_ranks(summaries), shown_at_first(summaries)
    return {
        "variants": [_variant(*one, keys) for one in zip(summaries, ranks, shown, strict=True)],
        "envs": environments(summaries),
        "words": {name: meanings.words_of(name) for name in (*columns, asked.xaxis, _TIME)},
        "scoreWords": [meanings.words_of(asked.value), f"mean of the last {asked.last} rows"],
        "smallerIsBetter": asked.smaller_is_better,
        "curves": curves,
        "axes": axes,
        "heat": _heat(summaries, keys, asked),
    }


def environments(summaries: Sequence[VariantSummary]) -> list[str]:
    """Their names, in order; scores of two do not share an axis."""
    return list(dict.fromkeys(summary.env for summary in summaries))


def look_ranks(summaries: Sequence[VariantSummary]) -> list[int]:
    """Which look each variant has; variants that differ in their environment alone look alike."""
    ranks: dict[object, int] = {}
    for summary in summaries:
        ranks.setdefault(_without_env(summary), len(ranks))
    return [ranks[_without_env(summary)] for summary in summaries]


def _without_env(summary: VariantSummary) -> object:
    settings = tuple(sorted((key, value) for key, value in summary.settings.items() if not key.startswith("env_")))
    return settings or summary.label


def shown_at_first(summaries: Sequence[VariantSummary]) -> list[bool]:
    """Whether each variant is drawn before anybody switches it on: the best of each environment are."""
    seen = Counter[str]()
    shown = []
    for summary in summaries:
        seen[summary.env] += 1
        shown.append(seen[summary.env] <= MOST_SHOWN)
    return shown


def swatch_style(rank: int) -> str:
    """The line of a look, for the page's style sheet."""
    return f"--color:{look(rank).color};--dash:{_dashes(rank)[1]}"


def _dashes(rank: int) -> tuple[str, str]:
    return _DASHES[rank // len(PALETTE) % len(_DASHES)]


def _variant(summary: VariantSummary, rank: int, is_shown: bool, keys: Sequence[str]) -> dict[str, Any]:
    found = summary.score
    return {
        "label": summary.label,
        "env": summary.env,
        "isShown": is_shown,
        "color": look(rank).color,
        "dash": _dashes(rank)[0],
        "settings": {key: summary.settings[key] for key in keys if key in summary.settings},
        "states": dict(summary.states),
        "score": None if found is None else _short(found.center),
        "low": None if found is None else _short(found.low),
        "high": None if found is None else _short(found.high),
        "scores": [_short(score) for score in summary.scores],
    }


def chart_columns(runs: Iterable[Run], asked: Asked) -> list[str]:
    """The columns that are worth a curve: the score first, then what the runs log, apart from spreads and places."""
    there = dict.fromkeys(name for run in runs for name in run.column_names)
    known = {run.find(name) for run in runs for name in (asked.value, asked.xaxis, _TIME, meanings.EPOCH.names[0])}
    worth = [name for name in there if name not in known and not name.startswith(_DERIVED)]
    return [asked.value, *(name for name in worth if name != asked.value)][:MOST_COLUMNS]


def _curves(
    summaries: Sequence[VariantSummary], asked: Asked, columns: Sequence[str], smooth: int
) -> tuple[dict[str, Any], dict[str, list[str]]]:
    curves: dict[str, list[dict[str, Any]]] = {}
    axes: dict[str, list[str]] = {}
    points = points_for(sum(len(summary.members) for summary in summaries) * (len(columns) + 1))
    for column in columns:
        for xaxis in dict.fromkeys([asked.xaxis, _TIME] if column == columns[0] else [asked.xaxis]):
            drawn = [
                {"variant": rank, **found}
                for rank, summary in enumerate(summaries)
                if (found := _curve(summary, xaxis, column, smooth, points))
            ]
            if drawn:
                curves[f"{column}|{xaxis}"] = drawn
                axes.setdefault(column, []).append(xaxis)
    return curves, axes


def points_for(curves: int) -> int:
    """How many points each of so many single curves has, so that a report on many runs can still be sent.

    >>> points_for(500), points_for(4000), points_for(100000)
    (200, 100, 50)
    """
    return max(LEAST_POINTS, min(POINTS, _NUMBERS // max(1, curves)))


def _curve(summary: VariantSummary, xaxis: str, column: str, smooth: int, points: int) -> dict[str, Any] | None:
    named, found = [], []
    for run in (member.run for member in summary.members if member.steps is not None):
        one = series(Curve(summary.label, (run,)), xaxis, column, smooth, [])
        if one:
            named.append("a run" if run.seed is None else f"seed {run.seed}")
            found += one
    if not found:
        return None
    grid, values = thinned(*interpolate(found), points)
    told = advice(len(found))
    middle = band(values)
    return {
        "x": rounded(grid, 7),
        "mean": rounded(middle.center),
        "low": rounded(middle.low) if told.shows_band else None,
        "high": rounded(middle.high) if told.shows_band else None,
        "n": middle.count.tolist(),
        "few": told.shows_seeds and len(found) > 1,
        "seeds": [{"name": name, "y": row} for name, row in zip(named, rounded(values), strict=True)]
        if len(found) > 1
        else [],
    }


def thinned(grid: Array, values: Array, points: int) -> tuple[Array, Array]:
    """Curves on few points: neighbours become their mean, which keeps the level and hides no drop.

    Args:
        grid: [g], rising.
        values: [curves, g], nan where a curve is not.
        points: as many as that at most.

    Returns:
        The means of the places [at most points], and of the values [curves, at most points]; nan where all are.
    """
    if grid.size <= points:
        return grid, values
    starts = np.linspace(0, grid.size, points, endpoint=False).astype(np.int64)
    present = ~np.isnan(values)
    sums = np.add.reduceat(np.where(present, values, 0.0), starts, axis=1)
    counts = np.add.reduceat(present.astype(np.float64), starts, axis=1)
    means = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    return np.add.reduceat(grid, starts) / np.diff([*starts, grid.size]), means


def rounded(values: Array, digits: int = 5) -> list[Any]:
    """Numbers of few digits, None where JSON has none; lists in a list for [n, m].

    >>> rounded(np.array([0.123456, -98765.4, np.nan, 0.0]), 3)
    [0.123, -98800.0, None, 0.0]
    """
    safe = np.where(np.isfinite(values) & (values != 0), values, 1.0)
    power = digits - 1 - np.floor(np.log10(np.abs(safe)))
    # powers of ten that are whole are exact, so that what comes out has few digits when it is written
    up, down = 10.0 ** np.clip(power, 0, 300), 10.0 ** np.clip(-power, 0, 300)
    short = np.round(safe * up / down) * down / up
    found = np.where(np.isfinite(values), np.where(values == 0, 0.0, short), np.nan).astype(object)
    found[~np.isfinite(values)] = None
    lists: list[Any] = found.tolist()
    return lists


def _short(value: float, digits: int = 5) -> float | None:
    return float(f"{value:.{digits}g}") if np.isfinite(value) else None


def _heat(summaries: Sequence[VariantSummary], keys: Sequence[str], asked: Asked) -> dict[str, Any]:
    """By environment a map for each pair of hyperparameters: per cell the mean and the best of the variants' scores."""
    chosen = [key for key in keys if not key.startswith("env_")][:_MOST_KEYS]
    maps = {
        env: {
            f"{across}|{down}": _map([one for one in summaries if one.env == env], across, down, asked)
            for across, down in itertools.combinations(chosen, 2)
        }
        for env in environments(summaries)
    }
    return {"keys": chosen, "words": dict(zip(chosen, short_keys(chosen), strict=True)), "maps": maps}


def _map(summaries: Sequence[VariantSummary], across: str, down: str, asked: Asked) -> dict[str, Any]:
    scored = [summary for summary in summaries if summary.score is not None]
    cells: dict[tuple[str, str], list[float]] = {}
    for summary in scored:
        if summary.score is not None and {across, down} <= summary.settings.keys():
            place = (summary.settings[across], summary.settings[down])
            cells.setdefault(place, []).append(summary.score.center)
    xs = sorted({x for x, _ in cells}, key=in_order)
    ys = sorted({y for _, y in cells}, key=in_order)
    best = min if asked.smaller_is_better else max

    def matrix(function: Any) -> list[list[float | None]]:
        return [[_short(function(cells[x, y])) if (x, y) in cells else None for x in xs] for y in ys]

    return {"xs": xs, "ys": ys, "mean": matrix(np.mean), "best": matrix(best), "counts": matrix(len)}
