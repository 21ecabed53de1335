"""Signatures read from syntax trees."""

from __future__ import annotations

import ast
import enum
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gridrl.errors import BadValue
from gridrl.utils.docstrings import Docstring, parse_docstring
from gridrl.utils.parameters import NO_LITERAL, REQUIRED, Parameter, Signature
from gridrl.utils.sources import Definition, FunctionNode, Source, dotted_name, find_definition

_WITHOUT_CONSTRUCTOR = ("builtins:object", "abc:ABC", "typing:Generic", "typing:Protocol")
_EMPTY_CALLS: Mapping[str, Callable[[], Any]] = {"dict": dict, "list": list, "tuple": tuple, "set": set}


@dataclass(frozen=True)
class _Reader:
    """Turns the syntax of a parameter list into parameters.

    Attributes:
        source: the module around it.
        docs: what its docstring says of each parameter.
    """

    source: Source
    docs: Mapping[str, str]

    def parameters(self, args: ast.arguments) -> list[Parameter]:
        positional = [*args.posonlyargs, *args.args]
        defaults = [None] * (len(positional) - len(args.defaults)) + list(args.defaults)
        found = []
        for index, (arg, default) in enumerate(zip(positional, defaults, strict=True)):
            only = index < len(args.posonlyargs)
            kind = inspect.Parameter.POSITIONAL_ONLY if only else inspect.Parameter.POSITIONAL_OR_KEYWORD
            found.append(self.parameter(arg.arg, kind, arg.annotation, default))
        for arg, keyword_default in zip(args.kwonlyargs, args.kw_defaults, strict=True):
            found.append(self.parameter(arg.arg, inspect.Parameter.KEYWORD_ONLY, arg.annotation, keyword_default))
        return found

    def parameter(
        self, name: str, kind: enum.IntEnum, annotation: ast.expr | None, default: ast.expr | None
    ) -> Parameter:
        dotted = None if default is None else dotted_name(default)
        return Parameter(
            name=name,
            kind=kind,
            annotation=None if annotation is None else self._type_text(annotation),
            default_text=None if default is None else self.source.text_of(default),
            default=REQUIRED if default is None else self._value(default),
            doc=self.docs.get(name, ""),
            default_target=None if dotted is None else self._target(dotted),
        )

    def _type_text(self, node: ast.expr) -> str:
        quoted = isinstance(node, ast.Constant) and isinstance(node.value, str)
        return str(node.value) if quoted else self.source.text_of(node)  # type: ignore[attr-defined]

    def _value(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Name) and isinstance(known := self.source.bindings.get(node.id), ast.expr):
            node = known  # a constant of the module
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            return self._value_of_call(node, node.func.id)
        try:
            return ast.literal_eval(node)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            return NO_LITERAL

    def _value_of_call(self, node: ast.Call, name: str) -> Any:
        """`dict(a=1)`, `list()`, `float("inf")`."""
        keywords = {keyword.arg: self._value(keyword.value) for keyword in node.keywords}
        if name == "dict" and not node.args and None not in keywords and NO_LITERAL not in keywords.values():
            return keywords
        if name in _EMPTY_CALLS and not node.args and not keywords:
            return _EMPTY_CALLS[name]()
        if name == "float" and len(node.args) == 1 and isinstance(text := self._value(node.args[0]), str):
            return float(text)
        return NO_LITERAL

    def _target(self, dotted: str) -> str | None:
        if isinstance(self.source.bindings.get(dotted), ast.expr) and not isinstance(
            self.source.bindings[dotted], (ast.Name, ast.Attribute, ast.Lambda)
        ):
            return None  # a constant
        return self.source.target_of(dotted)


def signature_of(definition: Definition, asked: str) -> Signature:
    """The signature of a definition; of a class, its constructor's.

    Args:
        definition: what `find_definition` gave.
        asked: the `"module:qualname"` that it was asked for.
    """
    source, node = definition.source, definition.node
    if source is None or node is None:
        module, _, name = asked.rpartition(":")
        return Signature(name, module, (), has_var_keyword=True)
    return _of_class(definition, node) if isinstance(node, ast.ClassDef) else _of_function(definition, node)


