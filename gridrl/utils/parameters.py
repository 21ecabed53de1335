"""What is known of a function: its parameters and what it says of itself."""

from __future__ import annotations

import enum
import inspect
from dataclasses import dataclass
from typing import Any


class Special(enum.Enum):
    """What stands for a default that is no plain value."""

    NO_LITERAL = "a default that is no literal"
    REQUIRED = "no default"

    def __repr__(self) -> str:
        return self.name


NO_LITERAL = Special.NO_LITERAL
"""The parameter has a default that only running the code could tell; its text is known."""
REQUIRED = Special.REQUIRED
"""The parameter has no default."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of a function.

    Attributes:
        name: its name.
        kind: how it can be given: `inspect.Parameter.POSITIONAL_OR_KEYWORD` and so on.
        annotation: its type as typed, None where there is none.
        default_text: its default as typed, None where there is none.
        default: the default's value where that is a literal, else `NO_LITERAL` or `REQUIRED`.
        doc: what the docstring says of it, "" where it says nothing.
        default_target: the `"module:qualname"` of a default that is a function or class.
    """

    name: str
    kind: enum.IntEnum
    annotation: str | None = None
    default_text: str | None = None
    default: Any = REQUIRED
    doc: str = ""
    default_target: str | None = None


@dataclass(frozen=True)
class Signature:
    """What a function takes and says of itself.

    Attributes:
        name: its qualified name where it is defined.
        module: the module where it is defined, or the path of its file where it was asked for by path.
        params: its parameters in order, `*args` and `**kwargs` left out.
        summary: the first paragraph of its docstring.
        doc: its whole docstring.
        grows: the parameters that may be raised to go on with a finished run (see `gridrl.signature.grows`).
        actions: the only kind of action space that it can serve (see `gridrl.signature.acts_in`), None where it does
            not say.
        has_var_keyword: whether it takes keywords beyond `params`: `**kwargs`, or a signature that cannot be read.
    """

    name: str
    module: str
    params: tuple[Parameter, ...]
    summary: str = ""
    doc: str = ""
    grows: frozenset[str] = frozenset()
    actions: str | None = None
    has_var_keyword: bool = False

    @property
    def target(self) -> str:
        """`"module:qualname"` of the definition, whatever name it was asked for by."""
        return f"{self.module}:{self.name}"

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters that can be given by name."""
        return tuple(param.name for param in self.params if param.kind != inspect.Parameter.POSITIONAL_ONLY)

    def get(self, name: str) -> Parameter | None:
        """The parameter of that name, None where there is none."""
        return next((param for param in self.params if param.name == name), None)

    def takes(self, name: str) -> bool:
        """Whether a call may give `name=...`."""
        return self.has_var_keyword or name in self.names
