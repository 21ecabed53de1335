"""Who is told how runs go while they are carried out."""

from __future__ import annotations

from typing import Protocol

from gridrl.launch.backend import Ending


class Watcher(Protocol):
    """Who is told how the runs go; called from the launcher's thread alone."""

    def started(self, index: int) -> None:
        """A run's process has been started."""

    def ended(self, index: int, ending: Ending, elapsed_s: float) -> None:
        """A run has ended for good, or could not be started."""

    def retried(self, index: int, ending: Ending, message: str) -> None:
        """An attempt of a run has ended like this, and the run is to be started again; the message says so."""

    def told(self, message: str) -> None:
        """Something else that the user should know at once."""


class Nobody:
    """A watcher that is told in vain."""

    def started(self, index: int) -> None:
        return

    def ended(self, index: int, ending: Ending, elapsed_s: float) -> None:
        return

    def retried(self, index: int, ending: Ending, message: str) -> None:
        return

    def told(self, message: str) -> None:
        return
