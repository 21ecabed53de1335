"""Files that a figure is written to: checked before anything is drawn, the same bytes for the same figure."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gridrl.errors import BadValue, did_you_mean
from gridrl.utils.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Paths = str | Path | Iterable[str | Path]

_WITHOUT_DATE: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}


def files_to_write(save: Paths | None) -> list[Path]:
    """The files that were asked for.

    Raises:
        BadValue: an ending that is no format, or a place that cannot be written; all faults at once.
    """
    from matplotlib.backend_bases import FigureCanvasBase

    kinds = FigureCanvasBase.get_supported_filetypes()
    files = [Path(file).expanduser() for file in ([save] if isinstance(save, (str, Path)) else save or ())]
    faults = [fault for file in files if (fault := _fault(file, kinds))]
    if faults:
        raise BadValue("\n".join(faults))
    return files


def _fault(file: Path, kinds: Iterable[str]) -> str:
    if file.suffix[1:].lower() not in kinds:
        near = did_you_mean(file.suffix[1:], kinds)
        return f"`--save`: {file}: the ending is the format, .png, .svg or .pdf.{near}"
    if file.is_dir():
        return f"`--save`: {file} cannot be written: it is a directory."
    place = next(parent for parent in file.absolute().parents if parent.exists())
    if not place.is_dir():
        return f"`--save`: {file} cannot be written: {place} is no directory."
    if not os.access(place, os.W_OK | os.X_OK):
        return f"`--save`: {file} cannot be written: nothing may be made in {place}."
    return ""


def write_figure(figure: Figure, files: Sequence[Path]) -> None:
    """Writes a figure, each file wholly or not at all.

    Raises:
        BadValue: a file cannot be written after all.
    """
    if not files:
        return
    with _laid_out(figure):
        for file in files:
            kind = file.suffix[1:].lower()
            try:
                with atomic_path(file) as aside:
                    figure.savefig(aside, format=kind, metadata=_WITHOUT_DATE.get(kind))
            except OSError as error:
                raise BadValue(f"`--save`: {file} cannot be written: {error.strerror}.") from error


@contextlib.contextmanager
def _laid_out(figure: Figure) -> Iterator[None]:
    """Places everything once: a layout engine would do it again for each file, and draw each of them twice."""
    engine = figure.get_layout_engine()
    if engine is None:
        yield
        return
    engine.execute(figure)
    figure.set_layout_engine(None)  # which is none at all, by the settings of FILE_STYLE
    try:
        yield
    finally:
        figure.set_layout_engine(engine)
