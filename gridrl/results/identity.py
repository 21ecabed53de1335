"""Who a run is: its name, seed, environment and hyperparameters, from its configuration or its directory's name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gridrl.errors import BadValue

_CLEANRL = re.compile(r"(?P<env>.+?)__(?P<exp>.+?)__(?P<seed>\d+)__\d+")
_STAMP = re.compile(r"^\d{4}-\d\d-\d\d[_-](\d\d-\d\d-\d\d[_-])?")
_SEEDS = (re.compile(r"_s(\d+)$"), re.compile(r"(?:^|[_\-.,])seed[_=-]?(\d+)(?=$|[_\-.,])"))
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_NO_SETTINGS = frozenset({"seed", "exp_name", "logger", "logger_kwargs", "output_dir", "data_dir"})


@dataclass(frozen=True)
class Identity:
    """Who a run is.

    Attributes:
        name: of its experiment, without the seed.
        seed: None where none is known.
        env: its environment's id, empty where none is known.
        condition: what it is grouped by: its name, or what `--group` has found.
        is_grouped: whether `--group` has found something.
    """

    name: str
    seed: int | None
    env: str
    condition: str
    is_grouped: bool = False


class Grouping:
    """Reads condition, seed and environment from paths.

    >>> grouping = Grouping(r"lr=([\\d.e-]+)/(?P<seed>\\d+)$")
    >>> grouping.identify(Identity("3", None, "", "3"), "sweep/lr=1e-3/3")
    Identity(name='3', seed=3, env='', condition='1e-3', is_grouped=True)

    Args:
        pattern: a regular expression that is searched in a run's path. Its groups `seed` and `env` are these, all its
            others are the condition; where it has none, all that matches is.

    Raises:
        BadValue: it is no regular expression.
    """

    def __init__(self, pattern: str) -> None:
        try:
            self._pattern = re.compile(pattern)
        except re.error as error:
            raise BadValue(f"`--group`: {pattern!r} is no regular expression: {error}.") from None

    def identify(self, known: Identity, path: str) -> Identity:
        """What a run is by its path; `known` where that does not match, and in all that the path does not tell."""
        match = self._pattern.search(path)
        if match is None:
            return known
        named = match.groupdict()
        places = {self._pattern.groupindex[name] for name in ("seed", "env") if name in named}
        parts = [text for place, text in enumerate(match.groups(), 1) if place not in places and text]
        condition = ", ".join(parts) if self._pattern.groups > len(places) else match[0]
        seed = int(named["seed"]) if (named.get("seed") or "").isdecimal() else known.seed
        return Identity(known.name, seed, named.get("env") or known.env, condition or known.condition, True)


def identify(config: Mapping[str, Any], directory: Path) -> Identity:
    """Who a run is by its configuration, else by the name of its directory.

    Args:
        config: its `config.json`, empty where there is none.
        directory: names such as `name_s3`, `2026-01-31_12-00-00-name_s3`, CleanRL's `env__name__3__1690000000`.
    """
    last = directory.absolute().name
    cleanrl = _CLEANRL.fullmatch(last)
    name = config.get("exp_name")
    if not isinstance(name, str) or not name:
        name = cleanrl["exp"] if cleanrl else _STAMP.sub("", re.sub(r"_s\d+$", "", last)) or last
    seed = _whole(config.get("seed"))
    if seed is None:
        found = cleanrl["seed"] if cleanrl else next((match[1] for one in _SEEDS if (match := one.search(last))), None)
        seed = None if found is None else int(found)
    return Identity(name, seed, _env(config) or (cleanrl["env"] if cleanrl else ""), name)


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _env(config: Mapping[str, Any]) -> str:
    for key in ("env", "env_name", "env_id"):
        value = config.get(key)
        value = value.get("id") if isinstance(value, Mapping) else value
        if isinstance(value, str):
            return value
    return ""


def settings_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """A run's hyperparameters, nested keys joined by colons: its variant, or another program's whole configuration.

    The seed and what belongs to the place of a run are left out, addresses in memory too.

    >>> settings_of({"variant": {"ac_kwargs": {"hidden_sizes": [64]}, "seed": 3}, "num_cpu": 2})
    {'ac_kwargs:hidden_sizes': [64]}
    """
    variant = config.get("variant")
    if isinstance(variant, Mapping):
        return {key: value for key, value in flat(variant) if key != "seed"}
    kept = {key: value for key, value in config.items() if key not in _NO_SETTINGS}
    return {_no_address(key): _no_address(value) for key, value in flat(kept)}


def flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested mappings, each with its keys joined by colons; an empty mapping is a value."""
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{key}:")
        else:
            yield f"{prefix}{key}", value


def _no_address(value: Any) -> Any:
    return _ADDRESS.sub("", value) if isinstance(value, str) else value
