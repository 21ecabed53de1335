"""A progress bar over the updates of a training."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gridrl.errors import BadValue, NotFinite
from gridrl.log.metrics import LoggingMixin
from gridrl.train.callback import Callback
from gridrl.utils.console import is_terminal, say
from gridrl.utils.mpi import proc_id

if TYPE_CHECKING:
    from rich.progress import Progress

# seconds between two looks at a bar, and between two plain lines
_DRAWN_EVERY_S = 0.1
_LINE_EVERY_S = 10.0


class ProgressBar(Callback):
    """Shows how far a training is: a bar with speed and remaining time on a terminal, a line now and then elsewhere.

    Between two looks it costs nothing but a glance at the clock. Of several MPI ranks the first one shows.

    >>> bar = ProgressBar(bp_steps=10_000)
    """

    def __init__(
        self, bp_steps: int | None = None, loggables: Sequence[LoggingMixin] = (), keys: Sequence[str] = ()
    ) -> None:
        """Takes what is shown.

        Args:
            bp_steps: updates of the whole training; None: nobody knows.
            loggables: whose numbers are shown beside the bar.
            keys: which of these numbers, of scalars and of the means of windows.

        Raises:
            BadValue: fewer than one update.
        """
        if bp_steps is not None and bp_steps < 1:
            raise BadValue(f"bp_steps={bp_steps}: a training has 1 update or more.")
        super().__init__()
        self._total, self._loggables, self._keys = bp_steps, list(loggables), list(keys)
        self._bar: Progress | None = None
        self._is_shown = False
        self._next_at, self._begun = 0.0, (0.0, 0)

    def begin_training(self, bp_step: int) -> None:
        """Draws the bar, where there is a terminal."""
        self._is_shown = proc_id() == 0
        self._begun = (time.monotonic(), bp_step)
        self._next_at = time.monotonic() + (_DRAWN_EVERY_S if is_terminal() else _LINE_EVERY_S)
        if self._is_shown and is_terminal():
            self._bar = _make_bar()
            self._bar.start()
            self._bar.add_task("updates", total=self._total, completed=bp_step, speed="", shown="")

    def end_batch(self, bp_step: int) -> None:
        """Looks at the clock, and shows what is new if it is time."""
        now = time.monotonic()
        if now >= self._next_at and self._is_shown:
            self._next_at = now + (_LINE_EVERY_S if self._bar is None else _DRAWN_EVERY_S)
            self._show(bp_step)

    def end_training(self, bp_step: int) -> None:
        """Shows the last state, and leaves it standing."""
        if self._is_shown:
            self._show(bp_step)
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _show(self, bp_step: int) -> None:
        begun, step = self._begun
        speed = f"{(bp_step - step) / max(time.monotonic() - begun, 1e-9):.1f}/s"
        shown = "  ".join(f"{key} {value:.4g}" for key, value in self._numbers())
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=bp_step, speed=speed, shown=shown, refresh=True)
        else:
            total = "" if self._total is None else f" of {self._total}"
            say("  ".join(part for part in (f"update {bp_step}{total}", speed, shown) if part))

    def _numbers(self) -> list[tuple[str, float]]:
        logs: list[dict[str, float]] = []
        with contextlib.suppress(NotFinite):  # whoever learns from it tells
            logs = [{**loggable.windowed_means(), **loggable.scalar_logs} for loggable in self._loggables]
        return [(key, log[key]) for key in self._keys for log in logs if key in log]


def _make_bar() -> Progress:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    texts = [TextColumn("{task.fields[speed]}"), TimeRemainingColumn(), TextColumn("{task.fields[shown]}")]
    return Progress(TextColumn("updates"), BarColumn(), MofNCompleteColumn(), *texts, auto_refresh=False)
