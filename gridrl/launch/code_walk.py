"""Follows code to all that it refers to: functions, classes, constants and modules of the user's."""

from __future__ import annotations

import builtins
import contextlib
import os
import sys
import types
from collections import deque
from pathlib import Path
from typing import Any

from gridrl.build import Reference
from gridrl.launch.preload import Preload
from gridrl.launch.thunks import script_here
from gridrl.utils.callables import MAIN_MODULES, callable_path, closure
from gridrl.utils.live_code import (
    class_source,
    described,
    function_source,
    holds_state,
    parts_of,
    unwrapped,
    used_globals,
)
from gridrl.utils.plain_code import Imported
from gridrl.utils.user_modules import UserModules, digest, module_code, script_pieces

_DEEPEST = 12
_LARGEST_BYTES = 20 * 2**20
_OF_THE_SYSTEM = tuple(map(Path, ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/opt")))
_ATOMS = (str, bytes, int, float, complex, type(None))


class CodeWalk:
    """Follows code to all that it refers to.

    Args:
        modules: finds the user's modules.
        script: the script whose names count one by one.

    Attributes:
        parts: what was found: what it is called, and the hash of what it says.
        files: where it was found.
    """

    def __init__(self, modules: UserModules, script: Path | None = None) -> None:
        self.modules = modules
        self.parts: set[tuple[str, str]] = set()
        self.files: set[Path] = set()
        self.script = script
        self._pieces = script_pieces(self.script) if self.script is not None else None
        self._names: set[str] = set()
        self._names_to_do: deque[str] = deque()
        self._modules: set[str] = set()
        self._modules_to_do: deque[str] = deque()
        self._objects: dict[int, Any] = {}

    def finish(self) -> None:
        """Follows what has been put off."""
        while self._names_to_do or self._modules_to_do:
            with contextlib.suppress(SyntaxError, ValueError, RecursionError):
                if self._names_to_do:
                    self._read_name(self._names_to_do.popleft())
                else:
                    self._read_module(self._modules_to_do.popleft())

    def module(self, name: str) -> None:
        """Adds a module of the user's, with the packages around it and all that it imports."""
        if name and name not in MAIN_MODULES and not self.modules.is_outside(name):
            parts = name.split(".")
            for end in range(1, len(parts) + 1):
                prefix = ".".join(parts[:end])
                if prefix not in self._modules:
                    self._modules.add(prefix)
                    self._modules_to_do.append(prefix)

    def _read_module(self, name: str) -> None:
        file = self.modules.file_of(name)
        code = None if file is None else module_code(file)
        if file is None or code is None:
            return
        self.parts.add((f"module {name}", code.digest))
        self.files.add(file)
        package = name if file.name == "__init__.py" else name.rpartition(".")[0]
        for imported in code.imports:
            self._imported(imported, package)

    def _imported(self, imported: Imported, package: str = "") -> None:
        base = imported.base(package)
        self.module(base)
        if base and self.modules.holds_modules(base):
            for name in imported.names:
                self.module(f"{base}.{name}")

    def script_name(self, name: str) -> None:
        """Adds what a name at the top level of the script stands for, with all that it refers to."""
        if name not in self._names:
            self._names.add(name)
            self._names_to_do.append(name)

    def _read_name(self, name: str) -> None:
        if self._pieces is None or self.script is None:
            return
        self.files.add(self.script)
        package = _package_here() if str(self.script) == script_here() else ""
        pieces = self._pieces.bound.get(name)
        if pieces is None:
            for star in () if hasattr(builtins, name) else self._pieces.stars:
                self._imported(star, package)
            return
        self.parts.add((f"name {name}", digest("\n".join(piece.text for piece in pieces))))
        for piece in pieces:
            for imported in piece.imports:
                self._imported(imported, package)
            for other in piece.names:
                self.script_name(other)

    def program(self, command: Any) -> None:
        """Adds a program: a script with the modules that it imports, or the bytes of any other file."""
        for place, word in enumerate(command):
            file = Path(word)
            if str(word).endswith(".py") and file.is_file():
                self._script_as_program(file.absolute())
            elif place == 0 and (content := _content(file)) is not None:
                self.parts.add(("program", digest(content)))
                self.files.add(file.absolute())

    def _script_as_program(self, file: Path) -> None:
        self.files.add(file)
        code = module_code(file, is_main=True)
        if code is not None:
            self.parts.add(("program", code.digest))
            self.modules = UserModules(file.parent)
            for imported in code.imports:
                self._imported(imported)

    def environment(self, name: Any, spec: Any) -> None:
        """Adds what makes an environment: the module before the colon of its id, or the entry that a script made."""
        if isinstance(name, str) and ":" in name:
            self.module(name.partition(":")[0])
        for entry in (getattr(spec, "entry_point", None), getattr(spec, "vector_entry_point", None)):
            if isinstance(entry, str):
                self.module(entry.partition(":")[0])
            else:
                self.value(entry)

    def value(self, obj: Any, depth: int = 0) -> None:
        """Adds the functions, classes and references in a value."""
        if isinstance(obj, _ATOMS) or id(obj) in self._objects or depth > _DEEPEST:
            return
        self._objects[id(obj)] = obj  # which also keeps it, and with it its id
        try:
            self._look_into(obj, depth)
        except Exception:  # of somebody's own `__getattr__`, `__iter__` and so on: what cannot be read does not count
            return

    def _look_into(self, obj: Any, depth: int) -> None:
        if isinstance(obj, Reference):
            self._named(obj.path)
        elif isinstance(obj, types.ModuleType):
            self.module(obj.__name__)
        elif isinstance(obj, types.FunctionType):
            self._function(obj, depth)
        elif isinstance(obj, type):
            self._class(obj, depth)
        else:
            state = holds_state(obj) and not self.modules.is_outside(type(obj).__module__)
            for inner in (*parts_of(obj), *((type(obj), vars(obj)) if state else ())):
                self.value(inner, depth + 1)

    def _named(self, path: str) -> None:
        where, _, name = path.rpartition(":")
        if where.endswith(".py"):
            file = Path(where).expanduser().absolute()
            other = CodeWalk(UserModules(file.parent), file)
            other.script_name(name.partition(".")[0])
            other.finish()
            self.parts |= other.parts
            self.files |= other.files
        else:
            self.module(path.replace(":", "."))

    def _is_in_module(self, obj: Any) -> bool:
        """Whether an object is found by importing a module; what counts of it is then the module."""
        path = callable_path(obj)
        module = "" if path is None else path.partition(":")[0]
        if path is None or not self._is_module(module):
            return False
        self.module(module)
        return True

    def _is_module(self, name: str) -> bool:
        """Whether a module can be read, or is none of the user's; what code has made is neither."""
        return name not in MAIN_MODULES and (self.modules.file_of(name) is not None or self.modules.is_outside(name))

    def _is_in_script(self, obj: Any, inner: Any) -> bool:
        """Whether an object is what the script of this process defines under its name, as it stands in its file."""
        name, code = obj.__qualname__.partition(".")[0], getattr(inner, "__code__", None)
        if obj.__module__ not in MAIN_MODULES or not self._binds(name) or code is None:
            return False
        is_there = self._pieces is not None and (code.co_firstlineno, inner.__name__) in self._pieces.lines
        if is_there and os.path.realpath(code.co_filename) == script_here():
            self.script_name(name)
            return True
        return False

    def _binds(self, name: str) -> bool:
        here = self.script is not None and str(self.script) == script_here()
        return here and self._pieces is not None and name in self._pieces.bound

    def _function(self, function: types.FunctionType, depth: int) -> None:
        if self._is_in_module(function):
            return
        for inner in (*closure(function).values(), *(function.__defaults__ or ()), function.__kwdefaults__):
            self.value(inner, depth + 1)
        wrapped = unwrapped(function)
        if "<" in function.__qualname__ or not self._is_in_script(function, wrapped):
            self._own_code(function, depth)
            self.value(wrapped, depth + 1)

    def _own_code(self, function: types.FunctionType, depth: int) -> None:
        module = function.__globals__.get("__name__", "")
        if self._is_module(module):
            self.module(module)
            return
        self.parts.add((f"code {function.__qualname__}", digest(function_source(function))))
        self._used(function, depth)

    def _used(self, function: types.FunctionType, depth: int) -> None:
        """Adds what a function imports, and what stands behind its global names."""
        preload = Preload()
        preload.add_function(function)
        for module, names in preload.imports.items():
            self._imported(Imported(module, 0, tuple(sorted(names))))
        is_of_script = function.__globals__ is vars(sys.modules["__main__"])
        for name in used_globals(function.__code__):
            if is_of_script and self._binds(name):
                self.script_name(name)
            elif name in function.__globals__:
                self._global(name, function.__globals__[name], depth)

    def _global(self, name: str, value: Any, depth: int) -> None:
        if isinstance(value, types.ModuleType):
            self.parts.add((f"global {name}", f"module {value.__name__}"))
        elif callable_path(value) is not None:
            self.parts.add((f"global {name}", str(callable_path(value))))
        elif not callable(value):
            self.parts.add((f"global {name}", digest(described(value))))
        self.value(value, depth + 1)

    def _class(self, cls: type, depth: int) -> None:
        if self._is_in_module(cls):
            return
        if self._is_module(cls.__module__):  # made inside of a function there
            self.module(cls.__module__)
            return
        functions = [value for value in vars(cls).values() if isinstance(value, types.FunctionType)]
        if "<" not in cls.__qualname__ and any(self._is_in_script(cls, unwrapped(inner)) for inner in functions):
            return
        if "<" not in cls.__qualname__ and cls.__module__ in MAIN_MODULES and self._binds(cls.__name__):
            self.script_name(cls.__name__)  # it has no method whose place could be compared
            return
        self.parts.add((f"code {cls.__qualname__}", digest(class_source(cls))))
        for base in cls.__bases__:
            self.value(base, depth + 1)
        for value in vars(cls).values():
            if isinstance(value, types.FunctionType) and value.__module__ == cls.__module__:
                self._used(value, depth)
            else:
                self.value(value, depth + 1)


def _package_here() -> str:
    """What the relative imports of the script that runs here start from."""
    return str(getattr(sys.modules["__main__"], "__package__", None) or "")


def _content(file: Path) -> bytes | None:
    """What stands in a program's file; None where that is the system's, too large, or cannot be read."""
    try:
        if any(map(file.resolve().is_relative_to, _OF_THE_SYSTEM)) or file.stat().st_size >= _LARGEST_BYTES:
            return None
        return file.read_bytes()
    except OSError:
        return None
