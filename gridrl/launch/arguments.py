"""Which keywords of a variant its thunk gets, and what is wrong with them, told from the signature alone."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gridrl.errors import BadValue, GridRLError, UnknownFlag, UsageError, did_you_mean
from gridrl.launch.variants import SEED
from gridrl.signature import REQUIRED, Parameter, Signature, read_signature
from gridrl.utils.annotations import Wanted
from gridrl.utils.names import without_address

LOGGER_KWARGS = "logger_kwargs"
MADE_BY = {"ac_kwargs": "actor_critic"}
"""Parameters that hold keyword arguments under a name of their own; `<name>_kwargs` are those of `<name>`."""

_OF_THE_LAUNCHER = (
    "num_cpu",
    "data_dir",
    "datestamp",
    "jobs",
    "log",
    "exp_name",
    "dry_run",
    "retries",
    "timeout",
    "fail_fast",
    "max_failures",
    "threads",
    "affinity",
    "gpus_per_run",
    "max_memory",
    "live_code",
)


@dataclass(frozen=True, eq=False)
class Arguments:
    """A variant, sorted by how its values reach the thunk.

    Attributes:
        keywords: values that travel as they are.
        environment: id and keyword arguments of the environment that becomes `env_fn`, None where there is none.
        logger_kwargs: what the variant adds to the logger's keywords.
        takes_seed: whether the thunk takes `seed`.
        takes_logger: whether the thunk takes `logger_kwargs`.
    """

    keywords: Mapping[str, Any]
    environment: tuple[str, Mapping[str, Any]] | None = None
    logger_kwargs: Mapping[str, Any] = field(default_factory=dict)
    takes_seed: bool = False
    takes_logger: bool = False


class Interface:
    """What a thunk takes.

    Args:
        label: how messages call the thunk.
        signature: its parameters; None, where they cannot be read, takes everything.
    """

    def __init__(self, label: str, signature: Signature | None) -> None:
        self.label = label
        self._all = list(signature.params) if signature else []
        self._by_name = {p.name: p for p in self._all if _is_by_keyword(p)}
        self._takes_more = signature is None or signature.has_var_keyword
        self._builders: dict[object, Signature | None] = {}

    def takes(self, name: str) -> bool:
        """Whether the thunk can be called with this keyword."""
        return name in self._by_name or self._takes_more

    def sort(self, variant: Mapping[str, Any]) -> Arguments:
        """Sorts a variant's values by how they reach the thunk."""
        rest = {key: value for key, value in variant.items() if key not in (SEED, LOGGER_KWARGS)}
        environment = None
        if self._makes_env(variant):
            environment = (rest.pop("env_name"), {} if "env_kwargs" in self._by_name else rest.pop("env_kwargs", {}))
        return Arguments(
            keywords=rest,
            environment=environment,
            logger_kwargs=variant.get(LOGGER_KWARGS, {}),
            takes_seed=self.takes(SEED),
            takes_logger=self.takes(LOGGER_KWARGS),
        )

    def _makes_env(self, variant: Mapping[str, Any]) -> bool:
        """Whether `env_name` becomes `env_fn`: it does, unless the thunk asks for the name itself."""
        return "env_name" in variant and "env_name" not in self._by_name and self.takes("env_fn")

    def faults(self, variant: Mapping[str, Any]) -> Iterator[tuple[type[UsageError], str]]:
        """Everything that is wrong with a variant, each with the kind of error that it is."""
        arguments = self.sort(variant)
        for message in self._unknown(variant, arguments):
            yield UnknownFlag, message
        for message in (*self._missing(arguments), *self._misfits(arguments)):
            yield BadValue, message

    def _unknown(self, variant: Mapping[str, Any], arguments: Arguments) -> Iterator[str]:
        if LOGGER_KWARGS in variant and not arguments.takes_logger:
            yield f"`{LOGGER_KWARGS}`: {self.label} does not take it, so the keywords below it reach nobody."
        for key in arguments.keywords:
            if not self.takes(key):
                yield f"`{key}`: {self.label} has no such parameter.{self._hint(key)}"
        for key, value in arguments.keywords.items():
            known = self._inside(key, arguments.keywords)
            if known is not None and isinstance(value, Mapping):
                owner, names = known
                for inner in value:
                    if inner not in names:
                        yield f"`{key}:{inner}`: {owner} has no such parameter.{did_you_mean(str(inner), names)}"

    def _hint(self, key: str) -> str:
        if key in ("env_name", "env_kwargs"):
            return " It takes neither `env_name` nor `env_fn`." if key == "env_name" else " It goes with `env_name`."
        if key in _OF_THE_LAUNCHER:
            return f" It is no hyperparameter: say it where you start the runs, `run(..., {key}=...)`."
        near = did_you_mean(key, [name for name in self._by_name if name not in ("env_fn", LOGGER_KWARGS)])
        return near or f" It takes {', '.join(self._by_name) or 'no keywords'}."

    def _missing(self, arguments: Arguments) -> Iterator[str]:
        given = {*arguments.keywords, SEED, LOGGER_KWARGS, *(["env_fn"] if arguments.environment else [])}
        for parameter in self._all:
            if parameter.default is not REQUIRED:
                continue
            if not _is_by_keyword(parameter):
                yield f"`{parameter.name}`: {self.label} takes it by position only; runs are called by keywords."
            elif parameter.name == "env_fn" and "env_fn" not in given:
                yield f"`env_name` is missing: {self.label} needs an environment, such as env_name='CartPole-v1'."
            elif parameter.name not in given:
                yield f"`{parameter.name}` is missing: {self.label} has no default for it."

    def _misfits(self, arguments: Arguments) -> Iterator[str]:
        if arguments.environment is not None:
            name, kwargs = arguments.environment
            yield from _misfit("env_name", name, "str")
            yield from _misfit("env_kwargs", kwargs, "dict")
            if "env_fn" in arguments.keywords:
                yield "`env_fn` and `env_name` are both given; one of them makes the environment."
        yield from _misfit(LOGGER_KWARGS, arguments.logger_kwargs, "dict")
        for key, value in arguments.keywords.items():
            if key in self._by_name:
                yield from _misfit(key, value, self._by_name[key].annotation)
            known = self._inside(key, arguments.keywords)
            if known is not None and isinstance(value, Mapping):
                for inner in known[1].keys() & value.keys():
                    yield from _misfit(f"{key}:{inner}", value[inner], known[1][inner].annotation)

    def _inside(self, key: str, given: Mapping[str, Any]) -> tuple[str, dict[str, Parameter]] | None:
        """Who takes the keywords that the dict `key` holds, and which; None where that cannot be told."""
        maker = MADE_BY.get(key, key.removesuffix("_kwargs") if key.endswith("_kwargs") else "")
        if key not in self._by_name or maker not in self._by_name:
            return None
        target = given.get(maker, self._by_name[maker].default_target)
        signature = self._signature_of(target)
        if signature is None or signature.has_var_keyword:
            return None
        # what has no default (the spaces of a network) is handed over by the algorithm
        optional = {p.name: p for p in signature.params if _is_by_keyword(p) and p.default is not REQUIRED}
        return signature.name, optional

    def _signature_of(self, target: Any) -> Signature | None:
        """The signature of a class, a function or a "module:name"; None where it cannot be read from here."""
        key = target if isinstance(target, str) else id(target)
        if key not in self._builders:
            is_readable = callable(target) or (isinstance(target, str) and ":" in target)
            try:
                self._builders[key] = read_signature(target) if is_readable else None
            except GridRLError:
                self._builders[key] = None
        return self._builders[key]


def _is_by_keyword(parameter: Parameter) -> bool:
    return parameter.kind != inspect.Parameter.POSITIONAL_ONLY


def _misfit(key: str, value: Any, annotation: str | None) -> Iterator[str]:
    wanted = Wanted(annotation)
    if not wanted.takes(value):
        text = without_address(repr(value))
        shown = text if len(text) <= 60 else f"{text[:57]}..."
        hint = ""
        if wanted.takes_lists and not isinstance(value, (list, tuple)):
            hint = f" In a grid a list is several values; one value that is a list is written [[{shown}]]."
        elif isinstance(value, (list, tuple, range)) and value and all(map(wanted.takes, value)):
            hint = " In a grid several values are a list: [1, 2], not (1, 2) or range(1, 3)."
        yield f"`{key}`: wants {wanted}, got {shown} ({type(value).__name__}).{hint}"
