"""What a parameter takes, read from the text of its annotation; nothing is imported for it."""

from __future__ import annotations

import ast
import numbers
import os
from collections.abc import Callable, Mapping
from typing import Any

from gridrl.build import Reference

_SEQUENCES = frozenset({"list", "tuple", "Sequence", "Iterable", "Collection", "List", "Tuple", "MutableSequence"})
_MAPPINGS = frozenset({"dict", "Mapping", "MutableMapping", "Dict"})
_FUNCTIONS = frozenset({"Callable", "type", "Type"})
_ANYTHING = frozenset({"Any", "object"})

Node = ast.expr | None


class Wanted:
    """What one parameter takes.

    >>> Wanted("int | None").takes(3), Wanted("int | None").takes("abc"), str(Wanted("Sequence[int] | None"))
    (True, False, 'list of int or None')

    Args:
        annotation: its source text; None, or a name that we do not know, takes everything.
    """

    def __init__(self, annotation: str | None) -> None:
        self.annotation = annotation
        self._parts = _parts(_parse(annotation))

    def __str__(self) -> str:
        names = list(dict.fromkeys(_describe(part) for part in self._parts))
        return "anything" if not names or "anything" in names else " or ".join(names)

    def takes(self, value: Any) -> bool:
        """Whether `value` fits; whole numbers fit where a float is wanted, True and False are no numbers."""
        return not self._parts or any(_fits(value, part) for part in self._parts)

    @property
    def is_only_text(self) -> bool:
        """Whether text is all that it takes, None aside: such a value is not searched for references."""
        heads = {_head(part) for part in self._parts} - {"None"}
        return bool(heads) and heads <= {"str", "Literal", "Path"}

    @property
    def takes_lists(self) -> bool:
        """Whether lists are among what it takes."""
        return any(_head(part) in _SEQUENCES for part in self._parts)

    @property
    def takes_functions(self) -> bool:
        """Whether classes or functions are among what it takes."""
        return any(_head(part) in _FUNCTIONS for part in self._parts)

    @property
    def choices(self) -> list[Any]:
        """The values of a Literal, in their order."""
        return [value for part in self._parts if _head(part) == "Literal" for value in _literals(part)]

    def adapt(self, value: Any, word: str) -> Any:
        """Reads a value once more where the annotation says how it is meant.

        Args:
            value: what the grammar made of the word.
            word: the word as it was typed.

        Returns:
            The text itself where text is wanted and the literal is not (`--note 123`), the whole number where one is
            wanted (`1e6`); otherwise `value`.
        """
        if self.takes(value):
            return value
        if self.takes(word):
            return word
        if isinstance(value, float) and value.is_integer() and self.takes(int(value)):
            return int(value)
        return value


def _parse(annotation: str | None) -> Node:
    if annotation is None:
        return None
    try:
        return ast.parse(annotation, mode="eval").body
    except SyntaxError:
        return None


def _parts(node: Node) -> list[ast.expr]:
    """The members of a union, with quoted annotations, Optional and Annotated opened up."""
    if node is None:
        return []
    if isinstance(node, ast.BinOp):
        return [*_parts(node.left), *_parts(node.right)]
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return _parts(_parse(node.value))
    head, arguments = _head(node), _arguments(node)
    if head == "Union":
        return [part for argument in arguments for part in _parts(argument)]
    if head == "Optional":
        return [*_parts(arguments[0]), ast.Constant(None)]
    return _parts(arguments[0]) if head in ("Annotated", "Final") and arguments else [node]


def _head(node: ast.expr) -> str:
    """The last name of a type: `Sequence` of `collections.abc.Sequence[int]`."""
    if isinstance(node, ast.Subscript):
        return _head(node.value)
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Constant):
        return str(node.value)
    return node.id if isinstance(node, ast.Name) else ""


def _arguments(node: ast.expr) -> list[ast.expr]:
    if not isinstance(node, ast.Subscript):
        return []
    return list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]


def _literals(node: ast.expr) -> list[Any]:
    return [argument.value for argument in _arguments(node) if isinstance(argument, ast.Constant)]


def _fits(value: Any, node: ast.expr) -> bool:
    head = _head(node)
    if head in _SCALARS:
        return _SCALARS[head](value)
    if head == "Literal":
        return any(value == choice and type(value) is type(choice) for choice in _literals(node))
    if head in _SEQUENCES:
        return isinstance(value, Reference) or _fits_sequence(value, node)
    if head in _MAPPINGS:
        return isinstance(value, (Mapping, Reference))
    if head in _FUNCTIONS:
        return isinstance(value, Reference) or callable(value)
    return True


def _fits_sequence(value: Any, node: ast.expr) -> bool:
    if isinstance(getattr(value, "shape", None), tuple) and hasattr(value, "tolist"):  # an array
        value = value.tolist()
    if not isinstance(value, (list, tuple, range)):
        return False
    inner = [argument for argument in _arguments(node) if not _is_ellipsis(argument)]
    if _head(node).lower() == "tuple" and len(inner) == len(_arguments(node)) > 0:  # tuple[int, float]: one each
        return len(value) == len(inner) and all(
            any(_fits(item, part) for part in _parts(kind)) for item, kind in zip(value, inner, strict=True)
        )
    return not inner or all(any(_fits(item, part) for part in _parts(inner[0])) for item in value)


def _is_ellipsis(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is Ellipsis


def _describe(node: ast.expr) -> str:
    head = _head(node)
    if head in _SEQUENCES:
        inner = [argument for argument in _arguments(node) if not _is_ellipsis(argument)]
        kinds = dict.fromkeys(" or ".join(_describe(part) for part in _parts(kind)) for kind in inner)
        return f"list of {', '.join(kinds)}" if kinds else "list"
    if head == "Literal":
        return " or ".join(map(repr, _literals(node)))
    named = {**dict.fromkeys(_MAPPINGS, "dict"), **dict.fromkeys(_ANYTHING, "anything"), "Callable": "function"}
    return named.get(head, "class" if head in _FUNCTIONS else head or "anything")


def _is_number(value: Any, kind: type) -> bool:
    # numpy's numbers are registered as Integral and Real; its bool is neither
    return isinstance(value, kind) and not isinstance(value, bool)


_SCALARS: dict[str, Callable[[Any], bool]] = {
    "int": lambda value: _is_number(value, numbers.Integral),
    "float": lambda value: _is_number(value, numbers.Real),
    "bool": lambda value: isinstance(value, bool) or type(value).__name__ in ("bool_", "bool"),
    "str": lambda value: isinstance(value, str),
    "Path": lambda value: isinstance(value, (str, os.PathLike)),
    "None": lambda value: value is None,
}
