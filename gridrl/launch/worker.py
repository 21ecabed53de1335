"""The process of a run: reads its payload, calls its thunk, records how that ended.

`python -m gridrl.launch.worker RUN_DIRECTORY/payload.pkl`; as one of several MPI ranks
`python -m mpi4py -m gridrl.launch.worker RUN_DIRECTORY/payload.pkl`. It imports torch only when the thunk does.
"""

from __future__ import annotations

import contextlib
import errno
import faulthandler
import os
import signal
import sys
import time
import traceback
import types
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from gridrl.build import resolve, resolve_references
from gridrl.errors import BadValue, DiskFull
from gridrl.launch.leftovers import descendants, keep_descendants
from gridrl.launch.lifeline import RunEnd
from gridrl.launch.payload import Payload, enter_payload
from gridrl.launch.placement import take_cores
from gridrl.launch.stored import Stored
from gridrl.log.claims import follow_claim, may_write
from gridrl.log.current import PREEMPTED, CurrentRun, current_run, enter_run
from gridrl.log.heartbeat import run_beating
from gridrl.log.record import Status, read_status, write_status
from gridrl.utils.files import RunPaths, write_atomic
from gridrl.utils.mpi_environment import in_mpi
from gridrl.utils.processes import end_stragglers
from gridrl.utils.ranks import rank_guard, this_rank
from gridrl.utils.seeding import rank_seed, seed_all

_ERROR_CHARACTERS = 1000
_STRAGGLERS_S = 1.0
_UNSTARTED = (types.CoroutineType, types.GeneratorType, types.AsyncGeneratorType)


_STOP_GRACE_S = 60.0
"""Seconds that a run which asks `should_stop` gets to come to its next question after a SIGTERM. Whoever means less
sends a SIGKILL: a launcher that is interrupted does, and so does a queue. After a SIGUSR1, an early word, none pass."""


class Terminated(BaseException):
    """A signal, raised where the thunk is, so that its `finally` blocks run before the process goes."""


def main(argv: list[str] | None = None) -> int:
    """Carries out the run whose payload is named on the command line; gives the exit status."""
    words = sys.argv[1:] if argv is None else argv
    if len(words) != 1:
        print("usage: python -m gridrl.launch.worker RUN_DIRECTORY/payload.pkl", file=sys.stderr)
        return 2
    paths = RunPaths(Path(words[0]).absolute().parent)
    faulthandler.enable()  # a crash inside a library leaves at least its stack in the log
    hear_signals()
    take_cores(this_rank())
    keep_descendants()
    if in_mpi():
        return run_as_rank(paths)
    return run_alone(paths)


def hear_signals() -> None:
    """From here on SIGTERM and SIGUSR1 ask the run to stop: a thunk that asks `should_stop` does so at its next
    question, any other is ended where it stands."""
    for signum in _stop_signals():
        signal.signal(signum, _stop)


def _stop_signals() -> list[signal.Signals]:
    return [signal.SIGTERM, *([signal.SIGUSR1] if hasattr(signal, "SIGUSR1") else [])]


def _stop(signum: int, frame: FrameType | None) -> None:
    if signum != getattr(signal, "SIGALRM", None) and current_run().ask_to_stop(signum):
        if signum == signal.SIGTERM and hasattr(signal, "SIGALRM") and signal.getsignal(signal.SIGALRM) in _UNUSED:
            signal.signal(signal.SIGALRM, _stop)
            signal.setitimer(signal.ITIMER_REAL, _STOP_GRACE_S)
        return
    _ignore_signals()  # one is enough: the thunk is cleaning up
    name = signal.Signals(current_run().stop_signal or signum).name
    raise Terminated(name)


_UNUSED = (signal.SIG_DFL, None)


def _ignore_signals() -> None:
    """The run is about to end in any case."""
    for signum in _stop_signals():
        signal.signal(signum, signal.SIG_IGN)
    if hasattr(signal, "SIGALRM") and signal.getsignal(signal.SIGALRM) is _stop:
        signal.setitimer(signal.ITIMER_REAL, 0)


def run_as_rank(paths: RunPaths) -> int:
    """One rank's part. Rank 0 says that the run is running; how it ended depends on all ranks: the launcher says it."""
    try:
        with rank_guard(paths):
            if this_rank() == 0:
                _begin(paths)
            with _alive(paths):
                call_thunk(paths)
            if this_rank() == 0 and current_run().was_told_to_stop:  # the launcher looks here when all have ended
                write_status(paths.root, replace(read_status(paths.root) or Status("queued"), state="preempted"))
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def run_alone(paths: RunPaths) -> int:
    """The run of one process: from "running" to "done", "failed" or "killed"."""
    lifeline = RunEnd.from_environment()
    if lifeline is not None:
        lifeline.follow()
    status = Status("running")
    try:
        status = _begin(paths)
        with _alive(paths):
            call_thunk(paths)
        if current_run().was_told_to_stop:
            _ignore_signals()
            preempted = replace(status, state="preempted", exit_code=PREEMPTED, signal=current_run().stop_signal)
            _end(paths, preempted, lifeline)
            return PREEMPTED
        _end(paths, replace(status, state="done", exit_code=0), lifeline)
        return 0
    except BaseException as error:
        _ignore_signals()
        signum = _signal_behind(error)
        code = _exit_code(error) if signum is None else -signum
        state = "failed" if signum is None else "killed"
        _record_traceback(paths, error)
        status = replace(status, state=state, exit_code=code, signal=signum, error=_error_line(error))
        _end(paths, status, lifeline)
        if lifeline is not None and lifeline.is_cut:
            end_stragglers(os.getpid(), _STRAGGLERS_S)  # as the launcher does where it lives
        if signum is not None:
            _die_of(signum)
        return code


