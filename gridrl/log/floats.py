"""Numbers of any kind (Python's, numpy's, torch's) as float64.

Torch tensors are recognised by their methods; torch itself is never imported here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from gridrl.errors import ColumnError


def is_tensor(value: Any) -> bool:
    """Whether `value` is a torch tensor, told by what it can do."""
    return hasattr(value, "detach") and hasattr(value, "cpu")


def as_floats(value: Any) -> npt.NDArray[np.float64]:
    """Numbers in any shape and of any kind as float64, flat.

    Args:
        value: a number, a numpy array, a torch tensor on any device (with a gradient or without), or lists and tuples
            of these in any nesting, ragged ones too. Booleans count as 0 and 1.

    Returns:
        [N]; a view of `value` where it is a float64 array already.

    Raises:
        ColumnError: it holds something that is no real number.
    """
    if is_tensor(value):
        value = value.detach().cpu()
        return as_floats((value if value.is_complex() else value.double()).numpy())
    if isinstance(value, list | tuple) and any(isinstance(item, list | tuple) or is_tensor(item) for item in value):
        return np.concatenate([np.empty(0), *(as_floats(item) for item in value)])
    array = _as_array(value)
    if array.dtype.kind not in "biuf":
        raise ColumnError(
            f"{_shown(value)} ({type(value).__name__}) is no number: numbers, numpy arrays, torch tensors "
            "and lists of them can be averaged."
        )
    return array.astype(np.float64, copy=False).ravel()


def _as_array(value: Any) -> npt.NDArray[Any]:
    """Numbers as an array; of kind O where they are none."""
    try:
        array = np.asarray(value)
    except ValueError:  # rows of different lengths, in a list of arrays
        return np.concatenate([as_floats(item) for item in value])
    if array.dtype.kind == "O" and array.size:
        numbers = [item for item in array.ravel() if isinstance(item, int | float) or hasattr(item, "__float__")]
        return np.array([float(item) for item in numbers]) if len(numbers) == array.size else array
    return array.astype(np.float64) if array.size == 0 else array


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
