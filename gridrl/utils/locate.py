"""The source files of modules, found without importing their packages."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

from gridrl.errors import BadValue, did_you_mean


def find_module(name: str, near: Path | None = None) -> Path | None:
    """The source file of a module, None where it has none (built in, compiled). No package on the way is imported.

    Args:
        name: its dotted name.
        near: a directory to look in before Python's path.

    Raises:
        BadValue: there is no such module; a near match is told.
    """
    parts = name.split(".")
    path: Path | None = None
    if near is not None and (python_file_in(near, parts[0]) or (near / parts[0]).is_dir()):
        places = [near]
    else:
        path, places = _find_top(parts.pop(0), name)
    for part in parts:
        if _is_compiled(part, places):
            return None
        parent = path
        path = next((file for folder in places if (file := python_file_in(folder, part))), None)
        below = [folder / part for folder in places if (folder / part).is_dir()]
        if path is None and not below:
            return _made_by_code(name, part, places, parent)
        places = below
    return path


def python_file_in(folder: Path, name: str) -> Path | None:
    """The file of the package or module `name` in a directory, None where there is none."""
    for candidate in (folder / name / "__init__.py", folder / f"{name}.py"):
        if candidate.is_file():
            return candidate
    return None


def _find_top(top: str, asked: str) -> tuple[Path | None, list[Path]]:
    """The file of a top-level module, and where its submodules are."""
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        spec = None
    known = sys.modules.get(top)
    if spec is not None:
        origin = spec.origin if spec.has_location else getattr(known, "__file__", None)
        return _python_file(origin), [Path(entry) for entry in spec.submodule_search_locations or []]
    if known is not None:
        return _python_file(getattr(known, "__file__", None)), [Path(entry) for entry in getattr(known, "__path__", [])]
    neighbours = sorted(path.stem for path in Path.cwd().glob("*.py"))
    raise BadValue(f"{asked}: there is no module {top!r} on Python's path.{did_you_mean(top, neighbours)}")


def _python_file(name: str | None) -> Path | None:
    return Path(name) if name and name.endswith(".py") and Path(name).is_file() else None


def _is_compiled(name: str, places: list[Path]) -> bool:
    return any(file.suffix in (".so", ".pyd") for folder in places for file in folder.glob(f"{name}.*"))


def _made_by_code(asked: str, part: str, places: list[Path], parent: Path | None) -> Path | None:
    """A submodule that is no file can still be one that is loaded (`os.path`), or lie inside a compiled one."""
    if asked in sys.modules:
        return _python_file(getattr(sys.modules[asked], "__file__", None))
    if not (places or parent):
        return None
    names = {file.stem for folder in places for file in folder.iterdir() if file.suffix == ".py" or file.is_dir()}
    holder = asked[: asked.rindex(part)].rstrip(".") or str(places[0])
    raise BadValue(f"{asked}: {holder} has no module {part!r}.{did_you_mean(part, sorted(names))}")
