"""What it costs to draw results: 20 variants x 10 seeds, 500 rows x 17 columns each, read, put together and drawn.

    python benchmarks/figures.py

gridrl with 95 % bootstrap intervals against pandas and seaborn with a standard deviation, the documented plotter's way,
in processes of their own, in turn, imports excluded. Writes its section of docs/benchmarks.md; the exit status is 1
where the target is missed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from pages import machine, write_section
from results import ROWS, SEEDS, VARIANTS, make_data

TIMES = 5
TARGET, AIM_S = 5.0, 2.0
STEPS, RETURN = "TotalEnvInteracts", "AverageEpRet"


def draw_with_gridrl(data: Path, picture: Path) -> None:
    """Percentile bootstrap with 1,000 resamples at every step."""
    import gridrl

    gridrl.plot(data, band="percentile", save=picture)


def draw_with_seaborn(data: Path, picture: Path) -> None:
    """As Spinning Up's plotter does it, with seaborn's function of today."""
    import pandas
    import seaborn
    from matplotlib import pyplot

    frames = []
    for path in sorted(data.rglob("progress.txt")):
        frame = pandas.read_table(path)
        frame["Condition"] = path.parent.parent.name
        frame["Unit"] = path.parent.name
        frames.append(frame)
    figure, ax = pyplot.subplots(figsize=(7.2, 5.4))
    together = pandas.concat(frames, ignore_index=True)
    seaborn.lineplot(data=together, x=STEPS, y=RETURN, hue="Condition", errorbar="sd", ax=ax)
    figure.savefig(picture, dpi=160)


SIDES: dict[str, Callable[[Path, Path], None]] = {"gridrl": draw_with_gridrl, "seaborn": draw_with_seaborn}


def import_everything(side: str) -> None:
    """What a side needs, matplotlib's fonts and first figure too."""
    from matplotlib.figure import Figure

    if side == "seaborn":
        import seaborn  # noqa: F401
    else:
        import gridrl.results.figure  # noqa: F401
    figure = Figure()
    figure.subplots().set_xlabel("x")
    figure.savefig(os.devnull, format="png")


def measure(side: str, data: Path, picture: Path, cache: Path) -> tuple[float, float]:
    """Wall and CPU seconds of one figure in a process of its own."""
    command = [sys.executable, __file__, side, str(data), str(picture)]
    env = os.environ | {"GRIDRL_CACHE": str(cache), "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=env).stdout)
    return found["wall_s"], found["cpu_s"]


def whole_call_cpu_s(data: Path, picture: Path, cache: Path) -> float:
    """CPU seconds of the command line, interpreter and imports included."""
    command = [sys.executable, "-m", "gridrl.run", "plot", str(data), "--band", "percentile", "--save", str(picture)]
    env = os.environ | {"GRIDRL_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=env) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime


def child(side: str, data: Path, picture: Path) -> None:
    """Draws once and prints what it took."""
    import_everything(side)
    began, cpu = time.perf_counter(), time.process_time()
    SIDES[side](data, picture)
    print(json.dumps({"wall_s": time.perf_counter() - began, "cpu_s": time.process_time() - cpu}))


def main() -> int:
    """Measures, writes the page, and gives the exit status."""
    if len(sys.argv) == 4:
        child(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
        return 0
    found: dict[str, list[tuple[float, float]]] = {"seaborn": [], "gridrl": [], "gridrl again": []}
    with tempfile.TemporaryDirectory() as scratch:
        data, cache, picture = Path(scratch, "data"), Path(scratch, "cache"), Path(scratch, "figure.png")
        make_data(data)
        whole = []
        for _ in range(TIMES):
            shutil.rmtree(cache, ignore_errors=True)
            found["seaborn"].append(measure("seaborn", data, picture, cache))
            found["gridrl"].append(measure("gridrl", data, picture, cache))
            found["gridrl again"].append(measure("gridrl", data, picture, cache))
            shutil.rmtree(cache, ignore_errors=True)
            whole.append(whole_call_cpu_s(data, picture, cache))
    best = {side: tuple(map(min, zip(*figures, strict=True))) for side, figures in found.items()}
    ratio = best["seaborn"][1] / best["gridrl"][1]
    words = {
        "seaborn": "pandas and seaborn, standard deviation",
        "gridrl": "gridrl, 95 % bootstrap, 1,000 resamples",
        "gridrl again": "the same, columns from the cache",
    }
    lines = ["| read, put together, drawn | wall s | CPU s | times less CPU | target |", "|---|---|---|---|---|"]
    lines += [
        f"| {words[side]} | {wall:.2f} | {cpu:.2f} | {best['seaborn'][1] / cpu:.1f} | "
        f"{f'{TARGET:g}' if side == 'gridrl' else ''} |"
        for side, (wall, cpu) in best.items()
    ]
    told = [
        f"One figure of {VARIANTS} variants x {SEEDS} seeds, {ROWS} rows x 17 columns each, as PNG; processes of their "
        f"own, in turn, imports excluded, the best of {TIMES}.",
        "\n".join(lines),
        f"The whole command, interpreter and imports included, takes {min(whole):.1f} s of CPU (aim {AIM_S:g}).",
        f"{machine('numpy', 'matplotlib', 'pandas', 'seaborn')}.",
    ]
    print(write_section("Drawing results", told))
    if ratio < TARGET:
        print(f"Missed: {ratio:.1f} times less CPU than seaborn", file=sys.stderr)
    return int(ratio < TARGET)


if __name__ == "__main__":
    sys.exit(main())
