"""Numbers over seeds: curves on a common grid, final scores, how sure an estimate is, and who is better than whom."""

from gridrl.results.stats.advising import Advice, advice, default_method
from gridrl.results.stats.bands import band
from gridrl.results.stats.checks import Array
from gridrl.results.stats.estimates import ESTIMATES, Estimate, estimate
from gridrl.results.stats.grids import MAX_GRID, area_under_curve, final_score, interpolate, smooth
from gridrl.results.stats.intervals import (
    METHODS,
    Interval,
    bca_interval,
    bootstrap_t_interval,
    interval,
    percentile_interval,
    stratified_bootstrap,
    student_t_interval,
)
from gridrl.results.stats.scores import (
    STATISTICS,
    iqm,
    mean,
    median,
    optimality_gap,
    probability_of_improvement,
    trimmed_mean,
)

__all__ = [
    "Advice",
    "Array",
    "ESTIMATES",
    "Estimate",
    "Interval",
    "MAX_GRID",
    "METHODS",
    "STATISTICS",
    "advice",
    "area_under_curve",
    "band",
    "bca_interval",
    "bootstrap_t_interval",
    "default_method",
    "estimate",
    "final_score",
    "interpolate",
    "interval",
    "iqm",
    "mean",
    "median",
    "optimality_gap",
    "percentile_interval",
    "probability_of_improvement",
    "smooth",
    "stratified_bootstrap",
    "student_t_interval",
    "trimmed_mean",
]
