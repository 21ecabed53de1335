"""The help page of an algorithm: every option with its type, default and meaning, read from the source."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from gridrl.algos.presets import presets_of
from gridrl.commands.known import KnownOptions
from gridrl.commands.options import LAUNCHER_OPTIONS, SHORTCUTS
from gridrl.commands.page import Page
from gridrl.signature import REQUIRED, Parameter
from gridrl.utils.annotations import Wanted

_RUN = "python -m gridrl.run"
_HANDED_OVER = ("env_fn", "env_name", "env_kwargs", "seed", "logger_kwargs")
"""Parameters with rows of their own."""

_VALUES = (
    ("literal", "1e-3  '[64,64]'  \"{'a': 1}\"  None  true  (as in Python; quoted where the shell would eat it)"),
    ("tuple", "64,64  (is as good as a list)"),
    ("reference", "torch.nn.ReLU  (what a module holds, by its dotted name)"),
    ("several", "'range(0,3)'  'linspace(0,1,5)'  'logspace(-4,-2,3)'  (logspace takes powers of ten)"),
    ("text", "anything else"),
    ("none", "--key alone is true, --no-key false  (of options of type bool)"),
)


def print_help(typed: str, known: KnownOptions, target: str) -> None:
    """Prints the page.

    Args:
        typed: what the user typed: `ppo`, `my_module:train`.
        known: the algorithm's options.
        target: its `"module:function"`.
    """
    page = Page()
    name = shlex.quote(typed)
    env = " --env ID" if known.takes_env else ""
    page.lines([f"{_RUN} {name}{env} [--option value ...] [--option value ...]", ""], indent=0)
    page.text(known.signature.summary or known.signature.name)
    page.heading("Options", "several values make a grid: one run for each combination")
    _print_options(page, known)
    presets = presets_of(target)
    page.heading("Launcher", "how runs are started")
    _print_launcher(page, known, bool(presets))
    page.heading("Values")
    page.rows(_VALUES)
    if presets:
        page.heading("Presets", "--preset NAME gives these values to options that you do not type")
        page.rows([(preset, _settings(values)) for preset, values in presets.items()])
    page.heading("Examples")
    page.lines(_examples(known, name))


def _print_options(page: Page, known: KnownOptions) -> None:
    page.rows(_option_rows(known))


def _option_rows(known: KnownOptions) -> Iterator[tuple[str, str, str, str]]:
    """Option, type, default and meaning of everything that the algorithm takes."""
    if known.takes_env:
        is_needed = "env_name" in dict(known.needed())
        yield "--env", "str", "required" if is_needed else "-", "the environment's id, also module:Name-v0"
        yield "--env_kwargs:KEY", "anything", "-", "a keyword argument of the environment"
    seed = known.parameters.get("seed")
    yield "--seed, --seeds N", "int", _default(seed) if seed else "0", (seed.doc if seed else "") or "random seed"
    for name, parameter in known.parameters.items():
        if name in _HANDED_OVER:
            continue
        inner = known.inner(name)
        if inner is None:
            yield _row(name, parameter)
            continue
        for key, one in inner.items():
            if not _is_set_otherwise(known, key):
                yield _row(f"{name}:{key}", one)
    if known.signature.has_var_keyword:
        yield "--ANYTHING", "anything", "-", f"{known.signature.name} takes any other keyword too"


def _is_set_otherwise(known: KnownOptions, key: str) -> bool:
    """Whether our algorithm sets this keyword of its networks by itself: the generator, what an option of its own says.

    It can be given all the same, but the default of the network does not hold.
    """
    return known.signature.module.startswith("gridrl.algos.") and (key == "rng" or key in known.parameters)


def _row(key: str, parameter: Parameter) -> tuple[str, str, str, str]:
    short = next((name for name, long in SHORTCUTS.items() if long == key), None)
    meaning = f"{key}: {parameter.doc}" if short else parameter.doc
    return f"--{short or key}", str(Wanted(parameter.annotation)), _default(parameter), meaning


def _default(parameter: Parameter) -> str:
    if parameter.default is REQUIRED:
        return "required"
    return parameter.default_text or repr(parameter.default)


def _print_launcher(page: Page, known: KnownOptions, has_presets: bool) -> None:
    short = {long: name for name, long in SHORTCUTS.items()}
    rows = []
    for option in LAUNCHER_OPTIONS.values():
        if option.name in known.parameters or (option.name == "preset" and not has_presets):
            continue
        name = f"--{short[option.name]}, --{option.name}" if option.name in short else f"--{option.name}"
        rows.append((name, f"{option.meaning} ({option.default})" if option.default != "-" else option.meaning))
    page.rows(rows)


def _settings(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items()) or "the defaults above"


def _examples(known: KnownOptions, name: str) -> Iterator[str]:
    env = f" --env {known.example_env}" if known.takes_env else ""
    rates = [one for one in known.parameters.values() if isinstance(one.default, float) and "lr" in one.name]
    if "ac_kwargs" in known.parameters:
        yield f"{_RUN} {name}{env} --hid '[64,64]' '[32]' --act torch.nn.Tanh --seeds 3"
    if rates:
        first = rates[0]
        yield f"{_RUN} {name}{env} --{first.name} {first.default_text} {first.default / 2:g} --seed 0 10 --jobs 2"
    yield f"{_RUN} {name}{env} --exp_name mine --data_dir results --dry_run"
