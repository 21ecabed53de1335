"""Numbers over seeds: curves on a common grid, final scores, how sure an estimate is, and who is better than whom."""

from gridrl.results.stats.advising import Advice, advice, default_method
from gridrl.results.stats.bands import band
from gridrl.results.stats.checks import Array
from gridrl.results.stats.comparisons import Compared, Rank, compare, improvement_interval, rank_variants
from gridrl.results.stats.estimates import ESTIMATES, Estimate, estimate
from gridrl.results.stats.grids import MAX_GRID, area_under_curve, final_score, interpolate, smooth
from gridrl.results.stats.hypotheses import Difference, holm, permutation_test, welch_test
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
from gridrl.results.stats.profiles import performance_profile, profile_band
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
    "advice",
    "area_under_curve",
    "Array",
    "band",
    "bca_interval",
    "bootstrap_t_interval",
    "compare",
    "Compared",
    "default_method",
    "Difference",
    "Estimate",
    "estimate",
    "ESTIMATES",
    "final_score",
    "holm",
    "improvement_interval",
    "interpolate",
    "Interval",
    "interval",
    "iqm",
    "MAX_GRID",
    "mean",
    "median",
    "METHODS",
    "optimality_gap",
    "percentile_interval",
    "performance_profile",
    "permutation_test",
    "probability_of_improvement",
    "profile_band",
    "Rank",
    "rank_variants",
    "smooth",
    "STATISTICS",
    "stratified_bootstrap",
    "student_t_interval",
    "trimmed_mean",
    "welch_test",
]
