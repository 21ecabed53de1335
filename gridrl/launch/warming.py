"""Imports what a grid's runs need, in the process that forks them."""

from __future__ import annotations

import contextlib
import importlib
import random
import sys
import types
import weakref
from collections.abc import Iterable, Iterator
from typing import Any

from gridrl.build import resolve
from gridrl.errors import GridRLError
from gridrl.launch.preload import Preload
from gridrl.utils.seeding import seed_all

_NEVER = ("mpi4py", "gridrl.utils.torch_mpi")
"""Modules that must not be loaded before the fork: MPI starts with its import."""

_OURS = {
    "gridrl.algos.": (
        "gridrl.envs.making",
        "gridrl.envs.names",
        "gridrl.log.logger",
        "gridrl.log.sinks",
        "gridrl.train.checkpoint",
        "gridrl.nn.acting",
        "torch.utils.serialization.config",
    ),
}
"""What our own algorithms import when they are called, by the beginning of their names."""

_NO_OPTIMISERS = ("torch", "numpy", "gymnasium", "gridrl", "matplotlib", "mujoco", "pygame")
"""Packages that are not searched for code that builds an optimiser of torch's."""

_SEED = 0  # of the generators, while it is watched whether an import draws from them


def watch_generators() -> None:
    """From here on `has_drawn` tells whether anybody has used the global random generators."""
    seed_all(_SEED)


def has_drawn() -> bool:
    """Whether the global generators of Python, numpy or torch stand elsewhere than `watch_generators` has put them.

    A module that draws when it is imported leaves a fresh process in another state than a forked one, which had
    imported it before its generators were seeded.
    """
    if random.getstate() != random.Random(_SEED).getstate():
        return True
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if numpy is not None and "numpy.random" in sys.modules:
        known, now = numpy.random.RandomState(_SEED).get_state(), numpy.random.get_state()
        if known[2:] != now[2:] or not (known[1] == now[1]).all():
            return True
    if torch is None:
        return False
    return not torch.equal(torch.Generator().manual_seed(_SEED).get_state(), torch.get_rng_state())


def warm_up(preload: Preload) -> None:
    """Imports what a preload names, and what that brings to light: what its functions import when they are called.

    What cannot be found is left to the runs, which tell it; some of them may never come to need it.

    Raises:
        Exception: a module raised it when it was imported.
    """
    loaded_before = set(sys.modules)
    found = Preload()
    for name in preload.names:
        _name(name, found)
    for module, names in (preload.imports | found.imports).items():
        _import(module, sorted(names | preload.imports.get(module, set())))
    if preload.environments | found.environments:
        _environments(preload.environments | found.environments)
    new = [module for name, module in sorted(sys.modules.items()) if name not in loaded_before]
    if preload.optimises or found.optimises or any(map(_optimises, new)):
        _import("torch._dynamo", ())  # the first optimiser of a process imports it: a second of CPU


def spare_teardown() -> None:
    """Keeps the processes that are forked from here from taking torch's tables of operators apart when they exit.

    It gains nothing, and writes to so many pages that they share with this process that it would double what a run
    costs. What users' modules have registered for the exit stays.
    """
    for finalizer in list(getattr(weakref.finalize, "_registry", ())):
        alive = finalizer.peek()
        if alive is not None and str(getattr(alive[1], "__module__", "")).partition(".")[0] == "torch":
            finalizer.atexit = False


def _import(module: str, names: Iterable[str]) -> None:
    if module.partition(".")[0] in _NEVER or module in _NEVER:
        return
    with contextlib.suppress(ModuleNotFoundError):
        importlib.__import__(module, None, None, tuple(names))


def _name(name: str, found: Preload) -> None:
    """Imports the module of a name; of a function, notes what it imports itself."""
    module = name.partition(":")[0]
    if module.partition(".")[0] in _NEVER:
        return
    try:
        target = resolve(name)
    except GridRLError:
        return  # its run tells why
    function = getattr(target, "__func__", target)
    if isinstance(function, types.FunctionType):
        found.add_function(function)
    for prefix, modules in _OURS.items():
        if module.startswith(prefix):
            for ours in modules:
                found.add_import(ours)


def _environments(names: Iterable[str]) -> None:
    """Imports the modules of environments that are registered, or whose name says which module registers them."""
    for name in names:
        registering = name.partition(":")[0] if ":" in name else ""
        if registering:
            _import(registering, ())
    gymnasium = sys.modules.get("gymnasium")
    if gymnasium is None:
        return
    for name in names:
        spec = gymnasium.registry.get(name.rpartition(":")[2])
        for entry in (getattr(spec, "entry_point", None), getattr(spec, "vector_entry_point", None)):
            if isinstance(entry, str):
                _import(entry.partition(":")[0], ())


def _optimises(module: Any) -> bool:
    """Whether a module that was loaded has code that builds one of torch's optimisers."""
    if not isinstance(module, types.ModuleType) or module.__name__.partition(".")[0] in _NO_OPTIMISERS:
        return False
    if "torch" not in vars(module) and not any(name in vars(module) for name in ("th", "optim", "nn")):
        return False  # it does not even see torch
    seen = Preload()
    for function in _functions_of(module):
        seen.add_function(function)
    return seen.optimises


def _functions_of(module: types.ModuleType) -> Iterator[types.FunctionType]:
    for value in list(vars(module).values()):
        inner = vars(value).values() if isinstance(value, type) and value.__module__ == module.__name__ else (value,)
        for part in inner:
            if isinstance(part, types.FunctionType) and part.__module__ == module.__name__:
                yield part
