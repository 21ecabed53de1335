"""Shows what a run has printed, and goes on with it while it runs."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from gridrl.commands.parser import CommandParser, whole_number
from gridrl.commands.places import one_run
from gridrl.errors import BadValue, Problems
from gridrl.launch.local import Terminal
from gridrl.log.record import derived_state
from gridrl.log.standing import OVER
from gridrl.utils.console import say
from gridrl.utils.files import RunPaths

_LOOK_S = 0.25
_CHUNK_BYTES = 65536
_ERROR_LINES = 20


def main(words: Sequence[str]) -> int:
    """Prints the end of a run's log, and of the error of a run that failed."""
    options = _parser().read(words)
    problems = Problems()
    if options.n < 0:
        problems.add(f"`-n`: wants 0 lines or more, got {options.n}.")
    if options.rank < 0:
        problems.add(f"`--rank`: wants 0 or more, got {options.rank}.")
    problems.raise_if_any(BadValue)
    paths = RunPaths(one_run(options.run_dir))
    log = Log(_log_file(paths, options.rank, follow=options.follow))
    shown = log.show_end(options.n)
    if options.follow:
        shown += _follow(log, paths)
    state = derived_state(paths.root)
    _show_error(paths, shown, state)
    if not shown and not options.follow:
        say(f"{log.path}: nothing was printed yet ({state}).")
    return 0


def _log_file(paths: RunPaths, rank: int, *, follow: bool) -> Path:
    """The log of a rank.

    Raises:
        BadValue: the run has no such rank.
    """
    path = paths.rank_stdout(rank)
    if rank and not path.exists() and not (follow and derived_state(paths.root) not in OVER):
        ranks = [str(known) for known in range(1000) if known == 0 or paths.rank_stdout(known).exists()]
        raise BadValue(f"`--rank`: {paths.root} has no log of rank {rank}. There are: {', '.join(ranks)}.")
    return path


class Log:
    """A file that grows, shown on standard output.

    Attributes:
        path: the file; it need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._terminal = Terminal()
        self._at = 0

    def show_end(self, lines: int) -> str:
        """Shows the last lines; gives what was shown."""
        try:
            with open(self.path, "rb") as file:
                start = _start_of_last(file.fileno(), lines)
                file.seek(start)
                content = file.read()
        except FileNotFoundError:
            return ""
        self._at = start + len(content)
        self._terminal.show(content)
        return content.decode(errors="replace")

    def show_more(self) -> str:
        """Shows what has come since the last look; gives it. A log that was begun anew is shown from its start."""
        try:
            with open(self.path, "rb") as file:
                if os.fstat(file.fileno()).st_size < self._at:
                    self._at = 0
                file.seek(self._at)
                content = file.read()
        except FileNotFoundError:
            return ""
        self._at += len(content)
        self._terminal.show(content)
        return content.decode(errors="replace")


def _start_of_last(descriptor: int, lines: int) -> int:
    """Where the last lines of a file begin; its last line counts though nothing ends it."""
    end = os.fstat(descriptor).st_size
    at, wanted = end, lines
    if end and os.pread(descriptor, 1, end - 1) != b"\n":
        wanted -= 1
    if wanted < 0:
        return end
    while at > 0:
        size = min(_CHUNK_BYTES, at)
        at -= size
        chunk = os.pread(descriptor, size, at)
        while (place := chunk.rfind(b"\n")) >= 0:
            if wanted == 0:
                return at + place + 1
            wanted -= 1
            chunk = chunk[:place]
    return 0


def _follow(log: Log, paths: RunPaths) -> str:
    """Shows what comes, until the run is over; gives the end of it."""
    shown = ""
    while True:
        is_over = derived_state(paths.root) in OVER  # asked before the last look: nothing comes after that
        shown = (shown + log.show_more())[-_CHUNK_BYTES:]
        if is_over:
            return shown
        time.sleep(_LOOK_S)


def _show_error(paths: RunPaths, shown: str, state: str) -> None:
    """The end of the traceback of a run that failed, unless it stands in what was shown."""
    if state not in OVER or state == "done":
        return
    try:
        text = paths.error.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return
    if text and text not in shown:
        lines = text.splitlines()
        say(f"--- {paths.error} ({state}) ---", "red")
        for line in lines[-_ERROR_LINES:]:
            say(line)


def _parser() -> CommandParser:
    parser = CommandParser(
        "logs",
        "RUN [options]",
        "Shows the end of what a run has printed, and of the error of a run that failed. "
        "A directory with several runs: lists them.",
        ["data/ppo/ppo_s0 -n 50", "data/ppo/ppo_s0 -f", "data/ppo/ppo_s0 --rank 1"],
    )
    add = parser.add_argument
    add("run_dir", metavar="RUN", help="the directory of one run")
    add("-f", "--follow", action="store_true", help="go on until the run is over; Ctrl-C ends only this")
    add("-n", type=whole_number, default=20, metavar="N", help="how many lines; default: %(default)s")
    add("--rank", type=whole_number, default=0, metavar="R", help="of which MPI rank; default: %(default)s")
    return parser
