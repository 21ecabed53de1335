"""What the runs of a grid are going to import, found without importing it, so that a fork server can do that once."""

from __future__ import annotations

import dis
import io
import re
import types
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from gridrl.build import Reference
from gridrl.launch.payload import Payload
from gridrl.utils.callables import callable_path

_MOST_LOOKED_AT = 64  # payloads: the runs of a grid differ in their values, seldom in what they import
_ENVIRONMENT = re.compile(r"[\w./-]+(:[\w./-]+)?-v\d+")
_BUILDS_OPTIMISERS = "torch.optim"


@dataclass
class Preload:
    """What a fork server imports before it forks.

    Attributes:
        imports: modules, each with the names that are taken from it: these may be modules too.
        names: `"module:function"`, `"file.py:function"`, `"torch.nn.ReLU"`; their modules are imported, and what the
            functions import when they are called.
        environments: what may be ids of gymnasium's environments.
        optimises: whether an optimiser of torch's is built.
    """

    imports: dict[str, set[str]] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    environments: set[str] = field(default_factory=set)
    optimises: bool = False

    def as_json(self) -> dict[str, Any]:
        """The form in which it travels."""
        imports = {module: sorted(names) for module, names in sorted(self.imports.items())}
        return {
            "imports": imports,
            "names": sorted(self.names),
            "environments": sorted(self.environments),
            "optimises": self.optimises,
        }

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Preload:
        """What `as_json` gave."""
        imports = {module: set(names) for module, names in found["imports"].items()}
        return cls(imports, set(found["names"]), set(found["environments"]), found["optimises"])

    def add_import(self, module: str, names: Iterable[str] = ()) -> None:
        """Adds a module, with what is taken from it."""
        self.imports.setdefault(module, set()).update(names)
        self.optimises |= module.startswith(_BUILDS_OPTIMISERS)

    def add_code(self, code: types.CodeType, package: str = "") -> None:
        """Adds what a function's code imports, names as environments, or says of optimisers; inner functions too.

        Args:
            code: of the function.
            package: where its relative imports start from.
        """
        for module, names in _imports_in(code, package):
            self.add_import(module, names)
        self.optimises |= "optim" in code.co_names
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                self.add_code(constant, package)
            elif isinstance(constant, str) and _ENVIRONMENT.fullmatch(constant):
                self.environments.add(constant)

    def add_function(self, function: types.FunctionType) -> None:
        """Adds what a function needs when it is called."""
        self.add_code(function.__code__, str(function.__globals__.get("__package__") or ""))
        for default in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
            self.optimises |= str(getattr(default, "__module__", "")).startswith(_BUILDS_OPTIMISERS)


def _imports_in(code: types.CodeType, package: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    steps = list(dis.get_instructions(code))
    for place, step in enumerate(steps):
        if step.opname != "IMPORT_NAME" or place < 2:
            continue
        level, names = steps[place - 2].argval, steps[place - 1].argval
        module = str(step.argval)
        if isinstance(level, int) and level > 0:
            parts = package.split(".")
            module = ".".join(part for part in (*parts[: len(parts) - level + 1], module) if part)
        if module:
            yield module, tuple(name for name in names or () if name != "*")


def find_preload(payloads: Iterable[Payload]) -> Preload:
    """What the runs with these payloads import, as far as their pickles and the code of their functions tell."""
    preload = Preload()
    seen: set[int] = set()
    for place, payload in enumerate(payloads):
        if place == _MOST_LOOKED_AT:
            break
        _add_payload(preload, payload, seen)
    return preload


def _add_payload(preload: Preload, payload: Payload, seen: set[int]) -> None:
    if isinstance(payload.thunk, str):
        preload.names.add(payload.thunk)
    elif id(payload.thunk) not in seen:
        seen.add(id(payload.thunk))
        _add_pickled(preload, payload.thunk)
        path = callable_path(payload.thunk)
        if path is not None:
            preload.names.add(path)
    _add_pickled(preload, dict(payload.keywords))
    if payload.environment is not None:
        name, kwargs = payload.environment
        preload.add_import("gridrl.envs.making")
        preload.environments.add(str(name))
        _add_pickled(preload, [dict(kwargs), payload.env_spec])
        entry = getattr(payload.env_spec, "entry_point", None)
        preload.names |= {entry} if isinstance(entry, str) else set()
    preload.environments |= {
        value for value in payload.keywords.values() if isinstance(value, str) and _ENVIRONMENT.fullmatch(value)
    }


def _add_pickled(preload: Preload, value: Any) -> None:
    """Adds what is imported where a value is unpickled, and what the functions in it import that travel as code."""
    import cloudpickle

    class Watching(cloudpickle.Pickler):  # type: ignore[misc]
        """Sees each object on its way into the pickle."""

        def reducer_override(self, obj: Any) -> Any:
            _notice(preload, obj)
            return super().reducer_override(obj)

    Watching(io.BytesIO()).dump(value)


def _notice(preload: Preload, obj: Any) -> None:
    if isinstance(obj, Reference):
        preload.names.add(obj.path)
    elif isinstance(obj, types.ModuleType):
        preload.add_import(obj.__name__)
    elif isinstance(obj, types.FunctionType) and callable_path(obj) is None:
        preload.add_function(obj)
    else:
        named = obj if callable_path(obj) is not None else type(obj)
        path = callable_path(named)
        if path is not None and not path.startswith(("builtins:", "types:")):
            preload.add_import(path.partition(":")[0])
