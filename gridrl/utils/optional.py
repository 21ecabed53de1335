"""Packages that gridrl can use and does not need."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from typing import Any

from gridrl.errors import BadValue


def is_installed(package: str) -> bool:
    """Whether a top-level package is there; it is not imported."""
    try:
        return find_spec(package) is not None
    except ValueError:  # loaded, without a spec
        return True


def import_optional(module: str, *, extra: str, purpose: str) -> Any:
    """Imports a module of an optional package.

    Args:
        module: its full name.
        extra: the extra of gridrl that installs it.
        purpose: what it is needed for, to begin the message with: "--log tensorboard".

    Raises:
        BadValue: it is not installed (the message says how to install it), or it is and cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        if is_installed(package):
            raise BadValue(f"{purpose} needs {package}, which is installed but cannot be imported: {error}") from error
        raise BadValue(f"{purpose} needs {package}, which is not installed: pip install 'gridrl[{extra}]'.") from error
