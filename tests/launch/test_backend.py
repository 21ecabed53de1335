"""The backend of this machine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gridrl.launch.backend import Backend
from gridrl.launch.forks import Forks
from gridrl.launch.local import LocalBackend
from gridrl.launch.preload import Preload
from gridrl.utils.subreaper import subreaper
from tests.contracts.backend import BackendContract


class TestLocal(BackendContract):
    """A fresh interpreter for each run, `mpiexec` for several ranks."""

    @pytest.fixture
    def backend(self) -> Backend:
        return LocalBackend()


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    """A fork server that has imported nothing beside gridrl."""
    with subreaper() as able:
        assert able
        forks = Forks(Preload())
        try:
            assert forks.prepare() is None
            yield forks
        finally:
            forks.close()


class TestForked(BackendContract):
    """A forked process for each run of one rank."""

    @pytest.fixture
    def backend(self, forks: Forks) -> Backend:
        return LocalBackend(forks)
