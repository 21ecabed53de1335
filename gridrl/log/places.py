"""Where a run writes: the directory that belongs to a name and a seed, and a new one for a run without a name."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

from gridrl.errors import BadValue
from gridrl.utils.names import cut_name
from gridrl.utils.settings import settings


def setup_logger_kwargs(
    exp_name: str, seed: int | None = None, data_dir: str | Path | None = None, datestamp: bool = False
) -> dict[str, Any]:
    """Where an experiment writes: `data_dir/[YYYY-MM-DD_]exp_name/[YYYY-MM-DD_HH-MM-SS-]exp_name_s<seed>`.

    >>> setup_logger_kwargs("ppo-cartpole", seed=3, data_dir="/tmp/data")
    {'output_dir': '/tmp/data/ppo-cartpole/ppo-cartpole_s3', 'exp_name': 'ppo-cartpole'}

    Args:
        exp_name: the experiment's name; slashes make directories. A part of more than 150 bytes is cut and hashed.
        seed: None: no inner directory.
        data_dir: None: `DEFAULT_DATA_DIR` of `user_config.py`, `./data` unless set there.
        datestamp: puts the day, and the time of the inner directory, before the names; `FORCE_DATESTAMP` of
            `user_config.py` asks for them always.

    Returns:
        {"output_dir", "exp_name"}: keyword arguments of `Logger`. Nothing is made on the disk.

    Raises:
        BadValue: an empty name, or one that leads out of `data_dir`.
    """
    check_name(exp_name)
    parts = [cut_name(part) for part in exp_name.split("/")]
    known, now = settings(), time.localtime()
    is_stamped = datestamp or known.FORCE_DATESTAMP
    day = time.strftime("%Y-%m-%d_", now) if is_stamped else ""
    moment = time.strftime("%Y-%m-%d_%H-%M-%S-", now) if is_stamped else ""
    directory = Path(known.DEFAULT_DATA_DIR if data_dir is None else data_dir).expanduser() / f"{day}{'/'.join(parts)}"
    if seed is not None:
        directory /= f"{moment}{parts[-1]}_s{seed}"
    return {"output_dir": str(directory), "exp_name": exp_name}


def check_name(exp_name: object) -> None:
    """Makes sure that a name makes directories below the data directory.

    Raises:
        BadValue: it is empty, no text, or leads out of `data_dir`.
    """
    parts = exp_name.split("/") if isinstance(exp_name, str) else [""]
    if any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise BadValue(f"exp_name={exp_name!r}: a name is text, without empty parts, '.' and '..' between its slashes.")


def fresh_directory() -> Path:
    """A new directory `experiments/<time>[-<n>]` in the data directory."""
    parent = Path(settings().DEFAULT_DATA_DIR) / "experiments"
    parent.mkdir(parents=True, exist_ok=True)
    stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
    number = 1
    while True:
        directory = parent / (stamp if number == 1 else f"{stamp}-{number}")
        with contextlib.suppress(FileExistsError):
            directory.mkdir()
            return directory
        number += 1
