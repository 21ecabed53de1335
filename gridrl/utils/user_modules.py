"""Where the user's own modules are, and what they do, read from their files without importing them."""

from __future__ import annotations

import ast
import functools
import hashlib
import sys
import sysconfig
import tokenize
from dataclasses import dataclass
from pathlib import Path

import gridrl
from gridrl.utils.locate import find_module, python_file_in
from gridrl.utils.plain_code import Imported, Pieces, imports_in, plain_tree

_UNREADABLE = (OSError, SyntaxError, ValueError, RecursionError, MemoryError)
_INSTALLED = ("site-packages", "dist-packages")


@dataclass(frozen=True)
class ModuleCode:
    """What a file does.

    Attributes:
        digest: the hash of its source without comments, layout and docstrings.
        imports: the modules that it needs, wherever in it they are imported.
    """

    digest: str
    imports: tuple[Imported, ...]


def digest(text: str | bytes) -> str:
    """The hash of a text."""
    return hashlib.sha256(text.encode(errors="surrogatepass") if isinstance(text, str) else text).hexdigest()


def module_code(path: Path, *, is_main: bool = False) -> ModuleCode | None:
    """What a file does; None where it cannot be read as Python. A file is read again when it has changed.

    Args:
        path: the file.
        is_main: whether it runs as a script.
    """
    try:
        found = path.stat()
        return _module_code(path, found.st_size, found.st_mtime_ns, is_main)
    except _UNREADABLE:
        return None


@functools.lru_cache(maxsize=2048)
def _module_code(path: Path, _size: int, _changed_ns: int, is_main: bool) -> ModuleCode:
    tree = _tree(path, is_main)
    return ModuleCode(digest(ast.unparse(tree)), tuple(dict.fromkeys(imports_in(tree))))


def script_pieces(path: Path) -> Pieces | None:
    """The top level of a script, name by name; None where it cannot be read as Python."""
    try:
        found = path.stat()
        return _script_pieces(path, found.st_size, found.st_mtime_ns)
    except _UNREADABLE:
        return None


@functools.lru_cache(maxsize=32)
def _script_pieces(path: Path, _size: int, _changed_ns: int) -> Pieces:
    return Pieces.of(_tree(path, is_main=True))


def _tree(path: Path, is_main: bool) -> ast.Module:
    with tokenize.open(path) as file:  # heeds an encoding line
        return plain_tree(file.read(), is_main=is_main)


def is_users(path: Path) -> bool:
    """Whether a file is the user's: no part of Python, of an installed package or of gridrl."""
    real = path.resolve()
    return not any(part in _INSTALLED for part in real.parts) and not any(map(real.is_relative_to, _not_users()))


@functools.cache
def _not_users() -> tuple[Path, ...]:
    places = sysconfig.get_paths()
    installed = {places[name] for name in ("stdlib", "platstdlib", "purelib", "platlib", "scripts")}
    return (*(Path(place).resolve() for place in sorted(installed)), Path(gridrl.__file__).resolve().parent)


class UserModules:
    """Finds the files of modules by their names.

    Args:
        near: a directory to look in before Python's path, as a script's own is.
    """

    def __init__(self, near: Path | None = None) -> None:
        self._near = near
        self._files: dict[str, Path | None] = {}
        self._outside: dict[str, bool] = {}

    def is_outside(self, name: str) -> bool:
        """Whether a module belongs to Python, to an installed package or to gridrl."""
        top = name.partition(".")[0]
        if top not in self._outside:
            self._outside[top] = self._look_outside(top)
        return self._outside[top]

    def _look_outside(self, top: str) -> bool:
        if top == "gridrl":
            return True
        if top in sys.stdlib_module_names and not (self._near and python_file_in(self._near, top)):
            return True
        file = self._find(top)
        if file is not None:
            return not is_users(file)
        origin = getattr(getattr(sys.modules.get(top), "__spec__", None), "origin", None)
        return origin is not None  # compiled, or in an archive

    def file_of(self, name: str) -> Path | None:
        """The file of a module of the user's; None where there is none."""
        if name not in self._files:
            file = None if self.is_outside(name) else self._find(name)
            self._files[name] = file if file is not None and is_users(file) else None
        return self._files[name]

    def _find(self, name: str) -> Path | None:
        try:
            return find_module(name, self._near)
        except Exception:  # no such module, or a finder of somebody's own that fails
            return None

    def holds_modules(self, name: str) -> bool:
        """Whether what is imported from a module may be a module itself."""
        file = self.file_of(name)
        return not self.is_outside(name) and (file is None or file.name == "__init__.py")
