"""What every test shares: no settings and no cache of the user's, one thread a process, no colours; small disks."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

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

TINY_DISK_BYTES = 64 * 1024
SMALL_DISK_BYTES = 32 * 1024**2


@pytest.fixture(autouse=True)
def _no_settings_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tests see gridrl's defaults, whatever the person who runs them has set, and leave the cache alone."""
    empty = tmp_path_factory.getbasetemp() / "user_config.py"
    if not empty.exists():
        empty.write_text("")
    monkeypatch.setenv("GRIDRL_USER_CONFIG", str(empty))
    monkeypatch.setenv("GRIDRL_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@contextlib.contextmanager
def _disk(directory: Path, count_bytes: int) -> Iterator[Path]:
    """A real file system of this size; making one takes root's rights on Linux."""
    directory.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={count_bytes}", "none", str(directory)]
    try:
        subprocess.run(mount, check=True, capture_output=True, timeout=30)
    except (OSError, subprocess.SubprocessError) as error:
        size = f"{count_bytes // 1024} KiB"
        pytest.skip(f"a file system of {size} cannot be mounted here ({error}); a simulated full disk is tested anyway")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "-l", str(directory)], check=True, capture_output=True, timeout=30)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """The root of a file system of 64 KiB."""
    with _disk(tmp_path / "tiny disk", TINY_DISK_BYTES) as directory:
        yield directory


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """The root of a file system that has room for a grid and what its runs import."""
    with _disk(tmp_path / "small disk", SMALL_DISK_BYTES) as directory:
        yield directory


@pytest.fixture
def fill() -> Callable[[Path, int], None]:
    """Takes up a file system but for so many bytes (a whole number of pages)."""

    def fill_up(directory: Path, leave: int) -> None:
        found = os.statvfs(directory)
        with open(directory / "filler", "ab") as filler:
            filler.write(b"x" * (found.f_bavail * found.f_bsize - leave))

    return fill_up
