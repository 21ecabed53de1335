"""The words of the command line: what stands behind `python -m gridrl.run`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """Something that the command line can do, besides running an algorithm.

    Attributes:
        target: `"module:function"` of a function that takes the words behind the command and gives the exit status.
        meaning: one line for the help page.
    """

    target: str
    meaning: str


COMMANDS = {
    "status": Command("gridrl.commands.status:main", "how runs stand: epochs, time left, scores, errors"),
    "stop": Command("gridrl.commands.stop:main", "ends the runs below a directory, with their launcher"),
    "logs": Command("gridrl.commands.logs:main", "the end of what a run has printed; -f goes on with it"),
    "script": Command("gridrl.commands.script:main", "a program with options of its own, over a grid of their values"),
    "plot": Command("gridrl.commands.plot:main", "learning curves over seeds, to a file or a window"),
    "export": Command("gridrl.commands.export:main", "finished runs as CSV, Parquet, TensorBoard or W&B"),
    "table": Command("gridrl.commands.table:main", "final scores with intervals and tests, to read or for a paper"),
    "report": Command("gridrl.commands.report:main", "one HTML file with tables, curves, maps, logs, to send around"),
    "test_policy": Command("gridrl.commands.test_policy:main", "runs a trained policy; table of episodes, video"),
    "tensorboard": Command("gridrl.commands.tensorboard:main", "shows runs that were logged with --log tensorboard"),
    "help": Command("gridrl.commands.help:main", "this page; `help ppo` is `ppo --help`"),
}
"""The commands by name."""
