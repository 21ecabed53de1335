"""The backend of this machine."""

from __future__ import annotations

import pytest

from gridrl.launch.backend import Backend
from gridrl.launch.local import LocalBackend
from tests.contracts.backend import BackendContract


class TestLocal(BackendContract):
    """A fresh interpreter for each run, `mpiexec` for several ranks."""

    @pytest.fixture
    def backend(self) -> Backend:
        return LocalBackend()
