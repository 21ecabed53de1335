"""Random numbers that follow from one seed: named independent generators, and the global ones of others' code."""

from __future__ import annotations

import hashlib
import operator
import random
import struct
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, SupportsIndex

from gridrl.errors import BadValue

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

    import numpy as np

_SEEDS = 2**32  # what numpy's global generator takes
_BETWEEN_RANKS = 10_000


def check_seed(seed: SupportsIndex) -> int:
    """`seed` as an int, if every generator takes it.

    Raises:
        BadValue: it is no whole number in 0 .. 2**32 - 1.
    """
    try:
        number = operator.index(seed)
    except TypeError:
        number = -1
    if isinstance(seed, bool) or not 0 <= number < _SEEDS:
        raise BadValue(f"seed: a whole number from 0 to {_SEEDS - 1} is needed, not {seed!r}.")
    return number


def rank_seed(seed: SupportsIndex, rank: int) -> int:
    """The seed of one MPI rank: `seed + 10000 * rank`, begun again at 0 where that leaves the range of seeds."""
    return (check_seed(seed) + _BETWEEN_RANKS * rank) % _SEEDS


def generator(seed: SupportsIndex, *stream: str | SupportsIndex) -> np.random.Generator:
    """A numpy generator of its own for every seed and stream; streams of one seed are independent of each other.

    >>> float(generator(3, "shuffle").random()) == float(generator(3, "shuffle").random())
    True

    Args:
        seed: a whole number from 0 on.
        stream: names or numbers of what it is for: `generator(seed, "noise", env_index)`.

    Raises:
        BadValue: the seed is negative.
    """
    import numpy as np

    entropy = operator.index(seed)
    if entropy < 0:
        raise BadValue(f"seed: a whole number from 0 on is needed, not {seed!r}.")
    parts = [part if isinstance(part, str) else operator.index(part) for part in stream]
    key = struct.unpack("<8I", hashlib.sha256(repr(parts).encode()).digest()) if parts else ()
    return np.random.default_rng(np.random.SeedSequence(entropy, spawn_key=key))


def set_seed(seed: int | None = None) -> None:
    """Seeds the global generators of Python, numpy and torch; torch is imported for it. None leaves them as they are.

    Raises:
        BadValue: the seed is out of range; then no generator has been touched.
    """
    if seed is not None:
        seed_all(seed, with_torch=True)


def seed_all(seed: SupportsIndex, *, with_torch: bool = False) -> None:
    """Seeds the global generators of Python, numpy and torch; numpy and torch as soon as somebody imports them.

    So a program that needs no torch does not pay for it, and one that imports it late still follows its seed.

    Args:
        seed: a whole number in 0 .. 2**32 - 1.
        with_torch: imports torch now.

    Raises:
        BadValue: the seed is out of range; then no generator has been touched.
    """
    number = check_seed(seed)
    random.seed(number)
    if with_torch:
        import torch  # noqa: F401
    _on_import("numpy.random", lambda module: module.seed(number))
    _on_import("torch", lambda module: module.manual_seed(number))


def set_deterministic_cudnn() -> None:
    """Makes cuDNN choose the same algorithms every time, which can be slower; does nothing without a GPU."""
    import torch

    if torch.cuda.is_available():
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False


def _on_import(name: str, action: Callable[[Any], object]) -> None:
    """Calls `action` with a module: now if it is loaded, else right after it will have been; the last action counts."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if getattr(finder, "awaits", None) != name]
    if name in sys.modules:
        action(sys.modules[name])
    else:
        sys.meta_path.insert(0, _AfterImport(name, action))


class _AfterImport:
    """A finder of one module that leaves the finding to the others and acts once the module is loaded."""

    def __init__(self, name: str, action: Callable[[Any], object]) -> None:
        self.awaits = name
        self._action = action

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != self.awaits:
            return None
        spec = self._found_by_others(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _ActingLoader(spec.loader, self)  # type: ignore[assignment]  # what a loader has to have
        return spec

    def _found_by_others(self, name: str, path: Sequence[str] | None, target: ModuleType | None) -> ModuleSpec | None:
        for finder in list(sys.meta_path):
            if finder is not self:
                spec = finder.find_spec(name, path, target)
                if spec is not None:
                    return spec
        return None

    def act(self, module: ModuleType) -> None:
        if self in sys.meta_path:  # else another seed came after, or the import was tried twice
            sys.meta_path.remove(self)
            self._action(module)


class _ActingLoader:
    """The module's own loader, followed by the action."""

    def __init__(self, loader: Any, waiting: _AfterImport) -> None:
        self._loader = loader
        self._waiting = waiting

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        # The module keeps its own loader, which linecache, pkgutil and importlib.resources ask for.
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        self._waiting.act(module)
