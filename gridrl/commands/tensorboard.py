"""Starts TensorBoard on runs that were logged with `--log tensorboard`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from gridrl.commands.parser import CommandParser
from gridrl.errors import BadValue
from gridrl.results.reader import find_runs
from gridrl.results.run import Run
from gridrl.utils.files import RunPaths
from gridrl.utils.optional import is_installed


def main(words: Sequence[str]) -> int:
    """Runs TensorBoard in the foreground until it is interrupted."""
    options = _parser().read(words)
    if not is_installed("tensorboard"):
        raise BadValue("TensorBoard is not installed: pip install 'gridrl[tensorboard]'.")
    command = tensorboard_command(options.dirs, [f"--port={options.port}", f"--host={options.host}"])
    process = subprocess.Popen(command)
    try:
        return 1 if process.wait() else 0
    except KeyboardInterrupt:  # the usual end; the terminal has told TensorBoard too
        process.terminate()
        process.wait()
        return 0


def tensorboard_command(dirs: Sequence[str], extra: Sequence[str] = ()) -> list[str]:
    """The command that shows the runs of these directories.

    Args:
        dirs: as `gridrl.results.reader.find_runs` takes them.
        extra: more arguments of TensorBoard.

    Raises:
        BadValue: no such directory, or none of its runs has event files.
    """
    found = find_runs(dirs)
    folders = {run.dir: _folder(run) for run in found.runs}
    shown = {run_dir: folder for run_dir, folder in folders.items() if any(folder.glob("*tfevents*"))}
    if not shown:
        runs = "1 run" if len(folders) == 1 else f"{len(folders)} runs"
        raise BadValue(
            f"{', '.join(map(str, found.logdirs))}: {runs}, none with TensorBoard's event files. "
            "They are written by runs that are started with `--log tensorboard`."
        )
    if len(found.logdirs) == 1:
        where = ["--logdir", str(found.logdirs[0])]
    else:
        where = ["--logdir_spec", _specification(_with_events(found.logdirs, shown))]
    return [sys.executable, "-m", "tensorboard.main", *where, *extra]


def _folder(run: Run) -> Path:
    """Where its event files are, if there are any: another program's lie beside its other files."""
    return run.dir if run.source is not None and run.source.kind == "events" else RunPaths(run.dir).tensorboard


def _specification(logdirs: Sequence[Path]) -> str:
    faults = [str(logdir) for logdir in logdirs if {",", ":"} & set(str(logdir))]
    if faults:
        raise BadValue(f"{', '.join(faults)}: TensorBoard takes no comma and no colon there. Give one directory above.")
    return ",".join(f"{logdir}:{logdir}" for logdir in logdirs)


def _with_events(logdirs: Sequence[Path], shown: dict[Path, Path]) -> list[Path]:
    return [logdir for logdir in logdirs if any(run_dir.is_relative_to(logdir) for run_dir in shown)]


def _parser() -> CommandParser:
    parser = CommandParser(
        "tensorboard",
        "DIR ... [options]",
        "Starts TensorBoard on runs that were logged with `--log tensorboard`.",
        ["data/ppo"],
    )
    parser.add_argument("dirs", nargs="+", metavar="DIR", help="run directories, or directories that hold runs")
    parser.add_argument("--port", default="6006", help="default: %(default)s")
    parser.add_argument("--host", default="localhost", help="who may look; default: %(default)s")
    return parser