@contextlib.contextmanager
def _alive(paths: RunPaths) -> Iterator[None]:
    """While the block runs, rank 0 counts its heartbeat, and every rank writes only as long as the run is its own."""
    follow_claim(paths.root)
    with run_beating(paths.root) if this_rank() == 0 else contextlib.nullcontext():
        yield


def call_thunk(paths: RunPaths) -> None:
    """Everything between the payload file and the thunk's return."""
    payload = enter_payload(paths.payload)
    status = read_status(paths.root)
    attempt = 1 if status is None else status.attempt
    enter_run(CurrentRun(paths.root, seed=payload.seed or 0, attempt=attempt, logger_kwargs=payload.logger_kwargs))
    thunk = _thunk(payload)
    keywords = {**resolve_references(dict(payload.keywords)), **_environment(payload)}
    if payload.seed is not None:
        seed_all(rank_seed(payload.seed, this_rank()))
    with _flushed():
        found = thunk(**keywords)
    if isinstance(found, _UNSTARTED):
        raise BadValue(
            f"the thunk gave a {type(found).__name__}: it is async or a generator, and nothing of it has run"
        )


def _thunk(payload: Payload) -> Any:
    if isinstance(payload.thunk, Stored):
        return payload.thunk.load()
    return resolve(payload.thunk) if isinstance(payload.thunk, str) else payload.thunk


def _environment(payload: Payload) -> dict[str, Any]:
    """`env_fn`, where the variant names an environment."""
    if payload.environment is None:
        return {}
    name, kwargs = payload.environment
    if payload.env_spec is not None:
        _register(payload.env_spec.load() if isinstance(payload.env_spec, Stored) else payload.env_spec)
    env_fn = resolve("gridrl.envs.making:env_fn")
    return {"env_fn": env_fn(name, **resolve_references(dict(kwargs)))}


def _register(spec: Any) -> None:
    """Makes an environment known that the launcher's script has registered itself."""
    import gymnasium

    gymnasium.registry.setdefault(spec.id, spec)


@contextlib.contextmanager
def _flushed() -> Iterator[None]:
    """What the thunk has printed is in the log before anything is recorded."""
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        current_run().close()


def _begin(paths: RunPaths) -> Status:
    before = read_status(paths.root)
    status = Status("running", attempt=before.attempt if before else 1, started=time.time()).with_process()
    paths.error.unlink(missing_ok=True)
    write_status(paths.root, status)
    return status


def _end(paths: RunPaths, status: Status, lifeline: RunEnd | None) -> None:
    """Records the end, as far as the disk allows; the launcher hears of it in any case."""
    if not may_write(paths.root):
        return
    cpu_s, peak_mb = _usage()
    resume = current_run().resume
    status = replace(status, ended=time.time(), cpu_s=cpu_s, peak_memory_mb=peak_mb, resume=resume)
    if status.state == "done":
        write_status(paths.root, status)  # a run that cannot say so is not done
    if lifeline is not None:
        lifeline.send({"state": status.state, "error": status.error, "family": descendants()})
    if status.state != "done":
        with contextlib.suppress(OSError):
            write_status(paths.root, status)


def _usage() -> tuple[float | None, float | None]:
    """CPU seconds of this process and its children, and the most MiB that it had resident, where that is known."""
    try:
        import resource
    except ImportError:  # not a POSIX system
        return None, None
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    per_mb = 2**20 if sys.platform == "darwin" else 2**10
    seconds = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
    return round(seconds, 3), round(own.ru_maxrss / per_mb, 1)


def _signal_behind(error: BaseException) -> signal.Signals | None:
    """The signal that an error stands for, None where it is an error of its own."""
    if isinstance(error, Terminated):
        return signal.Signals[str(error)]
    return signal.SIGINT if isinstance(error, KeyboardInterrupt) else None


def _exit_code(error: BaseException) -> int:
    """The exit status after an error: that of `sys.exit`, or of a program, where it tells a failure, else 1."""
    wanted = error.code if isinstance(error, SystemExit) else getattr(error, "exit_code", 1)
    return wanted if isinstance(wanted, int) and 0 < wanted < 256 else 1


def _error_line(error: BaseException) -> str:
    """The error in one line, as the summary shows it."""
    if isinstance(error, SystemExit):
        told = "" if error.code is None else repr(error.code)
        return f"the thunk called sys.exit({told}); a run is done when its thunk returns"[:_ERROR_CHARACTERS]
    if (signum := _signal_behind(error)) is not None:
        return f"killed by {signum.name}"
    try:
        message = " ".join(str(error).split())
    except Exception:  # of somebody's own `__str__`
        message = "(its message cannot be printed)"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT) and not isinstance(error, DiskFull):
        message += " (make room, then give the same command again)"
    return f"{type(error).__name__}{': ' if message else ''}{message}"[:_ERROR_CHARACTERS]


def _record_traceback(paths: RunPaths, error: BaseException) -> None:
    """Writes the traceback to the log and to `error.txt`; a full disk does not keep the run from ending."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next  # our own frames say nothing about the thunk
    text = "".join(traceback.format_exception(type(error), error, trace))
    with contextlib.suppress(OSError, ValueError):
        print(text, end="", file=sys.stderr, flush=True)
    with contextlib.suppress(OSError):
        if may_write(paths.error):
            write_atomic(paths.error, text)


def _die_of(signum: signal.Signals) -> None:
    """Ends this process in the way in which the signal would have."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    signal.signal(signum, signal.SIG_DFL)
    os.kill(os.getpid(), signum)


if __name__ == "__main__":
    sys.exit(main())
