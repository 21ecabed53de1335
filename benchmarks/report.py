"""What a report on 200 runs costs: 20 variants x 10 seeds, 500 rows x 17 columns each.

    python benchmarks/report.py

Writes its section of docs/benchmarks.md; the exit status is 1 where a target is missed.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from pages import machine, write_section
from results import COLUMNS, ROWS, SEEDS, VARIANTS, make_data

MOST_S, MOST_MB = 15.0, 10.0


@dataclass(frozen=True)
class Cost:
    """What a report has cost.

    Attributes:
        wall_s: seconds from the first look at the directories to the file on the disk.
        cpu_s: of this process meanwhile.
        size_mb: of the file, in megabytes.
    """

    wall_s: float
    cpu_s: float
    size_mb: float

    @property
    def missed(self) -> list[str]:
        """The targets that were missed. The machine may have been busy: it is the CPU that counts."""
        faults = [f"{self.cpu_s:.1f} CPU seconds, not {MOST_S:g}"] if self.cpu_s > MOST_S else []
        return faults + ([f"{self.size_mb:.1f} MB, not {MOST_MB:g}"] if self.size_mb > MOST_MB else [])


def measure(directory: Path, out: Path) -> Cost:
    """Writes a report on the runs of a directory."""
    from gridrl.results.report import report

    wall, cpu = time.perf_counter(), time.process_time()
    report(directory, out)
    return Cost(time.perf_counter() - wall, time.process_time() - cpu, out.stat().st_size / 1e6)


def main() -> int:
    """Measures, writes the page, and gives the exit status."""
    with tempfile.TemporaryDirectory() as scratch:
        make_data(Path(scratch, "few"), variants=1, seeds=2, rows=5)
        measure(Path(scratch, "few"), Path(scratch, "few.html"))  # what has to be imported
        make_data(Path(scratch, "data"))
        cost = measure(Path(scratch, "data"), Path(scratch, "report.html"))
    told = [
        f"{VARIANTS} variants x {SEEDS} seeds, {ROWS} rows x {len(COLUMNS)} columns each; imports excluded.",
        "| one report | | target |\n|---|---|---|\n"
        f"| wall seconds | {cost.wall_s:.1f} | {MOST_S:g} |\n"
        f"| CPU seconds | {cost.cpu_s:.1f} | {MOST_S:g} |\n"
        f"| megabytes | {cost.size_mb:.1f} | {MOST_MB:g} |",
        f"{machine('numpy', 'plotly')}.",
    ]
    print(write_section("A report", told))
    for words in cost.missed:
        print(f"Missed: {words}", file=sys.stderr)
    return 1 if cost.missed else 0


if __name__ == "__main__":
    sys.exit(main())
