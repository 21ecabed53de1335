"""A grid that runs while the program goes on: what `ExperimentGrid.start` gives."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from gridrl.launch.live import FOLLOWER, Interruptible, LiveProgress
from gridrl.launch.result import GridResult, RunResult, told_counts
from gridrl.launch.spec import leaves
from gridrl.log.standing import RunSeen


class GridHandle:
    """Runs a grid in a thread of its own.

    The program does not end before the grid does, unless `stop` is called.

    Args:
        carry_out: runs the grid to its end.
    """

    def __init__(self, carry_out: Callable[[], GridResult]) -> None:
        self._carry_out = carry_out
        self._begun = threading.Event()
        self._scheduler: Interruptible | None = None
        self._progress: LiveProgress | None = None
        self._result: GridResult | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="gridrl-grid")
        self._thread.start()
        self._begun.wait()
        error, follows = self._begun_with()
        if error is not None and not follows:  # something is wrong with the order
            self._thread.join()
            raise error

    def _begun_with(self) -> tuple[BaseException | None, bool]:
        """The error that the thread has met so far, and whether there was anything to run."""
        return self._error, self._progress is not None

    def _work(self) -> None:
        FOLLOWER.set(self._follow)
        try:
            self._result = self._carry_out()
        except BaseException as error:
            self._error = error
        finally:
            self._begun.set()

    def _follow(self, scheduler: Interruptible, progress: LiveProgress) -> None:
        self._scheduler, self._progress = scheduler, progress
        self._begun.set()

    @property
    def is_over(self) -> bool:
        """Whether every run has ended."""
        return not self._thread.is_alive()

    def wait(self, timeout: float | None = None) -> GridResult:
        """Waits for the last run; a Ctrl-C meanwhile stops the grid, as it does in `ExperimentGrid.run`.

        Args:
            timeout: seconds to wait at most; None: as long as it takes.

        Raises:
            TimeoutError: the grid is not over yet; it goes on.
        """
        try:
            self._thread.join(timeout)
        except KeyboardInterrupt:
            self.stop()
            raise
        if not self.is_over:
            raise TimeoutError(f"the grid is not over after {timeout:g} s: {told_counts(self._so_far().counts())}")
        if self._result is None and not isinstance(self._error, KeyboardInterrupt):
            assert self._error is not None
            raise self._error
        return self._so_far()

    def stop(self) -> GridResult:
        """Ends the running ones, starts no more, and waits for that; a second call, from another thread, kills them."""
        if self._scheduler is not None:
            self._scheduler.interrupt()
        self._thread.join()
        return self._so_far()

    def _so_far(self) -> GridResult:
        if self._result is not None or self._progress is None:
            return self._result or GridResult([])
        result, running = self._progress.result(), self._progress.running()
        return replace(
            result, runs=[replace(run, state="running") if run.run_dir in running else run for run in result.runs]
        )

    @property
    def runs(self) -> list[RunResult]:
        """All runs as they stand now, in the order of `ExperimentGrid.variants`."""
        return list(self._so_far().runs)

    def frame(self) -> Any:
        """All runs as a table: state, epochs, times in seconds, score, memory, error, directory, hyperparameters.

        Returns:
            A pandas frame where pandas is installed, else a list with a dict for each run.
        """
        rows = [_row(run) for run in self.runs]
        if importlib.util.find_spec("pandas") is None:
            return rows
        import pandas

        return pandas.DataFrame(rows)

    def __repr__(self) -> str:
        return f"<GridHandle {'over' if self.is_over else 'running'}: {told_counts(self._so_far().counts())}>"


def _row(run: RunResult) -> dict[str, Any]:
    now = RunSeen(run.run_dir).look()
    return {
        "name": run.name,
        "seed": run.seed,
        "state": run.state,
        "epoch": now.rows,
        "epochs": now.epochs,
        "elapsed_s": now.elapsed_s,
        "left_s": now.left_s,
        "score": now.score,
        "memory_mb": now.memory_mb,
        "error": run.error,
        "run_dir": str(run.run_dir),
        **{f"variant:{key}": value for key, value in leaves(run.variant)},
    }
