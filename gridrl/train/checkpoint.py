"""Checkpoints of training; their form is that of `gridrl.log.checkpoints`, which anybody's own loop uses too."""

from __future__ import annotations

from gridrl.log.checkpoints import FORMAT, Checkpoints, generators_state, set_generators_state

__all__ = ["FORMAT", "Checkpoints", "generators_state", "set_generators_state"]
