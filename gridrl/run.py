"""The front door of the command line: `python -m gridrl.run`, and the script `gridrl`."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
import warnings
from collections.abc import Sequence

from gridrl.commands.front import dispatch
from gridrl.errors import ExperimentFailed, GridError, GridRLError, GridRLWarning, UnknownCommand, UsageError

DONE, FAILED, TYPED_WRONG, INTERRUPTED = 0, 1, 2, 130
"""The exit statuses."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line.

    >>> main(["pop"])
    2

    Args:
        argv: the words behind `python -m gridrl.run`; None: those of this process.

    Returns:
        The exit status: 0 everything is done, 1 a run failed, 2 something is typed wrong, 75 runs were asked to make
        room and go on with the same command, 130 interrupted.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        status = dispatch(words)
        if sys.stdout is not None:  # it may have been closed from the start
            sys.stdout.flush()
        return status
    except GridRLError as error:
        _complain(error, words)
        return FAILED if isinstance(error, ExperimentFailed) else TYPED_WRONG
    except SystemExit as end:  # of a help page, or of rich when the pipe was closed
        return end.code if isinstance(end.code, int) else DONE
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _forget_stdout()
        return FAILED
    except OSError as error:
        if not _is_stdout_broken():
            raise
        _forget_stdout()
        with contextlib.suppress(OSError):
            print(f"Standard output cannot be written: {error.strerror or error}.", file=sys.stderr)
        return FAILED


def _is_stdout_broken() -> bool:
    """Whether what was printed cannot be written where standard output leads, such as a file on a full disk."""
    try:
        if sys.stdout is not None:
            print(end="", flush=True)
    except (OSError, ValueError):
        return True
    return False


def _complain(error: GridRLError, words: Sequence[str]) -> None:
    text = str(error)
    if isinstance(error, (UsageError, GridError)):
        command = f"{shlex.quote(words[0])} " if words and not isinstance(error, UnknownCommand) else ""
        text += "\n" if "\n" in text else " "
        text += f"See `python -m gridrl.run {command}--help`."
    with contextlib.suppress(BrokenPipeError):
        print(text, file=sys.stderr)


def _forget_stdout() -> None:
    """Whoever read our output has gone: what is left in the buffer goes nowhere, without a complaint at the exit."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _one_line(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    if issubclass(category, GridRLWarning):
        return f"Warning: {message}\n"
    return f"{filename}:{lineno}: {category.__name__}: {message}\n"


def entry() -> None:
    """The script `gridrl`: the same as `python -m gridrl.run`."""
    warnings.formatwarning = _one_line
    sys.exit(main())


if __name__ == "__main__":
    entry()
