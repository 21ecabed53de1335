"""Under which code a run was made, as its `config.json` says it below `code`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_OURS = ("hash", "ran_under", "accepted")


@dataclass(frozen=True)
class CodeRecord:
    """The code that a run calls, by its hashes.

    Attributes:
        hash: of the code that it calls, or called last; empty where nobody has noted it.
        ran_under: of all code that it has called, the oldest first, where a checkpoint carried it from one to another.
        accepted: former hashes; the user has said that `hash` is the same to him.
    """

    hash: str = ""
    ran_under: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> CodeRecord:
        """What a configuration says; what does not fit counts as not said."""
        code = config.get("code")
        if not isinstance(code, Mapping) or not isinstance(code.get("hash"), str):
            return cls()
        return cls(code["hash"], _texts(code.get("ran_under")), _texts(code.get("accepted")))

    @property
    def hashes(self) -> tuple[str, ...]:
        """All that it was made by, the oldest first; none where nobody has noted it."""
        return tuple(dict.fromkeys(found for found in (*self.ran_under, self.hash) if found))

    def is_other(self, present: str) -> bool:
        """Whether it was made by other code than the present one; unknown code is not taken for other code."""
        return bool(self.hash) and self.hash != present

    def going_on(self, present: str) -> CodeRecord:
        """The record of a run that goes on from its checkpoint under the present code."""
        hashes = tuple(dict.fromkeys((*self.hashes, present)))
        return CodeRecord(present, hashes if len(hashes) > 1 else (), self.accepted)

    def accepting(self, present: str) -> CodeRecord:
        """The record of a run that counts as made by the present code from now on."""
        former = (found for found in (*self.accepted, *self.hashes) if found != present)
        return CodeRecord(present, (), tuple(dict.fromkeys(former)))

    def within(self, code: Any = None) -> dict[str, Any]:
        """What `config.json` says below `code`; what others have noted there stays."""
        others = {key: value for key, value in code.items() if key not in _OURS} if isinstance(code, Mapping) else {}
        lists = {"ran_under": list(self.ran_under), "accepted": list(self.accepted)}
        return {"hash": self.hash, **{name: found for name, found in lists.items() if found}, **others}


def _texts(found: Any) -> tuple[str, ...]:
    return tuple(text for text in found if isinstance(text, str)) if isinstance(found, list) else ()


def mixes_code(configs: Iterable[Mapping[str, Any]]) -> bool:
    """Whether any variant among some runs was made by more than one code: one seed by other code than the next, or a
    seed by two.

    Args:
        configs: the runs' configurations; runs whose code nobody has noted do not count.
    """
    by_variant: dict[tuple[str, ...], set[str]] = {}
    for config in configs:
        variant = tuple(str(config.get(key)) for key in ("grid", "variant_id", "exp_name"))
        by_variant.setdefault(variant, set()).update(CodeRecord.of(config).hashes)
    return any(len(hashes) > 1 for hashes in by_variant.values())
