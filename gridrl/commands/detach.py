"""`--detach`: the launcher goes on without its terminal, in a session of its own, and writes to a log."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from gridrl.errors import BadValue
from gridrl.launch.live import FOLLOWER, Interruptible, LiveProgress
from gridrl.launch.result import count_of
from gridrl.log.launchers import LOG_VARIABLE
from gridrl.utils.console import say

LOGS = "launcher-logs"
"""The directory of the launchers' logs, below the data directory."""

_READY = "GRIDRL_DETACHED"
"""The environment variable with the file descriptor on which the launcher says that its runs start."""


def is_detached() -> bool:
    """Whether this process is the launcher that `detach` has started."""
    return _READY in os.environ


def detach(words: Sequence[str], name: str, data_dir: Path) -> int:
    """Starts this command again, without a terminal, and waits until its runs start or it is over.

    Args:
        words: the command line behind `python -m gridrl.run`.
        name: of the grid, for the name of the log.
        data_dir: where the runs go.

    Returns:
        0 where the runs have been started, else the exit status of the launcher, with what it has said.
    """
    log = _log_file(name, data_dir)
    ours, theirs = os.pipe()
    with open(log, "xb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "gridrl.run", *words],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=[theirs],
            start_new_session=True,
            env=os.environ | {_READY: str(theirs), LOG_VARIABLE: str(log)},
        )
    os.close(theirs)
    with os.fdopen(ours) as answers:
        runs = answers.read()
    if not runs:
        status = process.wait()
        print(log.read_text(encoding="utf-8", errors="replace"), end="", file=sys.stderr if status else sys.stdout)
        log.unlink()  # nothing has been started, and what there is to say is said
        return status
    process.returncode = 0  # it is nobody's child from here on
    _say_where(process.pid, runs, log, data_dir)
    return 0


def _log_file(name: str, data_dir: Path) -> Path:
    folder = data_dir / LOGS
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadValue(f"{folder}: the launcher's log cannot be written: {error.strerror or error}.") from error
    plain = re.sub(r"[^\w.-]+", "-", name)[:80]
    return folder / f"{time.strftime('%Y-%m-%d_%H-%M-%S')}-{plain}-{os.getpid()}.log"


def _say_where(pid: int, runs: str, log: Path, data_dir: Path) -> None:
    where = shlex.quote(_shown(data_dir))
    say(f"{runs} in the background, launched by process {pid}. It needs this terminal no more.")
    say(f"  its log:   {_shown(log)}")
    say(f"  see them:  python -m gridrl.run status {where} --watch")
    say(f"  end them:  python -m gridrl.run stop {where}")


def _shown(path: Path) -> str:
    """The path from here where that is shorter."""
    with contextlib.suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)


def report_start() -> None:
    """In the detached launcher: says that the runs start, once they do."""
    answers = os.fdopen(int(os.environ.pop(_READY)), "w")
    os.set_inheritable(answers.fileno(), False)

    def tell(scheduler: Interruptible, progress: LiveProgress) -> None:
        progress.begun = lambda: _answer(answers, count_of(progress.num_runs, "run"))

    FOLLOWER.set(tell)


def _answer(answers: IO[str], runs: str) -> None:
    with contextlib.suppress(OSError), answers:  # whoever has started this may be gone
        answers.write(runs)
