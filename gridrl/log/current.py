"""`current_run`: what a run's own code can know of the run that it is, and how it takes part in resuming it.

A loop that gridrl knows nothing of needs four calls to be killed at any moment without a loss:

    run = gridrl.current_run()
    state, first = run.load() or (new_state(), 0)     # rows behind the checkpoint move to progress.cut.txt
    for step in range(first, steps):
        ...
        run.log(Step=step, Loss=loss)                  # one row of progress.txt
        if step % 100 == 99:
            run.save(state, step + 1)
        if run.should_stop():                          # SIGTERM or SIGUSR1: this run is to make room
            run.save(state, step + 1)
            return

Nothing heavy is imported here: numpy, torch and the logger come with the calls that need them.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gridrl.utils.files import RunPaths

if TYPE_CHECKING:
    from gridrl.log.checkpoints import Checkpoints
    from gridrl.log.logger import Logger

RUN_DIR, SEED, ATTEMPT = "GRIDRL_RUN_DIR", "GRIDRL_SEED", "GRIDRL_ATTEMPT"
"""The environment variables that tell a foreign program which run it is."""

PREEMPTED = 75
"""The exit status of a run that has stopped because it was asked to: EX_TEMPFAIL, "try again later"."""


class CurrentRun:
    """The run that this process carries out; `current_run` gives it.

    Outside a launched run it has a fresh directory `experiments/<time>` in the data directory, made when something is
    first written to it.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     run = CurrentRun(Path(directory), seed=3, logger_kwargs={"quiet": True})
    ...     run.log(Step=0, Loss=0.5)
    ...     run.save({"weights": [1.0, 2.0]}, step=1)
    ...     print(run.load())
    ...     run.close()
    ({'weights': [1.0, 2.0]}, 1)

    Attributes:
        seed: the run's seed; 0 outside a launched run.
        attempt: 1 for the run's first start, 2 for the next.
        is_launched: whether a launcher has started it.
        resume: see `note_resume`.
    """

    def __init__(
        self,
        run_dir: Path | None = None,
        *,
        seed: int = 0,
        attempt: int = 1,
        logger_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        """Takes what is known of the run.

        Args:
            run_dir: its directory; None: a fresh one.
            seed: its seed.
            attempt: which start of it this is.
            logger_kwargs: keyword arguments of its logger, apart from the directory.
        """
        self.seed = seed
        self.attempt = attempt
        self.is_launched = run_dir is not None
        self.resume: str | None = None
        self._dir = run_dir
        self._logger_kwargs = {key: value for key, value in (logger_kwargs or {}).items() if key != "output_dir"}
        self._logger: Logger | None = None
        self._stop_signal: int | None = None
        self._has_asked = False
        self._was_told = False

    @property
    def dir(self) -> Path:
        """The run's directory."""
        if self._dir is None:
            from gridrl.log.places import fresh_directory
            from gridrl.utils.mpi import broadcast, proc_id

            self._dir = broadcast(fresh_directory().absolute() if proc_id() == 0 else None)
        return self._dir

    @property
    def logger(self) -> Logger:
        """The logger behind `log`, an `EpochLogger` in the run's directory; another one can be put in its place.

        Its position is what `save` notes and `load` goes back to.
        """
        if self._logger is None:
            from gridrl.log.logger import EpochLogger

            self._logger = EpochLogger(self.dir, **self._logger_kwargs)
        return self._logger

    @logger.setter
    def logger(self, logger: Logger) -> None:
        self._logger = logger

    def log(self, /, **row: Any) -> None:
        """Writes a row to `progress.txt`, where it stands when this returns; of several ranks, every one calls it.

        Args:
            row: column -> number, text, or None for an empty cell.

        Raises:
            ColumnError: a value is an array, or there is none.
        """
        from gridrl.log.logger import Logger

        for key, value in row.items():
            Logger.log_tabular(self.logger, key, value)
        self.logger.dump_tabular()

    def close(self) -> None:
        """Closes the logger; done for you when the run is over."""
        if self._logger is not None:
            self._logger.close()

    def save(self, state: Any, step: int) -> None:
        """Writes a checkpoint at once, in the place of the one before; of several ranks, every one calls it.

        What rank 0 gives is written, and beside it where the logger stands and, of every rank, what its logger has
        stored and Python's, numpy's and torch's global generators. Torch is not imported for it.

        Args:
            state: tensors, numpy arrays, numbers, text, lists, tuples and dicts of these: a module's and an
                optimiser's `state_dict()`, a numpy generator's `bit_generator.state`, a torch generator's
                `get_state()`. It loads without running pickled code.
            step: how far the run is; the checkpoint with the highest one counts.

        Raises:
            BadValue: `step` is no whole number from 0 on.
            CheckpointError: something else is in `state`; it is named by its key path. The old checkpoint stands.
            DiskFull: no room, likewise.
        """
        from gridrl.errors import BadValue
        from gridrl.log.checkpoints import generators_state
        from gridrl.log.saving import pack_arrays
        from gridrl.utils.mpi import gather_objects, proc_id

        if isinstance(step, bool) or not hasattr(step, "__index__") or step.__index__() < 0:
            raise BadValue(f"save(step={step!r}): how far the run is, is a whole number from 0 on.")
        stands = None if self._logger is None else self._logger.state_dict()
        ranks = gather_objects((generators_state(), stands))
        if proc_id() == 0:
            generators, loggers = (list(part) for part in zip(*ranks, strict=True))
            content = {"state": pack_arrays(state), "loggers": loggers, "generators": generators}
            self._checkpoints().save(step.__index__(), content)

    def load(self) -> tuple[Any, int] | None:
        """The newest checkpoint's state and step; None where there is none. Of several ranks, every one calls it.

        The rows behind it move to `progress.cut.txt`, and the global generators go back to where they stood.

        Raises:
            CheckpointError: it cannot be read, or rows before it are missing.
        """
        from gridrl.log.checkpoints import set_generators_state
        from gridrl.log.saving import unpack_arrays
        from gridrl.utils.mpi import proc_id

        found = None if self._dir is None else self._checkpoints().load_everywhere()
        if found is None:
            return None
        step, content = found
        logger = content["loggers"][proc_id()]
        if logger is not None:
            self.logger.load_state_dict(logger)
        set_generators_state(content["generators"][proc_id()])
        return unpack_arrays(content["state"]), step

    def should_stop(self) -> bool:
        """Whether the run is asked to make room (by SIGTERM or SIGUSR1): save, and return from the thunk.

        Ask between two updates, once per epoch or second: it costs next to nothing. A run that returns after it was
        told so is "preempted", not done, and the same command goes on with it. One that has never asked is ended by
        the signal where it stands. Of several ranks, every one asks, equally often, and all get the same answer.
        """
        from gridrl.utils.mpi_environment import in_mpi

        if not self._has_asked:
            self._has_asked = True
            self._follow_launcher()
        asked = self._stop_signal is not None
        if in_mpi() and not self._was_told:
            from gridrl.utils.mpi import mpi_op

            asked = bool(mpi_op(float(asked), "max"))
        self._was_told = self._was_told or asked
        return self._was_told

    def note_resume(self, how: str | None) -> None:
        """Records in `status.json` that going on from the run's checkpoints is "inexact", or (None) that it is not."""
        from gridrl.log.record import read_status, write_status
        from gridrl.utils.mpi_environment import rank_in_environment

        self.resume = how
        if self.is_launched and not rank_in_environment():
            status = read_status(self.dir)
            if status is not None and status.resume != how:
                write_status(self.dir, replace(status, resume=how))

    def ask_to_stop(self, signum: int) -> bool:
        """Lets `should_stop` be true from now on, for a signal; False where nobody would hear of it in time.

        That is so before the run has asked for the first time, and for a signal that it has had already.
        """
        if not self._has_asked or signum == self._stop_signal:
            return False
        self._stop_signal = signum
        return True

    def has_stopped(self, signum: int | None) -> None:
        """The run has stopped in order before its end: asked by a signal, or (None) on its own account."""
        self._stop_signal = signum
        self._was_told = True

    @property
    def was_told_to_stop(self) -> bool:
        """Whether `should_stop` has been true."""
        return self._was_told

    @property
    def stop_signal(self) -> int | None:
        """The signal that asked this process to stop, None where none did."""
        return self._stop_signal

    def _checkpoints(self) -> Checkpoints:
        from gridrl.log.checkpoints import Checkpoints

        return Checkpoints(RunPaths(self.dir).checkpoints, kind="state")

    def _follow_launcher(self) -> None:
        """In a foreign program, whose signals are its own until it asks: from now on they are heard."""
        import signal
        import threading

        if RUN_DIR not in os.environ or threading.current_thread() is not threading.main_thread():
            return
        for name in ("SIGTERM", "SIGUSR1"):
            signum = getattr(signal, name, None)
            if signum is not None and signal.getsignal(signum) is signal.SIG_DFL:
                signal.signal(signum, lambda number, frame: self._heard(number))

    def _heard(self, signum: int) -> None:
        import signal

        if not self.ask_to_stop(signum):
            signal.signal(signum, signal.SIG_DFL)
            signal.raise_signal(signum)


_current: CurrentRun | None = None


def current_run() -> CurrentRun:
    """The run that this process carries out: its directory, its seed, its rows, its checkpoints.

    In a thunk, and in a program that `gridrl.run script` has started, it is that run; elsewhere one with a fresh
    directory and seed 0. It is the same object each time.
    """
    global _current
    if _current is None:
        run_dir = os.environ.get(RUN_DIR)
        if run_dir is None:
            _current = CurrentRun()
        else:
            seed, attempt = (_number(os.environ.get(name), least) for name, least in ((SEED, 0), (ATTEMPT, 1)))
            _current = CurrentRun(Path(run_dir).absolute(), seed=seed, attempt=attempt)
        atexit.register(_current.close)
    return _current


def _number(text: str | None, otherwise: int) -> int:
    return int(text) if text is not None and text.isdecimal() else otherwise


def enter_run(run: CurrentRun) -> None:
    """Makes a run the one that `current_run` gives; the launcher's worker calls it before the thunk."""
    global _current
    _current = run
