"""What a user sets once for all experiments, in `user_config.py`."""

from __future__ import annotations

import os
import traceback
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from gridrl.errors import GridRLWarning, Problems, UsageError, did_you_mean

FILE_NAME = "user_config.py"
VARIABLE = "GRIDRL_USER_CONFIG"


@dataclass(frozen=True)
class Settings:
    """What `user_config.py` says; each name stands there in capitals.

    Attributes:
        DEFAULT_DATA_DIR: where results land when no `data_dir` is given, absolute; a relative one counts from the
            current directory.
        FORCE_DATESTAMP: puts date and time into every run's directory name.
        DEFAULT_SHORTHAND: whether keys without a shorthand get one, three letters of each part.
        WAIT_BEFORE_LAUNCH: seconds between the list of experiments and the start of the first.
        MPIEXEC: the launcher of MPI programs to use, None: the one beside this Python.
        source: the file that was read, None where there is none.
    """

    DEFAULT_DATA_DIR: Path
    FORCE_DATESTAMP: bool = False
    DEFAULT_SHORTHAND: bool = True
    WAIT_BEFORE_LAUNCH: float = 0.0
    MPIEXEC: str | None = None
    source: Path | None = None


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("True or False")
    return value


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
        raise ValueError("a number of seconds, 0 or more")
    return float(value)


def _directory(value: Any) -> Path:
    if not isinstance(value, (str, os.PathLike)) or not os.fspath(value):
        raise ValueError("a path")
    return Path(value).expanduser()


def _program(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, (str, os.PathLike)) or not os.fspath(value):
        raise ValueError("the name or path of a program, or None")
    return str(Path(value).expanduser()) if os.sep in os.fspath(value) else str(value)


_READ: Mapping[str, Callable[[Any], Any]] = {
    "DEFAULT_DATA_DIR": _directory,
    "FORCE_DATESTAMP": _boolean,
    "DEFAULT_SHORTHAND": _boolean,
    "WAIT_BEFORE_LAUNCH": _seconds,
    "MPIEXEC": _program,
}


def settings() -> Settings:
    """The settings in force: of `$GRIDRL_USER_CONFIG`, else of `./user_config.py`, else of the checkout's, else none.

    The file is Python and is executed, once for each of its states.

    Raises:
        UsageError: the file named by the variable does not exist, the file cannot be executed, or a value is of the
            wrong type.
    """
    source = _find()
    values = {} if source is None else dict(_read(source, source.stat().st_mtime_ns))
    data_dir = Path.cwd() / values.pop("DEFAULT_DATA_DIR", "data")
    return Settings(DEFAULT_DATA_DIR=data_dir, source=source, **values)


def _find() -> Path | None:
    named = os.environ.get(VARIABLE)
    if named:
        path = Path(named).expanduser().absolute()
        if not path.is_file():
            raise UsageError(f"{VARIABLE} names {path}, and there is no such file. Unset it, or make the file.")
        return path
    checkout = Path(__file__).parents[2]
    for folder in (Path.cwd(), *([checkout] if (checkout / "pyproject.toml").is_file() else [])):
        if (folder / FILE_NAME).is_file():
            return folder / FILE_NAME
    return None


@lru_cache(maxsize=8)
def _read(source: Path, _changed_ns: int) -> Mapping[str, Any]:
    """The file's settings, checked; it is read anew after a change."""
    found = {name: value for name, value in _execute(source).items() if name.isupper() and not name.startswith("_")}
    problems = Problems()
    values: dict[str, Any] = {}
    for name, value in found.items():
        if name not in _READ:
            near = did_you_mean(name, _READ)
            known = ", ".join(field.name for field in fields(Settings) if field.name in _READ)
            warnings.warn(f"{source}: {name} is no setting.{near} There are: {known}.", GridRLWarning, stacklevel=4)
            continue
        try:
            values[name] = _READ[name](value)
        except ValueError as error:
            problems.add(f"{source}: {name} is {value!r}; it has to be {error}.")
    problems.raise_if_any(UsageError)
    return values


def _execute(source: Path) -> dict[str, Any]:
    import runpy

    try:
        return runpy.run_path(str(source))
    except SyntaxError as error:
        raise UsageError(f"{error.filename or source}, line {error.lineno}: {error.msg}") from error
    except (Exception, SystemExit) as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(source)]
        place = f"{source}, line {lines[-1]}" if lines else str(source)
        raise UsageError(f"{place}: {type(error).__name__}: {error}") from error
