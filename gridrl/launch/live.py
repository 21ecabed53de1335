"""While several runs go: a table of the running ones that is drawn anew every second, failures above it at once."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from gridrl.launch.backend import Ending
from gridrl.launch.door import Door
from gridrl.launch.order import PlannedRun
from gridrl.launch.overview import COLORS, Line, counts_line, table_lines
from gridrl.launch.report import Progress
from gridrl.launch.result import GridResult
from gridrl.log.standing import RunSeen, Standing
from gridrl.utils.console import console, is_terminal, say
from gridrl.utils.texts import cut, duration

if TYPE_CHECKING:
    from rich.text import Text

_EVERY_S = 1.0
_SHARE = 100  # looking takes at most a hundredth of a core
_FRAME = 4  # lines of a terminal that are no runs: header, counts, who is left out, the prompt


class View(Protocol):
    """Something that shows a few lines, and others in their place later."""

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines."""

    def show(self, lines: Sequence[Line]) -> None:
        """Shows these lines instead of those before."""

    def tell(self, line: Line) -> None:
        """Shows a line that stays."""

    def close(self) -> None:
        """Takes the changing lines away; nothing is shown afterwards."""


class TerminalView:
    """The last lines of a terminal, by rich; what is printed meanwhile comes above them."""

    def __init__(self) -> None:
        from rich.live import Live

        self._console = console()
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._live.start()

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines."""
        return self._console.width, self._console.height

    def show(self, lines: Sequence[Line]) -> None:
        """See `View.show`."""
        self._live.update(styled(lines), refresh=True)

    def tell(self, line: Line) -> None:
        """See `View.tell`."""
        say(*line)  # through the live table's own standard output, which puts it above

    def close(self) -> None:
        """See `View.close`."""
        self._live.stop()


class NotebookView:
    """An output of a notebook's cell that changes."""

    def __init__(self) -> None:
        from IPython.display import display

        self._told: list[Line] = []
        self._shown: Sequence[Line] = ()
        self._handle = display(self._content(), display_id=True)

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines."""
        return 120, 40

    def _content(self) -> Any:
        return NotebookText("\n".join(text for text, _ in [*self._told[-20:], *self._shown]))

    def show(self, lines: Sequence[Line]) -> None:
        """See `View.show`."""
        self._shown = lines
        if self._handle is not None:
            self._handle.update(self._content())

    def tell(self, line: Line) -> None:
        """See `View.tell`."""
        self._told.append(line)
        self.show(self._shown)

    def close(self) -> None:
        """See `View.close`: failures stay."""
        self.show(())


class NotebookText:
    """Text for a notebook, in letters of equal width."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text

    def _repr_html_(self) -> str:
        import html

        return f"<pre>{html.escape(self._text)}</pre>"


def styled(lines: Sequence[Line]) -> Text:
    """Lines for rich."""
    from rich.text import Text

    return Text("\n", no_wrap=True).join(Text(text, style=color or "") for text, color in lines)


def in_notebook() -> bool:
    """Whether this is IPython without a terminal."""
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    return get_ipython() is not None and not is_terminal()


def make_view() -> View | None:
    """The view for wherever this process shows things; None where nothing that is shown can change."""
    if in_notebook():
        return NotebookView()
    # rich's table would spoil what programs that read a terminal see of one that is dumb
    if is_terminal() and os.environ.get("TERM") not in (None, "", "dumb") and _is_main_thread():
        return TerminalView()
    return None


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


class Interruptible(Protocol):
    """What can be stopped while it goes."""

    def interrupt(self) -> None:
        """Does what a Ctrl-C does, from any thread."""


FOLLOWER: ContextVar[Callable[[Interruptible, LiveProgress], None] | None] = ContextVar("FOLLOWER", default=None)
"""Who is told of the launch that begins in this context."""


@contextlib.contextmanager
def attended(scheduler: Interruptible, progress: LiveProgress, door: Door) -> Iterator[None]:
    """While the block runs, its progress is shown; whoever knocks at the door interrupts the scheduler."""
    door.lead_to(scheduler.interrupt)
    with progress:
        if (follow := FOLLOWER.get()) is not None:
            follow(scheduler, progress)
        yield


