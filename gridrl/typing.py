"""Types that several rooms share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

JSON: TypeAlias = "dict[str, JSON] | list[JSON] | str | int | float | bool | None"
"""What a JSON file can hold; numbers are finite."""

Variant: TypeAlias = dict[str, Any]
"""One nested dict of hyperparameters."""

Thunk: TypeAlias = Callable[..., object]
"""The function that a run calls; it is given the keyword arguments that its signature takes."""
