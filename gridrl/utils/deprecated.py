"""Telling the callers of a function that it will go."""

from __future__ import annotations

import functools
import itertools
import logging
import warnings
from collections.abc import Callable
from typing import Any, TypeVar, overload

from gridrl.errors import BadValue

Function = TypeVar("Function", bound=Callable[..., Any])

_log = logging.getLogger(__name__)


@overload
def deprecated(
    original_function: Function, *, reason: str = "", max_warn_count: int = 10, version: str | None = None
) -> Function:
    """Bare: `@deprecated`."""


@overload
def deprecated(
    original_function: None = None, *, reason: str = "", max_warn_count: int = 10, version: str | None = None
) -> Callable[[Function], Function]:
    """With words: `@deprecated(reason="use f")`."""


def deprecated(
    original_function: Function | None = None,
    *,
    reason: str = "",
    max_warn_count: int = 10,
    version: str | None = None,
) -> Function | Callable[[Function], Function]:
    """Marks a function as deprecated, bare (`@deprecated`) or with words (`@deprecated(reason="use f")`).

    Its first calls write a warning to the log, and give a `DeprecationWarning` that points at the caller for tools that
    gather these.

    Args:
        original_function: the function; passed by Python where the decorator is used bare.
        reason: what to do instead; the function's name is added.
        max_warn_count: after so many calls nothing more is said.
        version: since which version it is deprecated.

    Returns:
        The function with the warning before it.

    Raises:
        BadValue: what stands in the place of the function is none, such as a reason without its name.
    """
    if original_function is not None and not callable(original_function):
        raise BadValue(f"deprecated({original_function!r}): a function is needed; words go into reason=, version=.")
    if original_function is None:
        return functools.partial(_with_warning, reason=reason, max_warn_count=max_warn_count, version=version)
    return _with_warning(original_function, reason, max_warn_count, version)


def _with_warning(function: Function, reason: str, max_warn_count: int, version: str | None) -> Function:
    because = f": {reason}" if reason else ""
    since = f" (deprecated since version {version})" if version else ""
    message = f"{getattr(function, '__qualname__', repr(function))} is deprecated{because}{since}."
    calls = itertools.count()  # drawing from it is one operation, whatever other threads do

    @functools.wraps(function)
    def warned(*args: Any, **kwargs: Any) -> Any:
        if next(calls) < max_warn_count:
            _log.warning(message)
            warnings.warn(message, DeprecationWarning, stacklevel=2)
        return function(*args, **kwargs)

    return warned  # type: ignore[return-value]