class LiveProgress(Progress):
    """Shows how several runs go while the block lasts; a line for each start and end where nothing can change.

    Args:
        runs: what is run.
        jobs: how many at once.

    Attributes:
        result: gives what has come of the whole grid so far.
        begun: is called once, when the first run has been started or could not be.
    """

    def __init__(self, runs: Sequence[PlannedRun], jobs: int) -> None:
        super().__init__(runs)
        self.result: Callable[[], GridResult] = GridResult
        self.begun: Callable[[], None] | None = None
        self._jobs = jobs
        self._view: View | None = None
        self._lock = threading.Lock()
        self._seen: dict[int, RunSeen] = {}
        self._states: dict[int, str] = {}
        self._took_s: list[float] = []
        self._began = time.monotonic()
        self._wake = threading.Event()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> LiveProgress:
        if len(self._runs) > 1:
            self._view = make_view()
        if self._view is not None:
            self._thread = threading.Thread(target=self._draw_on, name="gridrl-live", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        if self._view is not None:
            with contextlib.suppress(OSError, ValueError):  # the terminal may be gone
                self._view.close()

    def started(self, index: int) -> None:
        """See `Watcher.started`."""
        self._begin()
        with self._lock:
            self._states[index] = "running"
            self._seen[index] = RunSeen(self._runs[index].place.run_dir)
        if self._view is None:
            super().started(index)
        else:
            self._wake.set()

    def ended(self, index: int, ending: Ending, elapsed_s: float) -> None:
        """See `Watcher.ended`."""
        self._begin()
        with self._lock:
            self._states[index] = ending.state
            self._seen.pop(index, None)
            if ending.state == "done":
                self._took_s.append(elapsed_s)
        if self._view is None:
            super().ended(index, ending, elapsed_s)
            return
        self.note(index, ending, elapsed_s)
        if ending.state != "done":
            self._view.tell((self.ended_line(index, ending, elapsed_s), COLORS.get(ending.state)))
        self._wake.set()

    def _begin(self) -> None:
        begun, self.begun = self.begun, None
        if begun is not None:
            begun()

    @property
    def num_runs(self) -> int:
        """How many runs are to be run."""
        return len(self._runs)

    def running(self) -> set[Path]:
        """The directories of the runs that run now."""
        with self._lock:
            return {self._runs[index].place.run_dir for index in self._seen}

    def _draw_on(self) -> None:
        """Looks and draws: when something has happened, else every second; never for long."""
        while not self._over.is_set():
            self._wake.clear()
            began = time.thread_time()
            with contextlib.suppress(OSError, ValueError):
                self._draw()
            busy_s = time.thread_time() - began
            self._wake.wait(_EVERY_S)
            # Many short runs start and end all the time: they are not each worth a picture.
            self._over.wait(min(_EVERY_S, _SHARE * busy_s))

    def _draw(self) -> None:
        assert self._view is not None
        with self._lock:
            seen = [self._seen[index] for index in sorted(self._seen)]
            states = [self._states.get(index, "queued") for index in range(len(self._runs))]
        width, height = self._view.size
        room = max(1, height - _FRAME)
        standings = [run.look() for run in seen]
        lines = table_lines(standings[:room], width, with_state=False, with_errors=False) if standings else []
        if len(standings) > room:
            lines.append((f"... and {len(standings) - room} more that run", None))
        self._view.show([*lines, (cut(self._counts(states, standings), width), "bold")])

    def _counts(self, states: Sequence[str], standings: Sequence[Standing]) -> str:
        told = f"{counts_line(states)}; {duration(time.monotonic() - self._began)}"
        left_s = self._left(states.count("queued"), standings)
        return told if left_s is None else f"{told}, about {duration(left_s)} left"

    def _left(self, num_queued: int, standings: Sequence[Standing]) -> float | None:
        """Seconds to the end of the last run, if the waiting ones take as long as the others do."""
        known = [s for s in standings if s.left_s is not None]
        if len(known) < len(standings) and not self._took_s:
            return None
        took = self._took_s or [(s.elapsed_s or 0.0) + (s.left_s or 0.0) for s in known]
        if not took:
            return None
        usual_s = sum(took) / len(took)
        running = [usual_s / 2 if s.left_s is None else s.left_s for s in standings]
        whole_s = (sum(running) + num_queued * usual_s) / max(1, self._jobs)
        return max([whole_s, *running])
