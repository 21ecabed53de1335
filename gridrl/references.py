"""Names that stand for code: resolved when they are needed, and tables of them.

Their home for everybody else is `gridrl.build`.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
import warnings
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from gridrl.errors import BadValue, GridRLWarning, did_you_mean
from gridrl.stand_ins import stand_in


def resolve(path: str) -> Any:
    """The object that a name stands for; its module is imported.

    Args:
        path: `"pkg.mod:Class.name"`, `"pkg.mod.name"` (the longest prefix that is a module is imported), or
            `"some/file.py:name"`.

    Raises:
        BadValue: no such module, file or name; a near match is told.
    """
    where, colon, qualname = path.rpartition(":")
    if not colon:
        return _resolve_dotted(path)
    if where.endswith(".py"):
        return _attribute(load_file(Path(where)), qualname, path)
    return _attribute(_import(where, path), qualname, path)


def load_file(path: Path) -> ModuleType:
    """Imports a Python file by its path, as `python file.py` would find its neighbours; a second call gives the same.

    In the process of a run it is the copy of the file that the launch has made, if it has made one.

    Raises:
        BadValue: there is no such file.
    """
    path = Path(stand_in(str(path.expanduser().resolve())))
    if not path.is_file():
        near = did_you_mean(path.name, (found.name for found in path.parent.glob("*.py")))
        raise BadValue(f"{path}: there is no such file.{near}")
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    for name in (path.stem, f"{path.stem}_{zlib.crc32(str(path).encode(errors='surrogatepass')):08x}"):
        known = sys.modules.get(name)
        if known is None:
            return _load_file_as(name, path)
        if Path(getattr(known, "__file__", None) or "").resolve() == path:
            return known
    raise BadValue(f"{path}: modules of this name are loaded already; give the file another name.")


def _load_file_as(name: str, path: Path) -> ModuleType:
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise BadValue(f"{path} is no Python file: its name has to end in .py.")
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _import(module: str, asked: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise BadValue(f"{asked}: {module} cannot be imported: {error}.") from error
        raise BadValue(f"{asked}: there is no module {error.name!r} on Python's path.") from error
    except ImportError as error:
        raise BadValue(f"{asked}: {module} cannot be imported: {error}.") from error


def _resolve_dotted(path: str) -> Any:
    parts = path.split(".")
    if not all(part.isidentifier() for part in parts):
        raise BadValue(f"{path!r} is no name such as 'torch.nn.ReLU' or 'my_module:train'.")
    found: Any = _import(parts[0], path)
    for count, part in enumerate(parts[1:], start=1):
        if not hasattr(found, part):
            found = _behind(found, ".".join(parts[:count]), part, path)
        found = getattr(found, part)
    return found


def _behind(found: Any, prefix: str, part: str, asked: str) -> Any:
    """The holder of `part` where `found` does not have it: a package with a submodule that is not imported yet, or a
    module that a function of its own name hides."""
    hidden = sys.modules.get(prefix)
    if hidden is not None and hasattr(hidden, part):
        return hidden
    siblings: list[str] = []
    if hidden is not None and hasattr(hidden, "__path__"):
        siblings = [module.name for module in pkgutil.iter_modules(hidden.__path__)]
        deeper = f"{prefix}.{part}"
        try:
            importlib.import_module(deeper)
            return hidden
        except ImportError as error:
            if error.name != deeper or not isinstance(error, ModuleNotFoundError):
                raise BadValue(f"{asked}: {deeper} cannot be imported: {error}.") from error
    raise BadValue(f"{asked}: {prefix} has no {part!r}.{did_you_mean(part, [*dir(found), *siblings])}")


def _attribute(found: Any, qualname: str, asked: str) -> Any:
    holder = getattr(found, "__name__", "the module")
    for part in qualname.split("."):
        if not hasattr(found, part):
            raise BadValue(f"{asked}: {holder} has no {part!r}.{did_you_mean(part, dir(found))}")
        found = getattr(found, part)
        holder = f"{holder}.{part}"
    return found


@dataclass(frozen=True)
class Reference:
    """A dotted name as it was typed, not imported yet; the process that runs the experiment resolves it.

    >>> Reference("collections.OrderedDict").last
    'OrderedDict'

    Attributes:
        path: the name as typed, `"torch.nn.ReLU"`.
        canonical: the `"module:qualname"` where the object is defined (or the canonical text of an object without
            one), once somebody has looked; the typed name and the object itself then give a run the same id.
    """

    path: str
    canonical: str | None = field(default=None, compare=False)

    @property
    def last(self) -> str:
        """The name without its modules, `"ReLU"`."""
        return self.path.replace(":", ".").rpartition(".")[2]

    def resolve(self) -> Any:
        """The object, see `resolve`."""
        return resolve(self.path)

    def __str__(self) -> str:
        return self.path


class NamedTable:
    """Names and the `"module:attribute"` that each stands for; nothing is imported before `load`.

    Installed packages add names through entry points. One that cannot be read is warned about and left out.

    >>> table = NamedTable("number", {"half": "fractions:Fraction"})
    >>> table["half"], list(table)
    ('fractions:Fraction', ['half'])

    Args:
        what: the word for one entry, in messages ("algorithm").
        entries: our own names.
        group: the entry point group that other packages use, such as "gridrl.algos".
    """

    def __init__(self, what: str, entries: Mapping[str, str], group: str | None = None) -> None:
        self.what = what
        self.group = group
        self._own = dict(entries)
        self._foreign: dict[str, str] | None = None if group else {}

    def __getitem__(self, name: str) -> str:
        if name in self._own:  # asking for one of ours must not cost a look at every installed package
            return self._own[name]
        everything = self._everything()
        if name not in everything:
            near = did_you_mean(name, everything)
            raise BadValue(f"{name!r} is no {self.what}.{near} There are: {', '.join(everything)}.")
        return everything[name]

    def __contains__(self, name: object) -> bool:
        return name in self._own or name in self._everything()

    def __iter__(self) -> Iterator[str]:
        return iter(self._everything())

    def __len__(self) -> int:
        return len(self._everything())

    def load(self, name: str) -> Any:
        """Imports what `name` stands for.

        Raises:
            BadValue: there is no such name, or what it stands for cannot be imported.
        """
        return resolve(self[name])

    def _everything(self) -> dict[str, str]:
        if self._foreign is None:
            self._foreign = _entry_points(self.what, self.group or "", self._own)
        return {**self._own, **self._foreign}


def _entry_points(what: str, group: str, own: Mapping[str, str]) -> dict[str, str]:
    from importlib.metadata import entry_points

    found: dict[str, str] = {}
    for point in entry_points(group=group):
        fault = _entry_point_fault(point.name, point.value, own)
        if fault:
            warnings.warn(f"The {what} {point.name!r} of another package is left out: {fault}", GridRLWarning, 3)
        else:
            found[point.name] = point.value
    return dict(sorted(found.items()))


def _entry_point_fault(name: str, value: str, own: Mapping[str, str]) -> str | None:
    from importlib.util import find_spec

    module, _, attribute = value.partition(":")
    if not (attribute and all(part.isidentifier() for part in [*module.split("."), *attribute.split(".")])):
        return f"{value!r} is not of the form 'module:attribute'."
    if name in own:
        return "gridrl has one of this name."
    try:
        missing = find_spec(module.split(".")[0]) is None
    except (ImportError, ValueError):
        missing = True
    return f"there is no module {module.split('.')[0]!r}." if missing else None
