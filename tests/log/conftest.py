"""What the tests of the log share."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gridrl.log.logger import EpochLogger

TINY_DISK_BYTES = 64 * 1024


@pytest.fixture
def logger(tmp_path: Path) -> Iterator[EpochLogger]:
    """A silent logger in `tmp_path / "run"`."""
    with EpochLogger(tmp_path / "run", exp_name="test", quiet=True) as made:
        yield made


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """The root of a real file system of 64 KiB; making one takes root's rights on Linux."""
    directory = tmp_path / "tiny disk"
    directory.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={TINY_DISK_BYTES}", "none", str(directory)]
    try:
        subprocess.run(mount, check=True, capture_output=True, timeout=30)
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"a file system of 64 KiB cannot be mounted here ({error}); a simulated full disk is tested anyway")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "-l", str(directory)], check=True, capture_output=True, timeout=30)


@pytest.fixture
def fill() -> Callable[[Path, int], None]:
    """Takes up a file system but for so many bytes (a whole number of pages)."""

    def fill_up(directory: Path, leave: int) -> None:
        found = os.statvfs(directory)
        with open(directory / "filler", "ab") as filler:
            filler.write(b"x" * (found.f_bavail * found.f_bsize - leave))

    return fill_up
