"""`ExperimentGrid`: keyed ranges of hyperparameters, expanded to variants and run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from gridrl.errors import BadValue
from gridrl.launch.execution import execute
from gridrl.launch.handle import GridHandle
from gridrl.launch.limits import Limits
from gridrl.launch.naming import Names
from gridrl.launch.order import Order, data_directory
from gridrl.launch.report import one_line
from gridrl.launch.result import GridResult
from gridrl.launch.resuming import Resume
from gridrl.launch.variants import SEED, Parameter, check_parameter, expand
from gridrl.utils.console import colorize, say
from gridrl.utils.names import default_shorthand
from gridrl.utils.serialization import convert_json
from gridrl.utils.settings import settings

_WIDTH = 80


class ExperimentGrid:
    """Runs a function for every combination of the values of its keys.

    >>> grid = ExperimentGrid("ppo")
    >>> grid.add("ac_kwargs:hidden_sizes", [[64, 64], [32]], "hid")
    >>> grid.add("seed", [0, 10])
    >>> grid.variants()[3]
    {'ac_kwargs': {'hidden_sizes': [32]}, 'seed': 10}
    >>> grid.variant_name(grid.variants()[3])
    'ppo_hid32'

    Args:
        name: first part of every variant's name; slashes make directories.
    """

    def __init__(self, name: str = "") -> None:
        self._parameters: list[Parameter] = []
        self._names: Names | None = None
        self.name(name)

    def name(self, _name: str) -> None:
        """Names the grid.

        Raises:
            BadValue: the name is no text.
        """
        if not isinstance(_name, str):
            raise BadValue(f"Name has to be a string, not {_name!r}.")
        self._name = _name
        self._names = None

    @property
    def keys(self) -> list[str]:
        """The keys, in the order in which they were added."""
        return [parameter.key for parameter in self._parameters]

    @property
    def vals(self) -> list[list[Any]]:
        """The values of each key."""
        return [list(parameter.values) for parameter in self._parameters]

    @property
    def shs(self) -> list[str | None]:
        """The shorthand of each key: the given one, else the default one; None where these are turned off."""
        return [self._shorthand(parameter) for parameter in self._parameters]

    @property
    def in_names(self) -> list[bool]:
        """Whether each key stands in names even where it has one value."""
        return [parameter.in_name for parameter in self._parameters]

    def add(self, key: str, vals: Any, shorthand: str | None = None, in_name: bool = False) -> None:
        """Adds a key with its values.

        Args:
            key: a keyword of the thunk. Colons lead into dicts: `ac_kwargs:hidden_sizes`.
            vals: a list is several values, one run each; anything else (a tuple, a range, an array, text) is one.
                One value that is a list is written `[[64, 64]]`.
            shorthand: how the key is called in names; "" shows the value alone. None: the default shorthand.
            in_name: whether the key stands in names even if it has one value.

        Raises:
            BadValue: the key or the shorthand is no text, or a part of the key is empty.
            EmptyGrid: an empty list.
            DuplicateKey: the key was added before, or a value stands in the list twice.
            ClashingKeys: the key is a value in one place and a dict in another, as `a` and `a:b` can be.
        """
        if not isinstance(key, str):
            raise BadValue(f"Key must be a string, not {key!r}.")
        if not (shorthand is None or isinstance(shorthand, str)):
            raise BadValue(f"Shorthand must be a string, not {shorthand!r}.")
        parameter = Parameter(key, tuple(vals) if isinstance(vals, list) else (vals,), shorthand, bool(in_name))
        check_parameter(parameter, self._parameters)
        self._parameters.append(parameter)
        self._names = None

    def _default_shorthand(self, key: str) -> str:
        """The first three characters of each colon-separated part, letters and digits only."""
        return default_shorthand(key)

    def _shorthand(self, parameter: Parameter) -> str | None:
        if parameter.shorthand is not None or not settings().DEFAULT_SHORTHAND:
            return parameter.shorthand
        return self._default_shorthand(parameter.key)

    def variants(self) -> list[dict[str, Any]]:
        """All combinations as nested dicts, the first key varying slowest; they share nothing that can be changed.

        Raises:
            EmptyGrid: no key was added.
        """
        return list(expand(self._parameters))

    def variant_name(self, variant: Mapping[str, Any]) -> str:
        """The name of a variant: the grid's, then shorthand and value of each key that varies; the seed is left out.

        Variants whose readable names would be equal (`a/b` and `a-b`, 1.0 and "1-0") get a short hash.

        Raises:
            BadValue: the variant lacks a key that varies in the grid.
        """
        if self._names is None:
            self._names = Names(self._name, self._parameters, settings().DEFAULT_SHORTHAND)
        return self._names.of(variant)

    def print(self) -> None:
        """Prints the keys with their values, and how many variants they make."""
        say("=" * _WIDTH)
        title = f"ExperimentGrid [{one_line(self._name)}]"
        gap = " " if len(title) + len(" runs over parameters:") <= _WIDTH else "\n"
        say(f"{title}{gap}runs over parameters:", "green", True)
        say("")
        for parameter in self._parameters:
            shorthand = self._shorthand(parameter)
            bracketed = "" if shorthand is None else f" [{shorthand}]"
            say(f" {colorize(parameter.key.ljust(40), 'cyan', bold=True)}{bracketed}\n")
            for value in parameter.values:
                say(f"\t{one_line(convert_json(value))}")
            say("")
        seeds = next((len(p.values) for p in self._parameters if p.key == SEED), 1)
        total = math.prod(len(p.values) for p in self._parameters) if self._parameters else 0
        say(f"{' Variants, counting seeds: '.ljust(40)} {total}")
        say(f"{' Variants, not counting seeds: '.ljust(40)} {total // seeds}")
        say("=" * _WIDTH)

    def run(
        self,
        thunk: Callable[..., Any] | str,
        num_cpu: int | str = 1,
        data_dir: str | Path | None = None,
        datestamp: bool = False,
        *,
        jobs: int | None = None,
        log: str | Iterable[str] = (),
        dry_run: bool = False,
        command: str | None = None,
        preset: str | None = None,
        only_failed: bool = False,
        force: bool | str = False,
        fresh: bool = False,
        accept_code: bool = False,
        retries: int = 0,
        timeout: float | None = None,
        fail_fast: bool = False,
        max_failures: int | None = None,
        threads: int = 1,
        affinity: bool = False,
        gpus_per_run: float = 0,
        max_memory: str | None = None,
        isolation: str = "auto",
        live_code: bool = False,
        code: str | None = None,
    ) -> GridResult:
        """Runs the thunk for every variant, each in processes and a directory of its own.

        Runs that are done are skipped, others start again or go on from their checkpoint. Every variant's first seed
        starts before any variant's second. A run that fails does not stop the others; only where the first five all
        fail alike no more are started, unless `max_failures` says how many are too many.

        Args:
            thunk: a function, `"module:function"`, `"file.py:function"`, or a key of the grid whose values are
                functions. It gets the variant as keywords; also `seed` and `logger_kwargs`, if it takes them, and
                `env_fn` in the place of `env_name` and `env_kwargs`.
            num_cpu: MPI ranks of each run; "auto": one for each physical core.
            data_dir: where the run directories go; None: `DEFAULT_DATA_DIR` of `user_config.py`.
            datestamp: puts date and time into the names of new directories.
            jobs: how many runs at once; None: usable cores divided by ranks and threads.
            log: sinks beside the progress file and the terminal, such as "tensorboard".
            dry_run: shows the runs with their states and directories, and starts nothing.
            command: how this was asked for, noted in `config.json`; None: this program's command line.
            preset: the name of the published set of defaults that is among the keys, noted there too.
            only_failed: only the runs that were started before and did not get to their end.
            force: runs that are done run again, from nothing; what they made moves to `<data_dir>/.trash/`. "stale":
                only those that were done under other code than they would call now.
            fresh: everything that this grid has made so far moves there, and all runs start from nothing.
            accept_code: runs that were done under other code count as made by the present code, from now on.
            retries: how often a run that has failed, was killed or took too long is started again.
            timeout: seconds that a run may take, each time that it is started; then it is ended. None: any number.
            fail_fast: whether the first run that fails ends the others.
            max_failures: after so many failed runs no more are started.
            threads: of each rank, for numerical libraries; noted in `config.json`, as another number can give other
                last digits.
            affinity: whether each run is bound to cores that no other run of this grid is bound to (Linux).
            gpus_per_run: accelerators of each run, which sees them alone (CUDA_VISIBLE_DEVICES); below 1, such as 0.5,
                so many runs share one: that is counted, but nothing keeps them from taking all of its memory.
            max_memory: what a run may have resident with all that it has started, as in "4G"; over it, it is ended and
                has failed. It is looked at about once a second. None: any amount.
            isolation: "auto": several runs of one rank are forked, on Linux, from a process that has imported what
                they need, which takes milliseconds and changes no digit; "fresh": each gets an interpreter of its own.
            live_code: whether runs import your modules as they are when a run starts; else from a copy that is made
                when the grid starts, so that an edit meanwhile changes nothing.
            code: "old" or "new": what runs go on with that were queued before your code changed and are not done, the
                copy of then or what is there now. None: where that question comes up, it is asked.

        Returns:
            A record of each run, in the order of `variants()`.

        Raises:
            GridRLError: something is wrong with the grid, the thunk or the options; nothing has been started.
            KeyboardInterrupt: Ctrl-C; what was running has been ended and recorded as killed.
        """
        variants = self.variants()
        order = Order(
            grid=self._name,
            variants=[(self.variant_name(variant), variant) for variant in variants],
            thunk=thunk,
            data_dir=data_directory(data_dir),
            varying=frozenset(p.path[0] for p in self._parameters if len(p.values) > 1),
            num_cpu=num_cpu,
            datestamp=datestamp,
            jobs=jobs,
            log=(log,) if isinstance(log, str) else tuple(log),
            command=command,
            preset=preset,
            dry_run=dry_run,
            resume=Resume(only_failed, force, fresh, accept_code),
            limits=Limits(retries, timeout, fail_fast, max_failures, threads, affinity, gpus_per_run, max_memory),
            isolation=isolation,
            keys=tuple(self._parameters),
            live_code=live_code,
            code=code,
        )
        return execute(order, self.print)

    def start(self, thunk: Callable[..., Any] | str, *args: Any, **options: Any) -> GridHandle:
        """Runs the grid in a thread, see `run`, which takes the same arguments; the program goes on meanwhile.

        Raises:
            GridRLError: something is wrong with the grid, the thunk or the options; nothing has been started.
        """
        return GridHandle(lambda: self.run(thunk, *args, **options))
