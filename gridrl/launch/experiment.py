"""`call_experiment`: one function, one set of hyperparameters, one run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gridrl.errors import BadValue, ExperimentFailed
from gridrl.launch.arguments import LOGGER_KWARGS
from gridrl.launch.execution import execute
from gridrl.launch.order import Order, data_directory
from gridrl.launch.report import one_line
from gridrl.launch.result import RunResult
from gridrl.launch.variants import SEED, Parameter, own_copy
from gridrl.utils.console import colorize, say
from gridrl.utils.files import RunPaths, log_tail
from gridrl.utils.serialization import convert_json

_LOG_LINES = 20


def call_experiment(
    exp_name: str,
    thunk: Callable[..., Any] | str,
    seed: int = 0,
    num_cpu: int | str = 1,
    data_dir: str | Path | None = None,
    datestamp: bool = False,
    **kwargs: Any,
) -> RunResult:
    """Runs a function with hyperparameters, in processes and a directory of its own.

    A run that is done already is not repeated. One that was asked to make room, and has stopped in order, is no
    failure: its record says "preempted", and the same call goes on with it.

    Args:
        exp_name: its name; slashes make directories.
        thunk: a function, `"module:function"` or `"file.py:function"`. It gets `seed` and `logger_kwargs`, if it takes
            them, and `env_fn` in the place of `env_name` and `env_kwargs`.
        seed: of all random generators.
        num_cpu: MPI ranks; "auto": one for each physical core.
        data_dir: where the run directory goes; None: `DEFAULT_DATA_DIR` of `user_config.py`.
        datestamp: puts date and time into the name of a new directory.
        **kwargs: the thunk's keywords. `logger_kwargs` among them are added to the launcher's; its `output_dir` is
            then the run directory.

    Raises:
        ExperimentFailed: the run ended without success; it carries name, directory, exit code, rank and log.
        GridRLError: something is wrong with the arguments; nothing has been started.
    """
    if not isinstance(exp_name, str) or not exp_name:
        raise BadValue(f"exp_name={exp_name!r}: the name of an experiment is a text of at least one character.")
    variant = {**{key: own_copy(value) for key, value in kwargs.items()}, SEED: seed}
    order = Order(
        grid=exp_name,
        variants=[(exp_name, variant)],
        thunk=thunk,
        data_dir=data_directory(data_dir),
        num_cpu=num_cpu,
        datestamp=datestamp,
        keys=tuple(Parameter(key, (value,)) for key, value in variant.items()),
    )
    result = execute(order, lambda: _introduce(exp_name, variant))[0]
    if not result.ok and result.state != "preempted":
        raise experiment_failed(result)
    return result


def _introduce(exp_name: str, variant: dict[str, Any]) -> None:
    say(f"{colorize('Running experiment:', 'cyan', bold=True)} {one_line(exp_name)}")
    say(colorize("with kwargs:", "cyan", bold=True))
    say(json.dumps(convert_json(variant), sort_keys=True, indent=4, separators=(",", ":\t")))
    if LOGGER_KWARGS in variant:
        say("Note: the logger_kwargs given are added to those of the launcher.")


def experiment_failed(run: RunResult) -> ExperimentFailed:
    """The error that tells of a run without success, with the last lines of its log."""
    paths = RunPaths(run.run_dir)
    log = paths.rank_stdout(run.rank or 0)
    tail = "\n".join(log_tail(log, _LOG_LINES))
    how = "" if run.exit_code is None else f" (exit status {run.exit_code})"
    message = f"{one_line(run.name)} with seed {run.seed} {run.state}{how}: {run.error}\nIts log: {one_line(log)}"
    if tail:
        message += f"\nThe last lines:\n{tail}"
    return ExperimentFailed(
        message, name=run.name, run_dir=run.run_dir, exit_code=run.exit_code, rank=run.rank, log_tail=tail
    )
