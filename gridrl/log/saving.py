"""What a logger keeps beside its rows: the configuration as JSON, weights and extras that load without pickled code."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from gridrl.errors import CheckpointError
from gridrl.log.claims import check_claim
from gridrl.log.disk import told_when_full
from gridrl.log.floats import is_tensor
from gridrl.utils.files import RunPaths, read_json, write_atomic, write_json
from gridrl.utils.names import without_address
from gridrl.utils.serialization import convert_json

Array: TypeAlias = np.ndarray[Any, Any]

_PLAIN = (bool, int, float, str, bytes, complex, type(None))


def write_config(path: Path, algorithm: Mapping[str, Any], exp_name: str | None) -> None:
    """Adds a part under "algorithm" to a configuration; whatever else stands there is left as it is."""
    known = read_json(path)
    config: dict[str, Any] = known if isinstance(known, dict) else {} if exp_name is None else {"exp_name": exp_name}
    config["algorithm"] = convert_json(_without_place(algorithm))
    with told_when_full(path, "the configuration was not written"):
        write_json(path, config)


def _without_place(algorithm: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments but for the run's own directory: what a run is does not change when it is moved."""
    logging = algorithm.get("logger_kwargs")
    if not isinstance(logging, Mapping):
        return dict(algorithm)
    return {**algorithm, "logger_kwargs": {key: value for key, value in logging.items() if key != "output_dir"}}


def _is_env(value: Any) -> bool:
    """Whether a value behaves like an environment."""
    return all(hasattr(value, name) for name in ("step", "reset", "action_space", "observation_space"))


def _env_name(env: Any) -> str:
    """The registered id of an environment, or its text without addresses."""
    spec = getattr(env, "spec", None)
    name = getattr(spec, "id", None)
    return name if isinstance(name, str) else without_address(str(env))


def portable(value: Any, where: str = "state", of_array: Callable[[Array, str], Any] | None = None) -> Any:
    """A state made of nothing but what `torch.load(..., weights_only=True)` takes.

    Args:
        value: tensors (copied to the CPU, each with memory of its own), numpy arrays (become tensors), numbers, text,
            None, lists, tuples and dicts of these, and environments (become their id).
        where: the key path, for the error.
        of_array: what becomes of a numpy array, from it and its key path; None: a tensor.

    Raises:
        CheckpointError: anything else, named by its key path.
    """
    if type(value) in _PLAIN:
        return value
    if isinstance(value, np.generic):
        return portable(value.item(), where, of_array) if type(value.item()) in _PLAIN else refuse(value, where)
    if is_tensor(value):
        return value.detach().cpu().clone()
    if isinstance(value, np.ndarray):
        return (of_array or _tensor_of)(value, where)
    if isinstance(value, Mapping):
        return {
            portable(key, f"a key of {where}", of_array): portable(item, f"{where}[{key!r}]", of_array)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        items = [portable(item, f"{where}[{place}]", of_array) for place, item in enumerate(value)]
        return tuple(items) if isinstance(value, tuple) else items
    for plain in (bool, int, float, str):  # enums and other subclasses would be pickled as their class
        if isinstance(value, plain):
            return plain(value) if plain is not str else str.__str__(value)
    return _env_name(value) if _is_env(value) else refuse(value, where)


_ARRAY = "gridrl:array"


def pack_arrays(value: Any) -> Any:
    """The value with every numpy array marked, so that `unpack_arrays` gives arrays back and not tensors."""
    if isinstance(value, np.ndarray):
        return {_ARRAY: value}
    if isinstance(value, Mapping):
        return {key: pack_arrays(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        items = [pack_arrays(item) for item in value]
        return tuple(items) if isinstance(value, tuple) else items
    return value


def unpack_arrays(value: Any) -> Any:
    """What `pack_arrays` was given, after it was saved and loaded, to whatever device."""
    if isinstance(value, dict):
        if value.keys() == {_ARRAY}:
            found = value[_ARRAY]
            return found if isinstance(found, np.ndarray) else found.cpu().numpy()
        return {key: unpack_arrays(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        items = [unpack_arrays(item) for item in value]
        return tuple(items) if isinstance(value, tuple) else items
    return value


def _tensor_of(array: Array, where: str) -> Any:
    import torch

    try:
        return torch.from_numpy(np.array(array, dtype=array.dtype.newbyteorder("="), order="C", copy=True))
    except (TypeError, ValueError):
        return refuse(array, where)


def refuse(value: Any, where: str) -> Any:
    """Raises:
    CheckpointError: always; this value cannot be saved.
    """
    kind = f"ndarray of {value.dtype}" if isinstance(value, np.ndarray) else type(value).__name__
    raise CheckpointError(
        f"{where} is of type {kind}: it could be loaded only by running pickled code. "
        "Give tensors, numpy arrays of numbers, numbers, text, lists and dicts of these; of an object its state_dict()."
    )


def state_of(what: Any) -> Any:
    """The state of a module, or name -> state of several."""
    if isinstance(what, Mapping):
        return {name: portable(part.state_dict(), f"the state of {name!r}") for name, part in what.items()}
    return portable(what.state_dict(), "the state of the module")


def check_savable(what: Any) -> None:
    """Raises:
    CheckpointError: something in `what` has no state_dict.
    """
    parts = what if isinstance(what, Mapping) else {"the object": what}
    for name, part in parts.items():
        if not callable(getattr(part, "state_dict", None)):
            raise CheckpointError(
                f"setup_pytorch_saver: {name} is of type {type(part).__name__}, which has no state_dict(). "
                "Give an nn.Module, or a dict from names to modules."
            )


def write_torch(path: Path, state: Any) -> None:
    """Writes a `portable` state at once; `torch.load(path, weights_only=True)` reads it."""
    import torch

    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_saved(path, buffer.getvalue())


def write_saved(path: Path, content: bytes) -> None:
    """Writes what is to last, at once.

    Raises:
        DiskFull: no room; what was there stands.
        RunDirectoryInUse: another launcher has taken the run over.
    """
    check_claim(path)
    with told_when_full(path, "it was not saved, what was saved before stands"):
        write_atomic(path, content)


def write_state(paths: RunPaths, model: Any | None, extras: Mapping[str, Any], itr: int | None) -> None:
    """Writes the weights of `model` (if any) and the extras beside them; nothing where one of them cannot be saved."""
    extras = portable(extras, "state_dict")
    if model is not None:
        write_torch(paths.model_file(itr), state_of(model))
    write_torch(paths.model_extras(itr), extras)
