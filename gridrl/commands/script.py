"""`script train.py --lr 1e-3 1e-4`: a program with options of its own, over the grid that was typed."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from gridrl.commands import algo
from gridrl.commands.grammar import Flag, read_values, split_flags
from gridrl.commands.known import KnownOptions
from gridrl.commands.options import LAUNCHER_OPTIONS, SHORTCUTS
from gridrl.commands.page import Page
from gridrl.commands.request import Key, Request, read_request
from gridrl.errors import BadValue, Problems
from gridrl.signature import read_signature
from gridrl.utils.names import default_shorthand
from gridrl.utils.settings import settings

TARGET = "gridrl.launch.program:run_program"
_NOT_FOR_PROGRAMS = ("preset", "log")
_SPREAD = re.compile(r"(range|linspace|logspace)\(")
_USAGE = "python -m gridrl.run script PROGRAM [WORD ...] [--key value [value ...]] [-- --key value ...]"


def main(words: Sequence[str]) -> int:
    """Runs a program once for each combination of the values of its options; gives the exit status.

    Raises:
        GridRLError: something is typed wrong, and nothing was started.
    """
    if not words or words[0] in ("--help", "-h", "help"):
        _print_help()
        return 0
    return algo.run_grid("script", TARGET, read_script(words), words)


def read_script(words: Sequence[str]) -> Request:
    """The grid that a command line asks for.

    >>> [(key.name, key.values) for key in read_script(["/bin/echo", "--lr", "1e-3", "1e-4"]).keys]
    [('command', (('/bin/echo',),)), ('options:lr', ('1e-3', '1e-4'))]

    Args:
        words: what stands behind `script`: the program, words for it, then options. Those that the launcher has are
            its own, up to a lone `--`; all others, and all behind that, are the program's.

    Raises:
        BadValue: there is no such program, or something is typed wrong.
    """
    problems = Problems()
    program = _program(words[0], problems)
    ours, theirs, fixed = _sorted_out(list(words[1:]), problems)
    problems.raise_if_any(BadValue)
    request = read_request(ours, KnownOptions(Path(program).name, read_signature(TARGET)))
    keys = [Key("command", ((program, *fixed),)), *(_option(flag) for flag in theirs)]
    if any(word.partition("=")[0] == "--seed" for word in ours):
        keys.append(Key("passes_seed", (True,)))
    launch = {"exp_name": Path(program).stem, **request.launch}
    if launch.get("num_cpu", 1) != 1:
        raise BadValue(
            "`--num_cpu`: a program is started as one process. A run of several ranks is done when each of them has "
            "said so, which a program of its own does not do. Let it start its ranks itself: `mpi_fork(n)` of gridrl "
            "in Python, or a shell script that calls mpiexec."
        )
    return Request((*keys, *request.keys), launch)


def _program(word: str, problems: Problems) -> str:
    path = Path(word).expanduser().absolute()
    if not path.is_file():
        problems.add(f"`{word}`: there is no such program. The first word behind `script` is its file.")
    elif path.suffix != ".py" and not os.access(path, os.X_OK):
        problems.add(f"`{word}`: is neither a `*.py` nor executable.")
    return str(path)


def _sorted_out(words: list[str], problems: Problems) -> tuple[list[str], list[Flag], list[str]]:
    """The launcher's words, the program's options, and the words that stand before all options."""
    begin = next((place for place, word in enumerate(words) if word.startswith("--")), len(words))
    fixed, rest = words[:begin], words[begin:]
    cut = rest.index("--") if "--" in rest else len(rest)
    ours: list[str] = []
    theirs: list[Flag] = []
    for flag in split_flags(rest[:cut], problems):
        if _is_ours(flag):
            ours += [flag.typed, *flag.words]
        else:
            theirs.append(flag)
    theirs += split_flags(rest[cut + 1 :], problems)
    names = [flag.typed for flag in theirs]
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        problems.add(f"`{name}`: is given twice. Several values stand behind one option.")
    return ours, theirs, fixed


def _is_ours(flag: Flag) -> bool:
    key = SHORTCUTS.get(flag.key, flag.key)
    return key in ("seed", "seeds") or (key in LAUNCHER_OPTIONS and key not in _NOT_FOR_PROGRAMS)


def _option(flag: Flag) -> Key:
    """An option of the program: its name and its values as they were typed, but for those that stand for several."""
    name = flag.typed.removeprefix("--")
    values = [str(value) for word in flag.words for value in (read_values(word) if _SPREAD.match(word) else [word])]
    usual = default_shorthand(name) if settings().DEFAULT_SHORTHAND else name
    return Key(f"options:{name}", tuple(values) or (True,), usual if flag.shorthand is None else flag.shorthand)


def _print_help() -> None:
    page = Page()
    page.lines([_USAGE, ""], indent=0)
    page.text(
        "Runs a program once for each combination of the values of its options: a *.py in a fresh interpreter, "
        "anything else that is executable as it is. Every run has a directory with its log and its records; finished "
        "ones are skipped when the same command is given again."
    )
    page.heading("What the program gets")
    page.rows(
        [
            ("--key value", "its options as typed, with one value each; {run_dir} and {seed} in them are replaced"),
            ("--seed N", "if you type --seed; --seeds N makes N runs without it"),
            ("GRIDRL_RUN_DIR", "the run directory, in its environment; GRIDRL_SEED and GRIDRL_ATTEMPT stand beside it"),
            ("SIGTERM, SIGUSR1", "when it is to make room; exit status 75, or 0 after a signal, means: preempted"),
        ]
    )
    page.heading("Options of the launcher", "behind a lone -- they are the program's")
    shown = [option for option in LAUNCHER_OPTIONS.values() if option.name not in (*_NOT_FOR_PROGRAMS, "num_cpu")]
    page.rows([(f"--{option.name}", option.meaning) for option in shown])
    page.heading("Examples")
    page.lines(
        [
            "python -m gridrl.run script train.py --lr 1e-3 1e-4 --seed 0 1 2 --jobs 2",
            "python -m gridrl.run script train.py fit --out {run_dir}/model.pt --seeds 3 -- --timeout 5",
        ]
    )
