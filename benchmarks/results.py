"""What it costs to read results: 20 variants x 10 seeds, 500 rows x 17 columns each.

    python benchmarks/results.py

CPU seconds of one process with its imports done, best of several. Writes its section of docs/benchmarks.md; the exit
status is 1 where a target is missed.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pages import machine, write_section

VARIANTS, SEEDS, ROWS = 20, 10, 500
COLUMNS = (
    "Epoch", "AverageEpRet", "StdEpRet", "MaxEpRet", "MinEpRet", "EpLen", "AverageVVals", "StdVVals",
    "TotalEnvInteracts", "LossPi", "LossV", "DeltaLossPi", "DeltaLossV", "Entropy", "KL", "ClipFrac", "Time",
)  # fmt: skip
WANTED = ("TotalEnvInteracts", "AverageEpRet")
TIMES = 5


def make_data(directory: Path, variants: int = VARIANTS, seeds: int = SEEDS, rows: int = ROWS) -> list[Path]:
    """Writes runs as gridrl does, `directory/v<variant>/v<variant>_s<seed>`; gives their directories.

    Returns rise to a level that depends on the variant, with noise; the files look an hour old, so that what has been
    read of them may be kept.
    """
    rng = np.random.default_rng(0)
    made = []
    for variant in range(variants):
        for seed in range(seeds):
            name = f"v{variant}"
            run_dir = directory / name / f"{name}_s{seed}"
            run_dir.mkdir(parents=True)
            _write_rows(run_dir / "progress.txt", _table(rng, variant, rows))
            config = {"exp_name": name, "seed": seed, "variant": {"lr": 1e-3 * (variant + 1), "seed": seed}}
            (run_dir / "config.json").write_text(json.dumps(config))
            made.append(run_dir)
    return made


def _table(rng: np.random.Generator, variant: int, rows: int) -> np.ndarray:
    table = rng.normal(size=(rows, len(COLUMNS)))
    epochs = np.arange(rows)
    table[:, COLUMNS.index("Epoch")] = epochs
    table[:, COLUMNS.index("TotalEnvInteracts")] = 4000 * (epochs + 1)
    table[:, COLUMNS.index("AverageEpRet")] += (100 + 10 * variant) * (1 - np.exp(-epochs / 100))
    table[:, COLUMNS.index("Time")] = 1.5 * (epochs + 1)
    return table


def _write_rows(path: Path, table: np.ndarray) -> None:
    lines = ["\t".join(COLUMNS), *("\t".join(map(repr, row)) for row in table.tolist())]
    path.write_text("\n".join(lines) + "\n")
    an_hour_ago = time.time() - 3600
    os.utime(path, (an_hour_ago, an_hour_ago))


def read(directory: Path, names: Sequence[str] = WANTED) -> int:
    """Finds the runs and reads the wanted columns; gives how many runs that were."""
    from gridrl.results.reader import find_runs

    return len(find_runs([directory]).with_rows(names))


def cpu_s(work: Callable[[], object]) -> float:
    """CPU seconds of this process while it does something."""
    began = time.process_time()
    work()
    return time.process_time() - began


def measure_reading(directory: Path, times: int = TIMES) -> tuple[float, float]:
    """CPU seconds of a first reading and of one from the cache, the best of several each."""
    cache = directory.parent / "cache"
    first, again = [], []
    before = os.environ.get("GRIDRL_CACHE")
    os.environ["GRIDRL_CACHE"] = str(cache)
    try:
        for _ in range(times):
            shutil.rmtree(cache, ignore_errors=True)
            first.append(cpu_s(lambda: read(directory)))
            again.append(cpu_s(lambda: read(directory)))
    finally:
        os.environ.pop("GRIDRL_CACHE")
        if before is not None:
            os.environ["GRIDRL_CACHE"] = before
    return min(first), min(again)


def measure_statistics(times: int = TIMES) -> tuple[float, float]:
    """CPU seconds of an IQM with its stratified bootstrap, and of 20 curves with a band, the best of several each.

    10 seeds x 26 tasks with 2,000 resamples; 500 steps x 10 seeds with 1,000 resamples, the mean with its default
    interval.
    """
    from gridrl.results import stats

    rng = np.random.default_rng(0)
    scores = rng.gamma(2.0, size=(SEEDS, 26))
    curves = rng.normal(size=(VARIANTS, SEEDS, ROWS))
    iqm = [cpu_s(lambda: stats.stratified_bootstrap(scores, "iqm", 2000)) for _ in range(times)]
    bands = [cpu_s(lambda: [stats.band(curve, "mean", resamples=1000) for curve in curves]) for _ in range(times)]
    return min(iqm), min(bands)


@dataclass(frozen=True)
class Line:
    """One line of the table.

    Attributes:
        words: what was measured.
        figures: the two sides.
        least: the second side must be so many times faster.
    """

    words: str
    figures: tuple[float, float]
    least: float

    @property
    def ratio(self) -> float:
        """How many times faster the second side is."""
        return self.figures[0] / self.figures[1]

    def __str__(self) -> str:
        slow, fast = self.figures
        return f"| {self.words} | {1000 * slow:.0f} | {1000 * fast:.0f} | {self.ratio:.1f} | {self.least:g} |"


def main() -> int:
    """Measures, writes the page, and gives the exit status."""
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch, "data")
        make_data(data)
        read(data)  # what has to be imported
        lines = [Line("finding and reading 2 columns: from the files, from the cache", measure_reading(data), 2.0)]
    iqm, bands = measure_statistics()
    told = [
        f"{VARIANTS} variants x {SEEDS} seeds, {ROWS} rows x {len(COLUMNS)} columns each; CPU milliseconds, imports "
        f"excluded, the best of {TIMES}.",
        "\n".join(["| | slower side | faster side | ratio | target |", "|---|---|---|---|---|", *map(str, lines)]),
        f"The interquartile mean of 10 seeds x 26 tasks with its stratified bootstrap (2,000 resamples) takes "
        f"{1000 * iqm:.0f} ms (aim 60), the 95 % bands of {VARIANTS} curves of {SEEDS} seeds x {ROWS} steps (1,000 "
        f"resamples, the default bootstrap-t) {1000 * bands:.0f} ms.",
        f"{machine('numpy')}.",
    ]
    print(write_section("Reading results", told))
    missed = [line.words for line in lines if line.ratio < line.least]
    for words in missed:
        print(f"Missed: {words}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