def _of_function(definition: Definition, node: FunctionNode | ast.Lambda) -> Signature:
    source = definition.source
    assert source is not None
    doc = Docstring() if isinstance(node, ast.Lambda) else parse_docstring(ast.get_docstring(node, clean=False))
    decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
    params = _Reader(source, doc.params).parameters(node.args)
    if definition.owner is not None and "classmethod" in map(dotted_name, decorators):
        params = params[1:]
    return Signature(
        name=definition.qualname,
        module=source.module,
        params=tuple(params),
        summary=doc.summary,
        doc=doc.text,
        grows=frozenset(_declared(decorators, "grows")),
        actions=next(iter(_declared(decorators, "acts_in")), None),
        has_var_keyword=node.args.kwarg is not None,
    )


def _declared(decorators: list[ast.expr], mark: str) -> list[str]:
    """The texts that decorators called `mark` are given."""
    calls = (node for node in decorators if isinstance(node, ast.Call))
    marks = (node for node in calls if (dotted_name(node.func) or "").rpartition(".")[2] == mark)
    constants = (arg.value for node in marks for arg in node.args if isinstance(arg, ast.Constant))
    return [value for value in constants if isinstance(value, str)]


def _of_class(definition: Definition, node: ast.ClassDef) -> Signature:
    """The constructor's signature, with the name and words of the class."""
    source = definition.source
    assert source is not None
    doc = parse_docstring(ast.get_docstring(node, clean=False))
    params, is_open = _constructor(definition, node, doc)
    return Signature(definition.qualname, source.module, tuple(params), doc.summary, doc.text, has_var_keyword=is_open)


def _constructor(definition: Definition, node: ast.ClassDef, doc: Docstring) -> tuple[list[Parameter], bool]:
    """The parameters of a class, and whether it takes more keywords: its own, a dataclass's fields, or a base's."""
    source = definition.source
    assert source is not None
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            own = parse_docstring(ast.get_docstring(item, clean=False))
            found = _Reader(source, {**doc.params, **own.params}).parameters(item.args)
            return found[1:], item.args.kwarg is not None
    inherited, is_open = _inherited(definition, node)
    if "dataclass" not in {name.rpartition(".")[2] for name in map(_decorator_name, node.decorator_list)}:
        return inherited, is_open
    fields = {param.name: param for param in inherited}
    fields.update({param.name: param for param in _dataclass_fields(node, _Reader(source, doc.params))})
    return list(fields.values()), is_open


def _decorator_name(node: ast.expr) -> str:
    return dotted_name(node.func if isinstance(node, ast.Call) else node) or ""


def _inherited(definition: Definition, node: ast.ClassDef) -> tuple[list[Parameter], bool]:
    """The constructor of the first base that has one; where a base cannot be read, anything may be given."""
    source = definition.source
    assert source is not None
    for base in node.bases:
        dotted = dotted_name(base.value if isinstance(base, ast.Subscript) else base)
        target = None if dotted is None else source.target_of(dotted)
        if target in _WITHOUT_CONSTRUCTOR:
            continue
        try:
            found = None if target is None else find_definition(target, source.near)
        except BadValue:
            found = None
        if found is None or not isinstance(found.node, ast.ClassDef):
            return [], True
        params, is_open = _constructor(found, found.node, parse_docstring(ast.get_docstring(found.node, clean=False)))
        if params or is_open:
            return params, is_open
    return [], False


def _dataclass_fields(node: ast.ClassDef, reader: _Reader) -> list[Parameter]:
    found = []
    for item in node.body:
        if not (isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)):
            continue
        if "ClassVar" in ast.unparse(item.annotation):
            continue
        default = item.value
        if isinstance(default, ast.Call) and (dotted_name(default.func) or "").rpartition(".")[2] == "field":
            options = {keyword.arg: keyword.value for keyword in default.keywords}
            if isinstance(init := options.get("init"), ast.Constant) and init.value is False:
                continue
            default = options.get("default") or _made_by(options.get("default_factory"))
        found.append(
            reader.parameter(item.target.id, inspect.Parameter.POSITIONAL_OR_KEYWORD, item.annotation, default)
        )
    return found


def _made_by(factory: ast.expr | None) -> ast.expr | None:
    """`list()` for a field with `default_factory=list`."""
    if factory is None:
        return None
    return ast.copy_location(ast.Call(factory, [], []), factory)
