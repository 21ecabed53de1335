"""What a function takes, read from its source: its module is not imported, so help needs no torch."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Literal, TypeVar

from gridrl.utils.callables import callable_path, readable_name
from gridrl.utils.docstrings import Docstring, parse_docstring
from gridrl.utils.parameters import NO_LITERAL, REQUIRED, Parameter, Signature
from gridrl.utils.sources import find_definition
from gridrl.utils.syntax import signature_of

__all__ = ["NO_LITERAL", "REQUIRED", "Parameter", "Signature", "acts_in", "grows", "read_signature"]

F = TypeVar("F", bound=Callable[..., Any])
_GROWS = "__gridrl_grows__"
_ACTIONS = "__gridrl_actions__"
_PLAIN = (str, bytes, bool, int, float, complex, type(None))


def grows(*keys: str) -> Callable[[F], F]:
    """Declares parameters that only prolong a run, such as `epochs`: raising one goes on from the checkpoint.

    >>> @grows("epochs")
    ... def train(epochs=10): ...
    >>> sorted(read_signature(train).grows)
    ['epochs']
    """

    def mark(function: F) -> F:
        setattr(function, _GROWS, frozenset(keys))
        return function

    return mark


def acts_in(kind: Literal["Box", "Discrete"]) -> Callable[[F], F]:
    """Declares the only kind of action space that an algorithm can serve, so that others are told before a run starts.

    >>> @acts_in("Box")
    ... def train(env_fn): ...
    >>> read_signature(train).actions
    'Box'
    """

    def mark(function: F) -> F:
        setattr(function, _ACTIONS, kind)
        return function

    return mark


def read_signature(target: str | Callable[..., Any]) -> Signature:
    """What a function or class takes; of a class, what its constructor takes.

    Args:
        target: `"module:qualname"` or `"file.py:name"`, read from the source without importing it, through
            re-exports, aliases and base classes; or the function itself.

    Raises:
        BadValue: there is no such module, file or name.
    """
    if callable(target):
        return _of_callable(target)
    return signature_of(find_definition(target), target)


def _of_callable(function: Callable[..., Any]) -> Signature:
    doc = parse_docstring(inspect.getdoc(function))
    if isinstance(function, type):
        constructor = parse_docstring(getattr(function.__init__, "__doc__", None))  # type: ignore[misc]
        doc = Docstring(doc.summary, doc.text, {**doc.params, **constructor.params})
    module, _, name = (callable_path(function) or f"{getattr(function, '__module__', '')}:").partition(":")
    name = name or getattr(function, "__qualname__", type(function).__qualname__)
    inner = function.func if isinstance(function, functools.partial) else function
    growing: frozenset[str] = getattr(inner, _GROWS, frozenset())
    actions: str | None = getattr(inner, _ACTIONS, None)
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # compiled, without a text signature
        return Signature(name, module, (), doc.summary, doc.text, growing, actions, has_var_keyword=True)
    kinds = [param.kind for param in signature.parameters.values()]
    return Signature(
        name=name,
        module=module,
        params=tuple(
            _live_parameter(param, doc.params.get(param.name, ""))
            for param in signature.parameters.values()
            if param.kind not in (param.VAR_POSITIONAL, param.VAR_KEYWORD)
        ),
        summary=doc.summary,
        doc=doc.text,
        grows=growing,
        actions=actions,
        has_var_keyword=inspect.Parameter.VAR_KEYWORD in kinds,
    )


def _live_parameter(param: inspect.Parameter, doc: str) -> Parameter:
    value = param.default
    has_default = value is not param.empty
    target = callable_path(value) if has_default and callable(value) else None
    literal = has_default and _is_literal(value)
    return Parameter(
        name=param.name,
        kind=param.kind,
        annotation=None if param.annotation is param.empty else _annotation_text(param.annotation),
        default_text=None if not has_default else repr(value) if literal else readable_name(value),
        default=REQUIRED if not has_default else value if literal else NO_LITERAL,
        doc=doc,
        default_target=target,
    )


def _annotation_text(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def _is_literal(value: Any) -> bool:
    if type(value) is dict:
        return all(_is_literal(part) for pair in value.items() for part in pair)
    if type(value) in (list, tuple, set):
        return all(_is_literal(part) for part in value)
    return type(value) in _PLAIN
