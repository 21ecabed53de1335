"""What a launch finds around its code: commit, packages, machine, and the variables that matter."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gridrl
from gridrl.utils.processes import usable_cores

MOST_DIFF_BYTES = 2**20
"""As much of the changes since the last commit is kept."""

_GIT_S = 30.0
_VARIABLES = re.compile(
    r"(CUDA|NVIDIA|OMP|MKL|OPENBLAS|NUMEXPR|GOMP|KMP|PYTHON|PYTORCH|TORCH|SLURM|PBS|MUJOCO|XLA|JAX|MPI4PY|OMPI|MPICH|I_MPI)_?"
    r".*|LD_LIBRARY_PATH|LD_PRELOAD|VIRTUAL_ENV|CONDA_DEFAULT_ENV|CONDA_PREFIX|MPIEXEC|MALLOC_.*|TZ|LANG|LC_ALL"
)
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASS|CREDENTIAL|AUTH", re.IGNORECASE)


def surroundings() -> dict[str, Any]:
    """Versions, packages, machine and variables, as `snapshot.json` holds them."""
    return {
        "gridrl": gridrl.__version__,
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "host": platform.node(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "usable_cores": usable_cores(),
        "memory_mb": _memory_mb(),
        "variables": told_variables(os.environ),
        "packages": packages(),
    }


def told_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that may change what a run computes; none whose name smells of a secret.

    >>> told_variables({"OMP_NUM_THREADS": "1", "PYTHON_TOKEN": "x", "HOME": "/root"})
    {'OMP_NUM_THREADS': '1'}
    """
    return {
        name: value.encode(errors="backslashreplace").decode()
        for name, value in sorted(environ.items())
        if _VARIABLES.fullmatch(name) and not _SECRET.search(name)
    }


def packages() -> dict[str, str]:
    """The installed packages with their versions, told by the names of their directories: reading each one's
    description takes a hundred times longer."""
    found: dict[str, str] = {}
    for entry in sys.path:
        try:
            names = os.listdir(entry or ".")
        except OSError:
            continue
        for name in sorted(names):
            stem, extension = os.path.splitext(name)
            if extension in (".dist-info", ".egg-info") and "-" in stem:
                package, version = stem.split("-")[:2]
                found.setdefault(package, version)
    return dict(sorted(found.items()))


def _cpu() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            named = next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), "")
    except OSError:
        named = ""
    return named or platform.processor() or platform.machine()


def _memory_mb() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    except (AttributeError, OSError, ValueError):  # not a POSIX system
        return None


def commits(trees: Sequence[Path]) -> tuple[list[dict[str, Any]], bytes]:
    """Commit and branch of working trees of git, whether they have changed since, and how.

    Returns:
        One description each, and their changes as `git diff` tells them, cut at `MOST_DIFF_BYTES`.
    """
    asked = [(_ask(tree, "rev-parse", "HEAD", "--abbrev-ref", "HEAD"), _ask(tree, "diff", "HEAD")) for tree in trees]
    described, diffs = [], []
    for tree, (parsed, compared) in zip(trees, asked, strict=True):
        commit, _, branch = _answer(parsed).decode(errors="replace").strip().partition("\n")
        diff = _answer(compared)
        described.append({"root": str(tree), "commit": commit or None, "branch": branch or None, "dirty": bool(diff)})
        diffs.append(diff)
    return described, b"".join(diffs)[:MOST_DIFF_BYTES]


def _ask(tree: Path, *words: str) -> subprocess.Popen[bytes] | None:
    command = ["git", "-C", str(tree), "--no-optional-locks", *words]
    try:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, close_fds=True
        )
    except OSError:
        return None


def _answer(asked: subprocess.Popen[bytes] | None) -> bytes:
    """What a command has said, as much as is kept of it; nothing where it failed."""
    if asked is None or asked.stdout is None:
        return b""
    with asked, asked.stdout as output:
        told = output.read(MOST_DIFF_BYTES)
        if len(told) == MOST_DIFF_BYTES:
            asked.kill()  # the rest is not wanted
            return told
        try:
            return told if asked.wait(_GIT_S) == 0 else b""
        except subprocess.TimeoutExpired:
            asked.kill()
            return b""
