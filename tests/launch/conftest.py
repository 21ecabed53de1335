"""Directories with names that break careless path code, scripts in files, and a way to run them."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def weird_name() -> str:
    """A name that breaks careless code: a leading dash, quotes, spaces, a line end, other alphabets."""
    return "-weird 'na\"me' $HOME; ü\n\\日本"


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data directory that does not exist yet; its path holds a space and quotes."""
    return tmp_path / "all 'the' data"


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a script (without a guard around its top level) to a directory of its own."""

    def write(text: str, name: str = "script.py") -> Path:
        path = tmp_path / "scripts" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    return write


@pytest.fixture
def run_script(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a script to its end, from a directory that is not the script's."""

    def run(path: Path, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(path), *words], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )

    return run
