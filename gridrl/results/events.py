"""TensorBoard's event files, of any program: scalars by tag, hyperparameters as CleanRL writes them.

An event file is a row of records: a length in 8 bytes, 4 bytes that check it, the event, 4 bytes that check that; the
event is a protocol buffer of the package tensorboard.
"""

from __future__ import annotations

import ast
import functools
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gridrl.log.tables import Column, Table, Unreadable
from gridrl.utils.optional import import_optional

STEP_NAME, TIME_NAME = "global_step", "wall_time"
"""The columns that are added: the step of a row's events, and the seconds since the first event."""

_HYPERPARAMETERS = "hyperparameters/text_summary"
_HEAD, _TAIL = 12, 4  # bytes around an event
_FIRST_EVENTS = 50  # among which hyperparameters stand
_FIRST_BYTES = 1 << 20
_KINDS = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8"}  # of numbers in a tensor
_PARSED = 2  # runs whose events are kept for the next columns that are asked for

Marks = tuple[tuple[int, ...], ...]


class _Series:
    """The events of one tag."""

    def __init__(self) -> None:
        self.steps, self.values, self.times = array("q"), array("d"), array("d")

    def add(self, step: int, value: float, time: float) -> None:
        self.steps.append(step)
        self.values.append(value)
        self.times.append(time)

    def forget_from(self, step: int) -> None:
        """Leaves out what was logged from a step on: the program has gone back to it."""
        kept = np.flatnonzero(np.asarray(self.steps) < step)
        for name in ("steps", "values", "times"):
            old = getattr(self, name)
            setattr(self, name, array(old.typecode, np.asarray(old)[kept].tobytes()))


def read_events(files: Sequence[Path], wanted: Sequence[str] | None = None) -> Table:
    """Reads the scalars of a run: a row for each step, or several where a tag has several values at one step.

    Args:
        files: in the order in which they were written.
        wanted: tags, `global_step` and `wall_time`; None: all.

    Raises:
        BadValue: tensorboard is not installed.
        OSError: a file cannot be read.
        Unreadable: there is no scalar in it.
    """
    found = [file.stat() for file in files]
    tags, notes = _parse(tuple(files), tuple((one.st_size, one.st_mtime_ns, one.st_ino) for one in found))
    if not tags:
        raise Unreadable("holds no scalar")
    places, keys, steps = _rows(tags)
    times = np.zeros(keys.size)
    for tag, series in tags.items():
        times[places[tag]] = np.asarray(series.times)
    columns: dict[str, Column] = {STEP_NAME: steps, TIME_NAME: times - times.min()}
    names = (*tags, *(name for name in columns if name not in tags))
    for tag in tags if wanted is None else [name for name in wanted if name in tags]:
        columns[tag] = np.full(keys.size, np.nan)
        columns[tag][places[tag]] = np.asarray(tags[tag].values)
    kept = {name: columns[name] for name in (names if wanted is None else wanted) if name in columns}
    return Table(names, kept, keys.size, notes)


def _rows(tags: dict[str, _Series]) -> tuple[dict[str, npt.NDArray[np.int64]], npt.NDArray[np.int64], Column]:
    """The row of each event by tag, and the rows: their keys and steps."""
    steps = {tag: np.asarray(series.steps) for tag, series in tags.items()}
    times_before = {tag: _times_before(one) for tag, one in steps.items()}
    most = 1 + max(int(one.max()) for one in times_before.values())
    keys = {tag: steps[tag] * most + times_before[tag] for tag in tags}
    everywhere = np.unique(np.concatenate(list(keys.values())))
    places = {tag: np.searchsorted(everywhere, one) for tag, one in keys.items()}
    return places, everywhere, (everywhere // most).astype(np.float64)


def _times_before(steps: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How often each step stands further in front."""
    order = np.argsort(steps, kind="stable")
    ordered = steps[order]
    is_new = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    places = np.arange(steps.size)
    found = np.empty_like(places)
    found[order] = places - np.maximum.accumulate(np.where(is_new, places, 0))
    return found


@functools.lru_cache(maxsize=_PARSED)
def _parse(files: tuple[Path, ...], marks: Marks) -> tuple[dict[str, _Series], tuple[str, ...]]:
    """The scalars by tag, and what had to be tolerated; `marks` change when the files do."""
    tags: dict[str, _Series] = {}
    notes: dict[str, None] = {}
    for file in files:
        for event in _events(file.read_bytes(), notes):
            if event.HasField("session_log") and event.session_log.status == event.session_log.START:
                for series in tags.values():
                    series.forget_from(event.step)
            for value in event.summary.value:
                number = _number(value)
                if number is not None:
                    tags.setdefault(value.tag, _Series()).add(event.step, number, event.wall_time)
    return {tag: series for tag, series in tags.items() if len(series.steps)}, tuple(notes)


def _events(content: bytes, notes: dict[str, None]) -> Iterator[Any]:
    """The events of a file, up to where it is damaged or still being written."""
    how = {"extra": "tensorboard", "purpose": "A TensorBoard event file"}
    event = import_optional("tensorboard.compat.proto.event_pb2", **how).Event
    broken = import_optional("google.protobuf.message", **how).DecodeError
    at, count = 0, 0
    while at + _HEAD <= len(content):
        start = at + _HEAD
        at = start + int.from_bytes(content[at : at + 8], "little") + _TAIL
        if at > len(content):
            break
        try:
            yield event.FromString(content[start : at - _TAIL])
        except broken:
            break
        count += 1
    else:
        if at == len(content):
            return
    notes[f"its event file ends or is damaged after {count} events; what follows is left out"] = None


def _number(value: Any) -> float | None:
    """The number of a scalar, None for what is none: an image, a text, a histogram."""
    if value.HasField("simple_value"):
        return float(value.simple_value)
    if not value.HasField("tensor") or value.metadata.plugin_data.plugin_name not in ("scalars", ""):
        return None
    tensor = value.tensor
    for numbers in (tensor.float_val, tensor.double_val, tensor.int_val, tensor.int64_val):
        if len(numbers) == 1:
            return float(numbers[0])
    kind = np.dtype(_KINDS.get(tensor.dtype, "V0"))
    if kind.itemsize and len(tensor.tensor_content) == kind.itemsize:
        return float(np.frombuffer(tensor.tensor_content, kind)[0])
    return None


def read_hyperparameters(files: Sequence[Path]) -> dict[str, Any]:
    """The hyperparameters that CleanRL writes into its event file, nothing where there are none.

    Args:
        files: of a run; the first one has them.

    Raises:
        OSError: it cannot be read.
    """
    with open(files[0], "rb") as file:
        content = file.read(_FIRST_BYTES)
    for _, event in zip(range(_FIRST_EVENTS), _events(content, {}), strict=False):
        for value in event.summary.value:
            if value.tag == _HYPERPARAMETERS and value.tensor.string_val:
                return _read_table(value.tensor.string_val[0].decode("utf-8", "replace"))
    return {}


def _read_table(text: str) -> dict[str, Any]:
    """A table in Markdown, `|gamma|0.99|`, as keys and values."""
    rows = [line.strip().strip("|").split("|", 1) for line in text.split("\n")[2:]]
    return {row[0]: _read_value(row[1]) for row in rows if len(row) == 2 and row[0]}


def _read_value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text
