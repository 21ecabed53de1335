"""What can be given to a function on the command line, and what is near to a name that cannot."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from gridrl.commands.options import BUILDERS, LAUNCHER_OPTIONS, SHORTCUTS
from gridrl.errors import GridRLError, nearest
from gridrl.signature import REQUIRED, Parameter, Signature, read_signature
from gridrl.utils.annotations import Wanted

_LOGGER = "logger_kwargs"
_OF_THE_LAUNCHER = {"output_dir": "data_dir", "output_fname": "data_dir", "exp_name": "exp_name", "log": "log"}
"""The logger's keywords that the launcher sets, each with the option that it takes them from."""


class KnownOptions:
    """The options of one function.

    >>> def train(env_fn, gamma: float = 0.99): ...
    >>> known = KnownOptions("train", read_signature(train))
    >>> str(known.wanted("gamma")), known.wanted("gama"), known.nearest("gama")
    ('float', None, ' Did you mean `--gamma`?')

    Args:
        name: what the user calls the function: `ppo`, `my_module:train`; messages use its last part.
        signature: its parameters.
        given: the keys that the user gives. A builder among them (`actor_critic`) is not the default one, whose
            keywords we know.
    """

    def __init__(self, name: str, signature: Signature, given: Collection[str] = ()) -> None:
        self.name = name.rpartition(":")[2]
        self.signature = signature
        self._given = given
        self._inner: dict[str, dict[str, Parameter] | None] = {}
        self.parameters = _by_name(signature)

    def when_given(self, keys: Collection[str]) -> KnownOptions:
        """The options beside these keys."""
        return KnownOptions(self.name, self.signature, keys)

    @property
    def takes_env(self) -> bool:
        """Whether `--env` makes sense."""
        return bool({"env_fn", "env_name"} & self.parameters.keys()) or self.signature.has_var_keyword

    @property
    def example_env(self) -> str:
        """An environment in whose actions it can act, for examples."""
        return "Pendulum-v1" if self.signature.actions == "Box" else "CartPole-v1"

    def expand(self, key: str) -> str:
        """The key that a shortcut stands for, unless the function has a parameter of that very name."""
        return key if key in self.parameters else SHORTCUTS.get(key, key)

    def wanted(self, key: str) -> Wanted | None:
        """What a key takes, None where the function knows no such key."""
        head, _, rest = key.partition(":")
        special = {"env_name": "str", "env_kwargs": "dict", "seed": "int"}
        if head in self.parameters:
            return self._inside(head, rest) if rest else Wanted(self.parameters[head].annotation)
        if head in special and (head == "seed" or self.takes_env):
            return Wanted(None) if rest and head == "env_kwargs" else None if rest else Wanted(special[head])
        return Wanted(None) if self.signature.has_var_keyword else None

    def set_otherwise(self, key: str) -> str | None:
        """The launcher's option that decides what this key of the logger would, None for every other key."""
        head, _, rest = key.partition(":")
        return _OF_THE_LAUNCHER.get(rest.partition(":")[0] or "output_dir") if head == _LOGGER else None

    def _inside(self, head: str, rest: str) -> Wanted | None:
        first, _, deeper = rest.partition(":")
        known = self.inner(head)
        if known is not None:
            return None if first not in known else Wanted(None if deeper else known[first].annotation)
        wanted = Wanted(self.parameters[head].annotation)
        return Wanted(None) if wanted.takes({}) else None

    def inner(self, head: str) -> dict[str, Parameter] | None:
        """The keyword arguments that a dict such as `ac_kwargs` may hold, None where everything goes."""
        if head not in self._inner:
            self._inner[head] = self._read_inner(head)
        return self._inner[head]

    def _read_inner(self, head: str) -> dict[str, Parameter] | None:
        builder = self.parameters.get(BUILDERS.get(head, ""))
        target = builder.default_target if builder else "gridrl.log.logger:EpochLogger" if head == _LOGGER else None
        if head not in self.parameters or target is None or BUILDERS.get(head) in self._given:
            return None
        try:
            signature = read_signature(target)
        except GridRLError:  # its source is not at hand
            return None
        # what has no default (the spaces of a network) is handed over by the algorithm
        inner = {name: one for name, one in _by_name(signature).items() if one.default is not REQUIRED}
        return None if signature.has_var_keyword else inner

    def needed(self) -> Iterator[tuple[str, Wanted]]:
        """The keys that the function cannot do without, each with what it takes."""
        for parameter in self.parameters.values():
            if parameter.default is REQUIRED and parameter.name not in (_LOGGER, "seed"):
                key = "env_name" if parameter.name == "env_fn" else parameter.name
                yield key, Wanted(parameter.annotation)

    def missing(self, given: set[str]) -> Iterator[str]:
        """What is told for each key that is needed and was not given."""
        heads = {key.partition(":")[0] for key in given}
        if "env_fn" in heads:
            heads.add("env_name")
        for key, wanted in self.needed():
            if key in heads:
                continue
            if key == "env_name":
                yield f"`--env` is missing: {self.name} needs an environment, such as `--env {self.example_env}`."
            else:
                yield f"`--{key}` is missing: {self.name} needs it ({wanted})."

    def nearest(self, key: str) -> str:
        """Names the option that looks most like `key`: " Did you mean `--hid` (ac_kwargs:hidden_sizes)?", or ""."""
        if key == "env_name":
            return f" {self.name} takes neither env_fn nor env_name."
        spellings = self._spellings()
        near = nearest(key, spellings) or nearest(key.rpartition(":")[2], spellings)
        return f" Did you mean {spellings[near]}?" if near else ""

    def _spellings(self) -> dict[str, str]:
        """Everything that could have been meant, each with what the user should type."""
        keys = [name for name in self.parameters if name not in (_LOGGER, "env_fn")]
        keys += [f"{head}:{name}" for head in BUILDERS for name in self.inner(head) or ()]
        keys += [f"{_LOGGER}:{name}" for name in self.inner(_LOGGER) or () if name not in _OF_THE_LAUNCHER]
        keys += ["seed", "seeds", *LAUNCHER_OPTIONS, *(("env_name", "env_kwargs") if self.takes_env else ())]
        shown = {key: f"`--{key}`" for key in keys}
        short = {name: key for name, key in SHORTCUTS.items() if key in shown and name not in self.parameters}
        for name, key in short.items():
            shown[key] = shown[name] = f"`--{name}` ({key})"
        # `--hidden_sizes` without its `ac_kwargs:`
        return {**{key.rpartition(":")[2]: text for key, text in shown.items()}, **shown}


def _by_name(signature: Signature) -> dict[str, Parameter]:
    return {name: parameter for name in signature.names if (parameter := signature.get(name)) is not None}
