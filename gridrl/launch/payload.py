"""What a run's process needs, as one file in its run directory.

One line of JSON says by which format, gridrl and Python the file was written. Compressed behind it: where the launcher
stood (working directory, module path, arguments), and a pickle of the thunk with its keywords. The place is read first,
since unpickling may import modules that are found only from there.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gridrl
from gridrl.errors import NotPicklable, PayloadError, PayloadVersion
from gridrl.launch.stored import Stored
from gridrl.log.disk import told_when_full
from gridrl.stand_ins import StandIns, use_stand_ins
from gridrl.utils.files import write_atomic

FORMAT = 1
"""Grows with every change of the file's form."""


@dataclass(frozen=True, eq=False)
class Payload:
    """A call that another process makes.

    Attributes:
        thunk: the function, or the `"module:function"` that names it.
        keywords: its keyword arguments, apart from those that are made in the run's process.
        seed: seeds the process's generators; None leaves them alone.
        environment: id and keyword arguments of the environment that `env_fn` makes, None where there is none.
        env_spec: how to register that environment where the launcher's script has registered it itself.
        logger_kwargs: those of the logger of `current_run`, whether or not the thunk takes them.
        stand_ins: the copies of the user's sources that it imports from; None: the sources themselves.
    """

    thunk: Callable[..., Any] | str | Stored
    keywords: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    environment: tuple[str, Mapping[str, Any]] | None = None
    env_spec: Any = None
    logger_kwargs: Mapping[str, Any] = field(default_factory=dict)
    stand_ins: StandIns | None = None


def write_payload(path: Path, payload: Payload) -> None:
    """Writes a payload, readable by its owner alone.

    Raises:
        NotPicklable: the thunk or a keyword cannot be pickled; its key path is told.
        DiskFull: no room.
    """
    header = {"format": FORMAT, "gridrl": gridrl.__version__, "python": _python()}
    body = json.dumps(place_here(payload.stand_ins)).encode() + b"\n" + pickled(payload)
    with told_when_full(path, "the payload was not written"):
        write_atomic(path, json.dumps(header).encode() + b"\n" + zlib.compress(body), mode=0o600)


def pickled(payload: Payload) -> bytes:
    """The pickle of a payload, see `write_payload`."""
    import cloudpickle

    try:
        data: bytes = cloudpickle.dumps(payload)
    except Exception as error:
        raise NotPicklable(_culprit(payload, error)) from error
    return data


def _culprit(payload: Payload, error: Exception) -> str:
    from gridrl.utils.serialization import find_unpicklable

    places = {**payload.keywords, "env_kwargs": (payload.environment or ("", {}))[1], "the thunk": payload.thunk}
    for name, value in places.items():
        found = find_unpicklable(value, name)
        if found is not None:
            return f"`{found[0]}` cannot be pickled, so it cannot be sent to the run's process: {found[1]}"
    return f"The run cannot be pickled, so it cannot be sent to its process: {type(error).__name__}: {error}"


def enter_payload(path: Path) -> Payload:
    """Reads a payload and takes this process to where it was written: working directory, module path, arguments.

    Raises:
        PayloadVersion: it was written by another format, gridrl or Python.
        PayloadError: it is no payload, or cut short.
    """
    header, _, packed = path.read_bytes().partition(b"\n")
    _check_header(path, header)
    try:
        place, _, body = zlib.decompress(packed).partition(b"\n")
    except zlib.error as error:
        raise PayloadError(f"{path}: the payload is damaged ({error}). Start the run again.") from error
    enter_place(json.loads(place))
    payload = pickle.loads(body)
    if not isinstance(payload, Payload):
        raise PayloadError(f"{path}: this holds {type(payload).__name__}, not a payload.")
    return payload


def _check_header(path: Path, line: bytes) -> None:
    try:
        header = json.loads(line)
        written = (header["format"], header["gridrl"], header["python"])
    except (ValueError, KeyError, TypeError) as error:
        raise PayloadError(f"{path}: this is no payload of gridrl.") from error
    here = (FORMAT, gridrl.__version__, _python())
    if written != here:
        raise PayloadVersion(
            f"{path}: written as format {written[0]} by gridrl {written[1]} on Python {written[2]}, but read as format "
            f"{here[0]} by gridrl {here[1]} on Python {here[2]}. Start the run again with the same command."
        )


def place_here(stand_ins: StandIns | None = None) -> dict[str, Any]:
    """Where this process stands: working directory, module path, arguments.

    Args:
        stand_ins: the copies that whoever enters is to import from.
    """
    path = _absolute_path()
    place: dict[str, Any] = {"cwd": os.getcwd(), "sys_path": path, "argv": sys.argv}
    if stand_ins is not None:
        moved = stand_ins.module_path(tuple(path))
        left = [entry for entry in path if entry not in moved]
        place |= {"sys_path": moved, "left": left, "stand_ins": stand_ins.as_json()}
    return place


def enter_place(place: Mapping[str, Any]) -> None:
    """Takes this process to where another one stood; entries that imports have added to the module path stay."""
    os.chdir(place["cwd"])
    stand_ins = StandIns.from_json(place["stand_ins"]) if "stand_ins" in place else None
    use_stand_ins(stand_ins)
    if stand_ins is not None:
        sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) not in place["left"]]
        _move_variable(stand_ins)
    known = {os.path.abspath(entry) for entry in sys.path} & set(place["sys_path"])
    added = [entry for entry in sys.path if os.path.abspath(entry) not in place["sys_path"]] if known else []
    sys.path[:] = [*place["sys_path"], *added]
    sys.argv[:] = place["argv"]


def _move_variable(stand_ins: StandIns) -> None:
    """The programs that this process starts import from the copies too."""
    if os.environ.get("PYTHONPATH"):
        entries = os.environ["PYTHONPATH"].split(os.pathsep)
        os.environ["PYTHONPATH"] = os.pathsep.join(stand_ins.of(entry) if entry else "" for entry in entries)


def _absolute_path() -> list[str]:
    """The module path without entries that mean something else elsewhere; "" is the working directory."""
    return [os.path.abspath(entry) for entry in sys.path]


def _python() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"
