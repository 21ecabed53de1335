"""The two tables of names that gridrl adds to an algorithm's own options: shortcuts, and the launcher's options."""

from __future__ import annotations

from dataclasses import dataclass

SHORTCUTS = {
    "env": "env_name",
    "hid": "ac_kwargs:hidden_sizes",
    "act": "ac_kwargs:activation",
    "cpu": "num_cpu",
    "dt": "datestamp",
}
"""Short forms of options, each with the key that it stands for."""

BUILDERS = {"ac_kwargs": "actor_critic"}
"""Parameters that hold keyword arguments, each with the parameter whose default is called with them."""


@dataclass(frozen=True)
class LauncherOption:
    """An option that says how runs are started; no algorithm sees it.

    Attributes:
        name: its name on the command line.
        annotation: what it takes, written like the annotation of a parameter.
        default: what holds without it, in words.
        meaning: one sentence for the help page.
        takes_several: whether more than one value may stand behind it.
        least: the smallest number that makes sense.
    """

    name: str
    annotation: str
    default: str
    meaning: str
    takes_several: bool = False
    least: int | None = None


_TABLE = (
    LauncherOption("exp_name", "str", "the algorithm's name", "first part of every run's name"),
    LauncherOption("data_dir", "Path", "./data", "where the run directories land"),
    LauncherOption("jobs", "int", "cores / (ranks * threads)", "how many runs at once", least=1),
    LauncherOption("num_cpu", "int | Literal['auto']", "1", "MPI ranks of each run; auto: every core", least=1),
    LauncherOption("preset", "str", "-", "a published set of values, see below"),
    LauncherOption("log", "str", "-", "tensorboard, wandb: where rows go besides progress.txt", takes_several=True),
    LauncherOption("datestamp", "bool", "False", "date and time in the names of directories"),
    LauncherOption("only_failed", "bool", "False", "only the runs that failed, were killed or lost before"),
    LauncherOption(
        "force",
        "bool | Literal['stale']",
        "False",
        "run again what is done (stale: only what was done under other code); what it made moves to .trash in data_dir",
    ),
    LauncherOption("accept_code", "bool", "False", "what was done under other code counts as made by the present one"),
    LauncherOption("fresh", "bool", "False", "move all that this grid has made to .trash, start from nothing"),
    LauncherOption("retries", "int", "0", "how often a failed run is started again", least=0),
    LauncherOption("timeout", "float", "none", "seconds that a run may take; then it is ended"),
    LauncherOption("fail_fast", "bool", "False", "the first run that fails ends the others"),
    LauncherOption(
        "max_failures", "int", "none, but five alike at the start", "so many failures: no more are started", least=1
    ),
    LauncherOption("threads", "int", "1", "threads of each rank, for numerical libraries", least=1),
    LauncherOption("affinity", "bool", "False", "bind each run to cores of its own"),
    LauncherOption(
        "gpus_per_run",
        "float",
        "0",
        "accelerators that each run sees; 0.5: two runs share one, which is counted but isolates nothing",
    ),
    LauncherOption("max_memory", "str", "none", "memory of a run, such as 4G; a run that has more resident is ended"),
    LauncherOption("isolation", "Literal['auto', 'fresh']", "auto", "fresh: no run is forked off a preloaded process"),
    LauncherOption("live_code", "bool", "False", "import your modules as each run finds them, not a copy made now"),
    LauncherOption("code", "Literal['old', 'new']", "asked where it matters", "runs queued before your code changed"),
    LauncherOption("detach", "bool", "False", "go on in the background, without this terminal"),
    LauncherOption("dry_run", "bool", "False", "show the runs, start nothing"),
)

LIMITS = ("retries", "timeout", "fail_fast", "max_failures", "threads", "affinity", "gpus_per_run", "max_memory")
"""The options that say what is done about runs that fail, hang or want too much."""

LAUNCHER_OPTIONS = {option.name: option for option in _TABLE}
"""The launcher's options by name."""
