"""From the words behind an algorithm's name to keyed values; every fault is found before anything starts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gridrl.algos.presets import preset
from gridrl.commands.grammar import Flag, read_values, split_flags
from gridrl.commands.hints import explain, one_list, shell_split, shown
from gridrl.commands.known import KnownOptions
from gridrl.commands.options import LAUNCHER_OPTIONS, SHORTCUTS, LauncherOption
from gridrl.errors import BadValue, Problems, UnknownFlag, UsageError
from gridrl.utils.annotations import Wanted
from gridrl.utils.serialization import canonical
from gridrl.utils.settings import settings


@dataclass(frozen=True)
class Key:
    """One key of the grid.

    Attributes:
        name: `"gamma"`, `"ac_kwargs:hidden_sizes"`.
        values: one run for each.
        shorthand: its form in the names of runs, None for the usual one.
    """

    name: str
    values: tuple[Any, ...]
    shorthand: str | None = None


@dataclass(frozen=True)
class Request:
    """What was asked for.

    Attributes:
        keys: the grid, in the order of the command line.
        launch: the launcher's options that were given, by name; those that take several hold a tuple.
    """

    keys: tuple[Key, ...]
    launch: dict[str, Any] = field(default_factory=dict)


def read_request(words: Sequence[str], known: KnownOptions) -> Request:
    """Reads and checks a command line.

    Args:
        words: what stands behind the algorithm's name.
        known: the algorithm's options.

    Raises:
        UnknownFlag, BadValue: something is typed wrong; all faults stand in one message, a line each.
    """
    reader = _Reader(known)
    flags = [reader.expand(flag) for flag in split_flags(words, reader.problems)]
    reader.check_repeats(flags)
    reader.known = known.when_given({flag.key for flag in flags})
    keys: list[Key] = []
    launch: dict[str, Any] = {}
    for flag in flags:
        if flag.key in LAUNCHER_OPTIONS:
            launch[flag.key] = reader.launcher_value(flag, LAUNCHER_OPTIONS[flag.key])
        elif (wanted := reader.wanted(flag)) is not None:
            keys.append(Key(flag.key, reader.values(flag, wanted), _shorthand(flag)))
    for message in known.missing({flag.key for flag in flags}):
        reader.problems.add(message)
    reader.problems.raise_if_any(reader.kind)
    return Request(tuple(keys), launch)


def _shorthand(flag: Flag) -> str | None:
    """The given one; of an option that was typed in its short form, that form: `ppo_hid64-64`."""
    short = flag.typed.lstrip("-")
    if flag.shorthand is None and SHORTCUTS.get(short) == flag.key and settings().DEFAULT_SHORTHAND:
        return short
    return flag.shorthand


class _Reader:
    """Reads options one by one and remembers what is wrong with them."""

    def __init__(self, known: KnownOptions) -> None:
        self.known = known
        self.problems = Problems()
        self.kind: type[UsageError] = BadValue

    def expand(self, flag: Flag) -> Flag:
        """The option by its full key; `--seeds n` becomes the seeds that it stands for."""
        if flag.key == "seeds" and "seeds" not in self.known.parameters:
            return replace(flag, key="seed", words=tuple(self._seeds(flag)))
        return self._negated(flag) or replace(flag, key=self.known.expand(flag.key))

    def _negated(self, flag: Flag) -> Flag | None:
        """`--no-save-replay` as `--save_replay false`; None where that cannot be meant."""
        key = flag.key.removeprefix("no_")
        if key == flag.key or self.known.wanted(flag.key) is not None or str(self.known.wanted(key)) != "bool":
            return None
        if flag.words:
            self.problems.add(f"`{flag.typed}`: takes no value; it stands for `--{key} false`.")
        return replace(flag, key=key, words=("false",))

    def _seeds(self, flag: Flag) -> Iterator[str]:
        values = [value for word in flag.words for value in read_values(word, only_text=True)]
        if len(values) != 1 or not Wanted("int").takes(values[0]) or values[0] < 1:
            self.problems.add(f"`{flag.typed}`: wants one number of seeds, such as `--seeds 5` for 0 to 4.")
            values = [1]
        return map(str, range(values[0]))

    def check_repeats(self, flags: Sequence[Flag]) -> None:
        """One option given twice, under one name or under two."""
        first: dict[str, Flag] = {}
        for flag in flags:
            other = first.setdefault(flag.key, flag)
            if other is flag:
                continue
            several = "" if flag.key in LAUNCHER_OPTIONS else " Several values stand behind one option."
            if other.typed == flag.typed:
                self.problems.add(f"`{flag.typed}`: is given twice.{several}")
            else:
                self.problems.add(f"`{other.typed}` and `{flag.typed}` are the same option.{several}")

    def wanted(self, flag: Flag) -> Wanted | None:
        """What the option takes; None, and a note, where the function has no such option."""
        wanted = self.known.wanted(flag.key)
        option = self.known.set_otherwise(flag.key)
        if option:
            self.problems.add(f"`{flag.typed}`: the launcher sets this. Use `--{option}`.")
            return None
        if wanted is None:
            self.kind = UnknownFlag
            self.problems.add(f"`{flag.typed}`: {self.known.name} has no such option.{self.known.nearest(flag.key)}")
        elif flag.key in self.known.parameters and flag.key in SHORTCUTS:
            self._note_shadowed(flag)
        return wanted

    def _note_shadowed(self, flag: Flag) -> None:
        long_form = SHORTCUTS[flag.key]
        if self.known.wanted(long_form) is not None or long_form in LAUNCHER_OPTIONS:
            self.problems.add(
                f"`{flag.typed}`: is a parameter of {self.known.name}, and gridrl's short form of `--{long_form}`. "
                "Rename the parameter."
            )

    def values(self, flag: Flag, wanted: Wanted) -> tuple[Any, ...]:
        """The values behind an option, each of the wanted type and each only once."""
        values: list[Any] = []
        split = None if wanted.is_only_text else shell_split(flag)
        if split:
            self.problems.add(split)
            return ()
        for word in flag.words:
            try:
                read = read_values(word, only_text=wanted.is_only_text)
            except BadValue as error:
                self.problems.add(f"`{flag.typed}`: {error}")
                continue
            values += [wanted.adapt(value, word) for value in read]
        if not flag.words:
            values = [True]
        self._check(flag, values, wanted)
        for value in values:
            self._check_inside(flag, value)
        return tuple(values)

    def _check_inside(self, flag: Flag, value: Any) -> None:
        """The keys of a dict that was given whole."""
        if not isinstance(value, dict) or self.known.inner(flag.key) is None:
            return
        for name, inner in value.items():
            part = Flag(f"{flag.typed}:{name}", f"{flag.key}:{name}", None, (str(inner),))
            wanted = self.wanted(part)
            if wanted is not None:
                self._check(part, [inner], wanted)

    def _check(self, flag: Flag, values: list[Any], wanted: Wanted) -> None:
        wrong = [value for value in values if not wanted.takes(value)]
        if wrong:
            self.problems.add(f"`{flag.typed}`: {explain(flag, wrong, wanted, self.known.name)}")
            return
        seen: set[str] = set()
        for value in values:
            text = canonical(value)
            if text in seen:
                self.problems.add(f"`{flag.typed}`: {shown(value)} is given twice.{one_list(flag, values, wanted)}")
            seen.add(text)

    def launcher_value(self, flag: Flag, option: LauncherOption) -> Any:
        """The value of a launcher's option."""
        if flag.key in self.known.parameters:
            self.problems.add(
                f"`{flag.typed}`: is a parameter of {self.known.name}, and an option of gridrl. Rename the parameter."
            )
        values = self.values(flag, Wanted(option.annotation))
        if len(values) > 1 and not option.takes_several:
            self.problems.add(f"`{flag.typed}`: takes one value, got {len(values)}: {', '.join(map(shown, values))}.")
        for value in values:
            if option.least is not None and Wanted("int").takes(value) and value < option.least:
                self.problems.add(f"`{flag.typed}`: wants at least {option.least}, got {value}.")
            if value == "":
                self.problems.add(f"`{flag.typed}`: is empty.")
        self._check_names(flag.key, values)
        return values if option.takes_several else values[0] if values else None

    def _check_names(self, key: str, values: tuple[Any, ...]) -> None:
        """Names that stand in tables of their own."""
        names = [value for value in values if isinstance(value, str)]
        try:
            if key == "preset" and names:
                preset(self.known.signature.target, names[0])
            elif key == "log":
                from gridrl.log.sinks import check_sinks  # numpy comes with it

                check_sinks(names)
        except BadValue as error:
            for line in str(error).splitlines():
                self.problems.add(f"`--{key}`: {line.removeprefix('--log: ')}")
