"""Python source reduced to what it does: comments, layout and docstrings do not count, nor what only type checkers
read."""

from __future__ import annotations

import ast
import symtable
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property


@dataclass(frozen=True)
class Imported:
    """What one import statement asks for.

    Attributes:
        module: the module, empty for `from . import name`.
        level: how many dots stand before it.
        names: what is taken from it, none where it is bound as a whole.
    """

    module: str
    level: int = 0
    names: tuple[str, ...] = ()

    def base(self, package: str) -> str:
        """The absolute name of the module, empty where a relative one leads out of its package.

        >>> Imported("steps", 2).base("lab.nets")
        'lab.steps'

        Args:
            package: what relative imports start from.
        """
        if not self.level:
            return self.module
        parts = package.split(".") if package else []
        if self.level > len(parts):
            return ""
        return ".".join([*parts[: len(parts) - self.level + 1], *([self.module] if self.module else [])])


def plain_tree(text: str, *, is_main: bool) -> ast.Module:
    """Parses a module and leaves out what changes nothing of what it does.

    Args:
        text: its source.
        is_main: whether it runs as a script; otherwise what stands below `if __name__ == "__main__"` goes too.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: it is not Python, or too much of it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the interpreter that runs it tells of odd escapes
        tree = ast.parse(text)
    plain = _Plain(is_main).visit(tree)
    assert isinstance(plain, ast.Module)
    return plain


class _Plain(ast.NodeTransformer):
    """Takes docstrings and other bare texts out, and blocks that never run."""

    def __init__(self, is_main: bool) -> None:
        self._is_main = is_main

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if is_text else self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        if _is_for_type_checkers(node.test) or (not self._is_main and _is_for_scripts(node.test)):
            otherwise = self.generic_visit(ast.Module(node.orelse, []))
            return otherwise.body if isinstance(otherwise, ast.Module) else []
        return self.generic_visit(node)

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        if getattr(node, "body", None) == [] and not isinstance(node, ast.Module):
            node.body = [ast.Pass()]  # type: ignore[attr-defined]
        return node


def _is_for_type_checkers(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def _is_for_scripts(test: ast.expr) -> bool:
    return isinstance(test, ast.Compare) and ast.unparse(test) in (
        "__name__ == '__main__'",
        "'__main__' == __name__",
    )


def imports_in(node: ast.AST) -> Iterator[Imported]:
    """What a piece of source imports, wherever in it, also by `importlib.import_module("name")`."""
    for part in ast.walk(node):
        if isinstance(part, ast.Import):
            yield from (Imported(alias.name) for alias in part.names)
        elif isinstance(part, ast.ImportFrom):
            names = tuple(alias.name for alias in part.names if alias.name != "*")
            yield Imported(part.module or "", part.level, names)
        elif isinstance(part, ast.Call) and part.args:
            called = part.func.attr if isinstance(part.func, ast.Attribute) else getattr(part.func, "id", "")
            first = part.args[0]
            if called in ("import_module", "__import__") and isinstance(first, ast.Constant):
                yield Imported(str(first.value).lstrip("."))


@dataclass(eq=False)
class Piece:
    """A statement at the top level of a module that has to do with a name.

    Attributes:
        node: the statement.
        around: of the blocks around it, the conditions, loops and contexts.
    """

    node: ast.stmt
    around: tuple[ast.AST, ...] = ()

    @cached_property
    def text(self) -> str:
        """What it says, without layout."""
        return "\n".join(ast.unparse(part) for part in (*self.around, self.node))

    @cached_property
    def names(self) -> frozenset[str]:
        """The names of other things that it uses."""
        return frozenset(name for part in (*self.around, self.node) for name in outer_names(ast.unparse(part)))

    @cached_property
    def imports(self) -> tuple[Imported, ...]:
        """What it imports."""
        return tuple(found for part in (*self.around, self.node) for found in imports_in(part))


def outer_names(text: str) -> set[str]:
    """The names that a piece of source uses and does not bind in a scope of its own.

    >>> sorted(outer_names("def f(x, y=START):\\n    z = 1\\n    return step(x, y, z)"))
    ['START', 'step']
    """
    table = symtable.symtable(text, "<piece>", "exec")
    found = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_referenced()}
    scopes = list(table.get_children())
    while scopes:
        scope = scopes.pop()
        found |= {symbol.get_name() for symbol in scope.get_symbols() if symbol.is_global()}
        scopes += scope.get_children()
    return found


@dataclass(eq=False)
class Pieces:
    """The top level of a script, name by name.

    Attributes:
        bound: the statements that define a name or change what it stands for, in order.
        stars: the modules that it imports everything from.
        lines: where functions and classes begin, decorators included, each with its name.
    """

    bound: dict[str, list[Piece]] = field(default_factory=dict)
    stars: list[Imported] = field(default_factory=list)
    lines: set[tuple[int, str]] = field(default_factory=set)

    @classmethod
    def of(cls, tree: ast.Module) -> Pieces:
        """Takes a module apart, see `plain_tree`."""
        pieces = cls()
        pieces._take(tree.body, ())
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                pieces.lines.add((first_line(node), node.name))
        return pieces

    def _take(self, body: Sequence[ast.stmt], around: tuple[ast.AST, ...]) -> None:
        for node in body:
            heads = _heads(node)
            for block in _blocks(node):
                self._take(block, (*around, *heads))
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                self._take_import(node, around)
            elif heads:
                for head in heads:
                    self._bind(_names_in(head), Piece(ast.Expr(head) if isinstance(head, ast.expr) else head, around))
            elif not isinstance(node, (ast.Try, ast.TryStar)):
                self._bind(_bound_by(node), Piece(node, around))

    def _take_import(self, node: ast.Import | ast.ImportFrom, around: tuple[ast.AST, ...]) -> None:
        for alias in node.names:
            if alias.name == "*" and isinstance(node, ast.ImportFrom):
                self.stars.append(Imported(node.module or "", node.level))
                continue
            alone: ast.stmt = ast.Import([alias])
            if isinstance(node, ast.ImportFrom):
                alone = ast.ImportFrom(node.module, [alias], node.level)
            self._bind([alias.asname or alias.name.partition(".")[0]], Piece(alone, around))

    def _bind(self, names: Sequence[str], piece: Piece) -> None:
        for name in dict.fromkeys(names):
            self.bound.setdefault(name, []).append(piece)


def first_line(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> int:
    """Where a definition begins, its decorators included, as its code object says too."""
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


def _heads(node: ast.stmt) -> Sequence[ast.expr | ast.stmt]:
    """What decides whether and with what the block of a statement runs; none where it has no block."""
    if isinstance(node, (ast.If, ast.While)):
        return [node.test]
    if isinstance(node, (ast.For, ast.AsyncFor)):
        return [ast.Assign([node.target], node.iter, lineno=node.lineno)]
    if isinstance(node, (ast.With, ast.AsyncWith)):
        return [
            item.context_expr
            if item.optional_vars is None
            else ast.Assign([item.optional_vars], item.context_expr, lineno=node.lineno)
            for item in node.items
        ]
    return [node.subject] if isinstance(node, ast.Match) else []


def _blocks(node: ast.stmt) -> Iterator[list[ast.stmt]]:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return
    for holder in (node, *getattr(node, "handlers", ()), *getattr(node, "cases", ())):
        for name in ("body", "orelse", "finalbody"):
            yield getattr(holder, name, [])


def _bound_by(node: ast.stmt) -> list[str]:
    """The names that a simple statement defines, or whose things it changes in place."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return [node.name]
    names = _names_in(node)
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Attribute):
        names += _root(node.value.func)  # `LAYERS.append(64)`
    return names


def _names_in(node: ast.AST) -> list[str]:
    """The names that are assigned to in a piece of source, `x` for `x.y = 1` and `x[0] = 1` too."""
    return [
        name
        for part in ast.walk(node)
        if isinstance(part, (ast.Name, ast.Attribute, ast.Subscript)) and isinstance(part.ctx, (ast.Store, ast.Del))
        for name in _root(part)
    ]


def _root(node: ast.expr) -> list[str]:
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return [node.id] if isinstance(node, ast.Name) else []
