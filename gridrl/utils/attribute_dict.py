"""Configurations whose keys can be read as attributes too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class AttributeDict(dict[str, Any]):
    """A dict whose keys are attributes too, at every depth.

    >>> config = AttributeDict({"size": 3, "monitor": {"seconds": 60}})
    >>> config.monitor.seconds, config["monitor"]["seconds"], config.get("other", 0)
    (60, 60, 0)
    """

    def __init__(self, values: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        """Takes keys and values; dicts among the values become of this kind.

        Args:
            values: that it begins with.
            more: keys beside them.
        """
        super().__init__()
        for key, value in {**(values or {}), **more}.items():
            self[key] = value

    def __setitem__(self, key: str, value: Any) -> None:
        is_other = isinstance(value, Mapping) and not isinstance(value, AttributeDict)
        super().__setitem__(key, AttributeDict(value) if is_other else value)

    def __getattr__(self, key: str) -> Any:
        try:
            return self[key]
        except KeyError:
            raise AttributeError(f"There is no {key!r}, only {', '.join(map(repr, self)) or 'nothing'}.") from None

    def __setattr__(self, key: str, value: Any) -> None:
        self[key] = value
