"""The code that a run calls: a hash that changes with what it does, and the user's files that it comes from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gridrl
from gridrl.launch.code_walk import CodeWalk
from gridrl.launch.thunks import Thunk, script_here
from gridrl.utils.user_modules import UserModules, digest, is_users

PROGRAM = "gridrl.launch.program:run_program"
"""The thunk that runs a program, which is then what counts."""

_DIGITS = 12


@dataclass(frozen=True)
class Code:
    """What a run calls.

    Attributes:
        hash: changes with what the code does, not with comments, layout and docstrings.
        files: the user's source files that it comes from, outside of Python, installed packages and gridrl.
    """

    hash: str
    files: tuple[Path, ...] = ()


NO_CODE = Code("")
"""Of a run whose code nobody has looked at."""


def read_code(thunk: Thunk, variant: Mapping[str, Any] | None = None, env_spec: Any = None) -> Code:
    """What a run calls: the thunk and all functions, classes and modules of the user's that it refers to.

    A module that is imported counts as a whole, what a script or notebook defines name by name. Nothing is imported,
    and what cannot be read does not count.

    Args:
        thunk: what the run calls.
        variant: its hyperparameters: functions, classes and references among them count too.
        env_spec: how its environment is registered, where this process has done that.
    """
    return CodeReader().read(thunk, variant, env_spec)


class CodeReader:
    """Reads the code of the runs of a grid; what they share is read once."""

    def __init__(self) -> None:
        self._of_thunks: dict[int, tuple[Thunk, CodeWalk]] = {}

    def read(self, thunk: Thunk, variant: Mapping[str, Any] | None = None, env_spec: Any = None) -> Code:
        """See `read_code`."""
        if id(thunk) not in self._of_thunks:
            self._of_thunks[id(thunk)] = (thunk, _walked(thunk))
        shared = self._of_thunks[id(thunk)][1]
        given = dict(variant or {})
        values = CodeWalk(shared.modules, shared.script)
        if thunk.identity == PROGRAM:
            values.program(given.get("command", ()))
        values.value(given)
        values.environment(given.get("env_name"), env_spec)
        values.finish()
        return Code(
            digest(json.dumps(sorted(shared.parts | values.parts)))[:_DIGITS],
            tuple(sorted(shared.files | values.files)),
        )


def _walked(thunk: Thunk) -> CodeWalk:
    """All that a thunk refers to."""
    where, _, name = thunk.identity.rpartition(":")
    if isinstance(thunk.target, str) and where.endswith(".py"):
        walk = CodeWalk(UserModules(Path(where).parent), Path(where))
        walk.script_name(name.partition(".")[0])
    elif thunk.is_importable:
        walk = CodeWalk(UserModules())
        walk.module(where)
        if where.partition(".")[0] == "gridrl":
            walk.parts.add((f"gridrl {gridrl.__version__}", where))
    else:
        script = Path(script_here())
        has_script = script.suffix == ".py" and is_users(script)
        walk = CodeWalk(UserModules(script.parent), script) if has_script else CodeWalk(UserModules())
    if not isinstance(thunk.target, str):
        walk.value(thunk.target)
    walk.finish()
    return walk
