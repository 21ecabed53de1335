"""What every test shares: no settings of the user's, one thread a process, no colours."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

# Before numpy or torch is imported anywhere: two test processes share two cores.
for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_variable] = "1"
os.environ["MPLBACKEND"] = "Agg"

# The same examples every time, and no time limits: the machine may be busy.
settings.register_profile(
    "gridrl", deadline=None, derandomize=True, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("gridrl")


@pytest.fixture(autouse=True)
def _no_settings_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tests see gridrl's defaults, whatever `user_config.py` the person who runs them has."""
    empty = tmp_path_factory.getbasetemp() / "user_config.py"
    if not empty.exists():
        empty.write_text("")
    monkeypatch.setenv("GRIDRL_USER_CONFIG", str(empty))
