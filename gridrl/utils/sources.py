"""Where a function or class is defined, found in source files that are parsed and never executed."""

from __future__ import annotations

import ast
import builtins
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

from gridrl.errors import BadValue, did_you_mean
from gridrl.utils.locate import find_module, python_file_in

_LITERALS = (ast.Constant, ast.List, ast.Tuple, ast.Dict, ast.Set, ast.JoinedStr)
FunctionNode: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Import:
    """A name bound by an import: `from module import name`, or a whole module where `name` is None."""

    module: str
    name: str | None


@dataclass
class Source:
    """A parsed module.

    Attributes:
        module: its dotted name, or the path of a file that was asked for by path.
        path: its file.
        bindings: what each name at its top level was bound to.
        stars: the modules that it imports everything from.
    """

    module: str
    path: Path
    lines: list[str]
    bindings: dict[str, ast.AST | Import] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)

    @property
    def near(self) -> Path | None:
        """Where a file that was asked for by path finds its neighbours, None for a module of Python's path."""
        return self.path.parent if self.module.endswith(".py") else None

    @property
    def package(self) -> str:
        """What its relative imports start from."""
        return self.module if self.path.name == "__init__.py" else self.module.rpartition(".")[0]

    def text_of(self, node: ast.AST) -> str:
        """An expression as it was typed; one over several lines is put on one."""
        first, last = getattr(node, "lineno", 0), getattr(node, "end_lineno", -1)
        if first != last:
            return ast.unparse(node)
        line = self.lines[first - 1].encode()
        return line[node.col_offset : node.end_col_offset].decode()  # type: ignore[attr-defined]

    def target_of(self, dotted: str) -> str | None:
        """The `"module:qualname"` that a name used in this module stands for, None where that cannot be told."""
        head, _, rest = dotted.partition(".")
        binding = self.bindings.get(head)
        if binding is None:
            return f"builtins:{dotted}" if hasattr(builtins, head) else None
        if not isinstance(binding, Import):
            return f"{self.module}:{dotted}"
        if binding.name is None:
            return f"{binding.module}:{rest}" if rest else None
        return f"{binding.module}:{binding.name}{'.' if rest else ''}{rest}"


@dataclass(frozen=True)
class Definition:
    """A function or class in its module.

    Attributes:
        source: the module where it is defined.
        qualname: its name there, with its classes.
        node: its syntax; None where the name is bound to something that cannot be read without executing it.
        owner: the class around a method.
    """

    source: Source | None
    qualname: str
    node: FunctionNode | ast.ClassDef | ast.Lambda | None
    owner: ast.ClassDef | None = None


def find_definition(target: str, near: Path | None = None) -> Definition:
    """Finds `"module:qualname"` or `"file.py:qualname"`, through re-exports and aliases, without importing anything.

    Args:
        target: the name.
        near: a directory to look for modules in before Python's path.

    Raises:
        BadValue: no such module, file or name (a near match is told), or the source is not Python.
    """
    where, _, qualname = target.rpartition(":")
    if not (where and qualname and all(part.isidentifier() for part in qualname.split("."))):
        raise BadValue(f"{target!r} is neither 'module:function' nor 'file.py:function'.")
    source = load_source(where, near)
    if source is None:
        return Definition(None, qualname, None)
    return _look_up(source, qualname, frozenset())


def load_source(module: str, near: Path | None = None) -> Source | None:
    """Parses a module (or a file, where the name ends in `.py`); None where it has no Python source."""
    path = _existing_file(module) if module.endswith(".py") else find_module(module, near)
    if path is None:
        return None
    state = path.stat()
    return _parse(module, path, state.st_mtime_ns, state.st_size)


def _existing_file(name: str) -> Path:
    path = Path(name).expanduser().absolute()
    if not path.is_file():
        near = did_you_mean(path.name, sorted(found.name for found in path.parent.glob("*.py")))
        raise BadValue(f"{name}: there is no such file.{near}")
    return path


