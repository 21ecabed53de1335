"""A foreign program as a run: a fresh interpreter that gets its options, with the records and logs of any other run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gridrl.log.current import ATTEMPT, PREEMPTED, RUN_DIR, SEED, CurrentRun, current_run
from gridrl.stand_ins import stand_in
from gridrl.utils.files import RunPaths, log_tail

_GRACE_S = 60.0
"""Seconds that a program gets after a SIGTERM; whoever means less sends a SIGKILL, as an interrupted launcher does."""


_LOG_S = 2.0
"""Seconds after a failure within which its last line is awaited in the log."""


class ProgramFailed(RuntimeError):
    """A program ended with an exit status other than 0.

    Attributes:
        exit_code: what the run's process is to end with.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def run_program(
    command: tuple[str, ...] = (), options: dict[str, Any] = {}, passes_seed: bool = False, seed: int = 0
) -> None:
    """Runs a program to its end.

    What runs is the copy of it that the launch has made, if it has made one. It finds `GRIDRL_RUN_DIR`,
    `GRIDRL_SEED` and `GRIDRL_ATTEMPT` in its environment, and `gridrl.current_run()` is the
    run there too. SIGTERM and SIGUSR1 are passed on. It is done with exit status 0; with 75, or with 0 after a signal,
    it is preempted.

    Args:
        command: the program, and the words that stand before its options. A `*.py` gets an interpreter of its own.
        options: its options, `--key value` each; True stands for an option without a value. In every text `{run_dir}`
            and `{seed}` are replaced.
        passes_seed: whether it gets `--seed`.
        seed: of the run.

    Raises:
        ProgramFailed: it ended with another exit status, or by a signal.
    """
    run = current_run()
    options = {**options, **({"seed": str(seed)} if passes_seed else {})}
    words = program_words((stand_in(command[0]), *command[1:]), options)
    words = [word.replace("{run_dir}", str(run.dir)).replace("{seed}", str(seed)) for word in words]
    told = {RUN_DIR: str(run.dir), SEED: str(seed), ATTEMPT: str(run.attempt)}
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, env=os.environ | told)
    try:
        code = process.wait()
    except BaseException as error:
        signum = _signal_behind(error)
        if _passed_on(process, signum) not in (0, PREEMPTED):
            raise
        run.has_stopped(signum)
        return
    _judge(code, Path(command[0]).name, run)


def program_words(command: Sequence[str], options: Mapping[str, Any]) -> list[str]:
    """The words that start a program.

    >>> program_words(["/bin/train"], {"lr": "1e-3", "fast": True, "net": {"width": "64"}})
    ['/bin/train', '--lr', '1e-3', '--fast', '--net:width', '64']
    """
    words = [sys.executable, *command] if command[0].endswith(".py") else list(command)
    for key, value in _flat(options):
        words += [f"--{key}"] if value is True else [f"--{key}", str(value)]
    return words


def _flat(options: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Options whose names hold colons are nested in a variant."""
    for key, value in options.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}:")
        else:
            yield f"{prefix}{key}", value


def _signal_behind(error: BaseException) -> int:
    """The signal that an exception of the worker stands for."""
    known = signal.Signals.__members__.get(str(error))
    return signal.SIGINT if isinstance(error, KeyboardInterrupt) else known or signal.SIGTERM


def _passed_on(process: subprocess.Popen[bytes], signum: int) -> int:
    """Passes a signal on to a program and gives how it ended; after SIGUSR1, an early word, that may take its time."""
    process.send_signal(signum)
    try:
        return process.wait(None if signum == getattr(signal, "SIGUSR1", None) else _GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _last_line(log: Path) -> str:
    """What a program printed last; a launcher that also shows it may still be writing it to the log."""
    deadline = time.monotonic() + _LOG_S
    while not (lines := log_tail(log, 1)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return lines[0] if lines else ""


def _judge(code: int, name: str, run: CurrentRun) -> None:
    if code == PREEMPTED:
        run.has_stopped(None)
    elif code < 0:
        raise ProgramFailed(f"{name} was ended by {signal.Signals(-code).name}", 128 - code)
    elif code > 0:
        last = _last_line(RunPaths(run.dir).stdout)
        raise ProgramFailed(f"{name} ended with exit status {code}{': ' if last else ''}{last}", code)
