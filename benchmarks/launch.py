"""What it costs to start runs: fresh interpreters, Hydra with joblib, Ray Tune, gridrl; two runs at a time, one thread.

    python benchmarks/launch.py [--rivals PYTHON]

Each measurement is a process of its own that carries out a whole grid, its imports and its server's start included.
CPU counts that process and all that it has waited for. Writes its section of docs/benchmarks.md; the exit status is 1
where a target is missed. Absolute figures depend on the machine and its load, ratios less.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from pages import write_section

SIDES = Path(__file__).with_name("launch_sides.py")
FEW, MANY, NOTHING = 24, 200, 1000
PEERS = {"ray": ("Ray Tune", "a process for each run"), "hydra": ("Hydra with joblib", "all runs in two processes")}
SLEPT_S = 10.0  # what a run of `sleep` in launch_sides.py does


@dataclass(frozen=True)
class Measured:
    """One grid, from the start of its launcher's interpreter to its end.

    Attributes:
        runs: how many.
        wall_s: seconds.
        cpu_s: CPU seconds of the launcher, its server and its runs.
        launcher_cpu_s, launcher_peak_mb: of the launcher alone, where it tells.
    """

    runs: int
    wall_s: float
    cpu_s: float
    launcher_cpu_s: float = 0.0
    launcher_peak_mb: float = 0.0


def measure(side: str, work: str, runs: int, python: str = sys.executable) -> Measured:
    """Carries out a grid.

    Raises:
        RuntimeError: it failed; the last lines of what it said.
    """
    began = time.perf_counter()
    with subprocess.Popen(
        [python, str(SIDES), side, work, str(runs)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        said = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall_s = time.perf_counter() - began
    if process.returncode:
        raise RuntimeError("\n".join(said.splitlines()[-5:]))
    own = json.loads(said.splitlines()[-1]) if side == "gridrl" else {}
    return Measured(runs, wall_s, usage.ru_utime + usage.ru_stime, **own)


@dataclass(frozen=True)
class Results:
    """Everything that was measured: grids by work, side and number of runs."""

    grids: dict[tuple[str, str, int], Measured]
    missing: dict[str, str]

    def __getitem__(self, key: tuple[str, str, int]) -> Measured:
        return self.grids[key]

    def steady_cpu_s(self, work: str) -> float:
        """CPU seconds of one more run of ours."""
        few, many = self["gridrl", work, FEW], self["gridrl", work, MANY]
        return (many.cpu_s - few.cpu_s) / (MANY - FEW)

    def fresh_wall_s(self, runs: int) -> float:
        """Seconds of so many fresh interpreters: measured for few, so much more for more."""
        return self["fresh", "imports", FEW].wall_s / FEW * runs

    def targets(self) -> list[tuple[str, float, float]]:
        """What has to hold: its name, the ratio that was measured, the least that it may be."""
        cpu = self["fresh", "imports", FEW].cpu_s / FEW / self.steady_cpu_s("imports")
        ratios = [("CPU per run, steady state", cpu, 40.0)]
        for work, least in (("imports", 8.0), ("optimiser", 5.0)):
            ratio = self["fresh", work, FEW].wall_s / self["gridrl", work, FEW].wall_s
            ratios.append((f"wall, {FEW} runs, {WORDS[work]}", ratio, least))
        ratio = self.fresh_wall_s(MANY) / self["gridrl", "imports", MANY].wall_s
        ratios.append((f"wall, {MANY} runs (fresh extrapolated from {FEW}), {WORDS['imports']}", ratio, 25.0))
        if ("ray", "imports", FEW) in self.grids:
            ratio = self["ray", "imports", FEW].wall_s / self["gridrl", "imports", FEW].wall_s
            ratios.append((f"wall, {FEW} runs, against Ray Tune", ratio, 1.0))
        return ratios


ROUNDS = 3
COMPARED = [
    (side, work, runs)
    for work in ("imports", "optimiser")
    for side, runs in (("gridrl", FEW), ("fresh", FEW), ("gridrl", MANY))
]
ALONE = [("gridrl", "nothing", 2), ("gridrl", "sleep", 2), ("gridrl", "nothing", 100), ("gridrl", "nothing", NOTHING)]
WORDS = {"imports": "imports torch and gymnasium", "optimiser": "an environment, Adam and one step"}


def everything(rivals: str) -> Results:
    """Measures both sides in turn, several times, since the load of a machine changes; the least of each counts."""
    grids: dict[tuple[str, str, int], Measured] = {}
    missing: dict[str, str] = {}
    for key in [*COMPARED * ROUNDS, *ALONE]:
        _take(grids, key, measure(*key))
    for peer in PEERS:
        try:
            _take(grids, (peer, "imports", FEW), measure(peer, "imports", FEW, rivals))
        except RuntimeError as error:
            missing[peer] = str(error)
            print(f"{PEERS[peer][0]} could not be measured: {error}", file=sys.stderr)
    return Results(grids, missing)


def _take(grids: dict[tuple[str, str, int], Measured], key: tuple[str, str, int], found: Measured) -> None:
    print(*key, f"{found.wall_s:.2f} s, {found.cpu_s:.2f} s of CPU", flush=True)
    before = grids.get(key, found)
    least = {"wall_s": min(before.wall_s, found.wall_s), "cpu_s": min(before.cpu_s, found.cpu_s)}
    grids[key] = replace(found, **least)


def table_of_grids(results: Results) -> str:
    """What a grid of few runs took on every side."""
    lines = [
        f"| {FEW} runs, 2 at a time, each {WORDS['imports']} | wall s | ms per run | CPU ms per run | |",
        "|---|---|---|---|---|",
    ]
    sides = {"fresh": ("fresh interpreters", "nothing else: no directories, no records"), **PEERS}
    for side, (name, what) in {**sides, "gridrl": ("gridrl", "a process for each run")}.items():
        found = results.grids.get((side, "imports", FEW))
        if found is not None:
            cpu = (
                "not known" if side == "ray" else f"{found.cpu_s / FEW * 1e3:,.0f}"
            )  # its workers are nobody's children
            lines.append(f"| {name} | {found.wall_s:.1f} | {found.wall_s / FEW * 1e3:,.0f} | {cpu} | {what} |")
    return "\n".join(lines)


def table_of_targets(results: Results) -> str:
    """The ratios that have to hold."""
    lines = ["| gridrl against fresh interpreters | times less | target |", "|---|---|---|"]
    lines += [f"| {name} | {ratio:.1f} | {least:g} |" for name, ratio, least in results.targets()]
    return "\n".join(lines)


def reported(results: Results) -> str:
    """What is told without a target."""
    few, many = results["gridrl", "nothing", 100], results["gridrl", "nothing", NOTHING]
    asleep = results["gridrl", "sleep", 2].launcher_cpu_s - results["gridrl", "nothing", 2].launcher_cpu_s
    steady = {work: results.steady_cpu_s(work) * 1e3 for work in WORDS}
    peaks = (few.launcher_peak_mb, many.launcher_peak_mb)
    return (
        f"One more run costs {steady['imports']:.0f} ms of CPU, launcher included, where it {WORDS['imports']}, and "
        f"{steady['optimiser']:.0f} ms with {WORDS['optimiser']}. {NOTHING:,} runs that do nothing take "
        f"{many.wall_s / NOTHING * 1e3:.0f} ms each; the launcher's peak memory is {peaks[0]:.0f} MiB after 100 of "
        f"them and {peaks[1]:.0f} MiB after {NOTHING:,}. While it waits it uses "
        f"{max(asleep, 0.0) / SLEPT_S:.1%} of a core. All this holds for Linux, CPU, one rank and one thread, from a "
        "grid's second run on: a single run gets a fresh interpreter."
    )


def versions_of(python: str) -> str:
    """The machine, and the versions of what an interpreter has."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); import pages; print(pages.machine(*sys.argv[2:]))"
    packages = ("torch", "gymnasium", "ray", "hydra-core", "joblib")
    command = [python, "-c", code, str(SIDES.parent), *packages]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def section(results: Results, rivals: str) -> list[str]:
    """What stands on the page."""
    left_out = [f"{PEERS[peer][0]} could not be measured." for peer in results.missing]
    return [
        f"Whole grids, from the start of the launcher's interpreter to its end, the least of {ROUNDS} rounds in which "
        "fresh interpreters and gridrl take turns (the others have one); CPU counts the launcher, its server and "
        "its runs. Our side makes directories, configurations, logs and statuses, the others do not. Wall time "
        "depends on what else the machine does meanwhile; CPU hardly.",
        table_of_grids(results),
        table_of_targets(results),
        reported(results),
        *left_out,
        f"{versions_of(rivals)}; {os.cpu_count()} cores, load {os.getloadavg()[1]:.1f}.",
    ]


def main() -> int:
    """Measures, writes, and says by its result whether every target was met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rivals", default=sys.executable, metavar="PYTHON", help="an interpreter that has them")
    rivals = parser.parse_args().rivals
    with tempfile.TemporaryDirectory() as directory:
        os.environ["TMPDIR"] = directory
        results = everything(rivals)
    print(write_section("Starting runs", section(results, rivals)))
    missed = [name for name, ratio, least in results.targets() if ratio < least]
    for name in missed:
        print(f"Below its target: {name}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