@lru_cache(maxsize=256)
def _parse(module: str, path: Path, _changed_ns: int, _size: int) -> Source:
    try:
        with tokenize.open(path) as file:  # heeds an encoding line
            text = file.read()
        tree = ast.parse(text, str(path))
    except SyntaxError as error:
        raise BadValue(f"{path}, line {error.lineno}: {error.msg}") from error
    except (UnicodeDecodeError, ValueError) as error:
        raise BadValue(f"{path} is not Python: {error}") from error
    source = Source(module, path, text.split("\n"))
    for node in _statements(tree.body):
        _bind(source, node)
    return source


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements at the top level, also of `if` and `try` around them, in order."""
    for node in body:
        if isinstance(node, ast.If):
            yield from _statements(node.orelse)
            yield from _statements(node.body)
        elif isinstance(node, ast.Try):  # what stands under `except` is the worse choice: first, to be bound over
            for handler in node.handlers:
                yield from _statements(handler.body)
            yield from _statements([*node.body, *node.orelse, *node.finalbody])
        elif isinstance(node, ast.With):
            yield from _statements(node.body)
        else:
            yield node


def _bind(source: Source, node: ast.stmt) -> None:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        source.bindings[node.name] = node
    elif isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Name):
                source.bindings[target.id] = node.value
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
        source.bindings[node.target.id] = node.value
    elif isinstance(node, ast.Import):
        for alias in node.names:
            top = alias.name.partition(".")[0]
            source.bindings[alias.asname or top] = Import(alias.name if alias.asname else top, None)
    elif isinstance(node, ast.ImportFrom):
        _bind_from(source, node)


def _bind_from(source: Source, node: ast.ImportFrom) -> None:
    base = node.module or ""
    if node.level:
        package = source.package.split(".")
        base = ".".join([*package[: len(package) - node.level + 1], *([node.module] if node.module else [])])
    for alias in node.names:
        if alias.name == "*":
            source.stars.append(base)
        else:
            source.bindings[alias.asname or alias.name] = Import(base, alias.name)


def _look_up(source: Source, qualname: str, seen: frozenset[tuple[str, str]]) -> Definition:
    head, _, rest = qualname.partition(".")
    if (source.module, qualname) in seen:  # names that are imported in a circle
        return Definition(source, qualname, None)
    seen = seen | {(source.module, qualname)}
    binding = source.bindings.get(head)
    if binding is None or binding == Import(source.module, head):  # a package's `from package import submodule`
        return _look_elsewhere(source, qualname, seen)
    if isinstance(binding, Import):
        return _follow(source, binding, rest, seen)
    if isinstance(binding, (ast.Name, ast.Attribute)):
        dotted = dotted_name(binding)
        return _look_up(source, f"{dotted}.{rest}".rstrip("."), seen) if dotted else Definition(source, qualname, None)
    return _inside(source, binding, qualname)


def _inside(source: Source, node: ast.AST, qualname: str) -> Definition:
    owner: ast.ClassDef | None = None
    for part in qualname.split(".")[1:]:
        if not isinstance(node, ast.ClassDef):
            return Definition(source, qualname, None)
        methods = {item.name: item for item in node.body if isinstance(item, (ast.FunctionDef, ast.ClassDef))}
        if part not in methods:
            raise BadValue(f"{source.module}:{qualname}: {node.name} has no {part!r}.{did_you_mean(part, methods)}")
        owner, node = node, methods[part]
    if isinstance(node, _LITERALS):
        raise BadValue(f"{source.module}:{qualname} is no function but the value {source.text_of(node)}.")
    readable = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda))
    return Definition(source, qualname, node if readable else None, owner)  # type: ignore[arg-type]


def _follow(source: Source, binding: Import, rest: str, seen: frozenset[tuple[str, str]]) -> Definition:
    qualname = ".".join(part for part in (binding.name, rest) if part)
    if not qualname:
        raise BadValue(f"{source.module}: {binding.module} is a module, not a function.")
    found = load_source(binding.module, source.near)
    return Definition(None, qualname, None) if found is None else _look_up(found, qualname, seen)


def _look_elsewhere(source: Source, qualname: str, seen: frozenset[tuple[str, str]]) -> Definition:
    """A name that the module does not bind itself: from a star import, or a submodule."""
    head, _, rest = qualname.partition(".")
    starred = [load_source(star, source.near) for star in source.stars]
    for module in starred:
        if module is not None and head in _names(module, frozenset()):
            return _look_up(module, qualname, seen)
    if source.path.name == "__init__.py" and python_file_in(source.path.parent, head):
        return _follow(source, Import(f"{source.module}.{head}", None), rest, seen)
    if None in starred:  # it may come out of compiled code
        return Definition(None, qualname, None)
    near = did_you_mean(head, _names(source, frozenset()))
    raise BadValue(f"{source.module}:{qualname}: {source.path} has no {head!r}.{near}")


def _names(source: Source, seen: frozenset[str]) -> list[str]:
    """What a module binds and could be called, with what its star imports bring."""
    found = [name for name, node in source.bindings.items() if not isinstance(node, ast.Constant)]
    for star in source.stars:
        module = None if star in seen else load_source(star, source.near)
        if module is not None:
            found += _names(module, seen | {source.module, star})
    return found


def dotted_name(node: ast.AST) -> str | None:
    """`"nn.Tanh"` for the expression of that text, None for any other kind of expression."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        holder = dotted_name(node.value)
        return f"{holder}.{node.attr}" if holder else None
    return None
