"""`config.json`: what a run is, complete enough to start it again, and its first status."""

from __future__ import annotations

import functools
import platform
import shlex
import sys
import time
from collections.abc import Mapping
from importlib import metadata
from typing import Any

import gridrl
from gridrl.errors import BackendError, DiskFull
from gridrl.launch.order import Order
from gridrl.launch.spec import RunSpec
from gridrl.log.code_record import CodeRecord
from gridrl.log.disk import told_when_full
from gridrl.log.record import Status, read_status, write_status
from gridrl.utils.files import RunPaths, read_json, write_json
from gridrl.utils.serialization import convert_json

_PACKAGES = ("torch", "numpy", "gymnasium", "mpi4py")


def make_config(spec: RunSpec, order: Order, threads: int) -> dict[str, Any]:
    """What `config.json` says of a run, apart from its name.

    Args:
        spec: the run.
        order: how it was asked for.
        threads: of each rank.
    """
    variant = spec.shown_variant()
    environment = variant.get("env_name")
    return {
        "grid": spec.grid,
        "run_id": spec.run_id,
        "variant_id": spec.variant_id,
        "variant": variant,
        "seed": spec.seed,
        "thunk": spec.thunk.identity,
        "code": CodeRecord(spec.code.hash).within(),
        "num_cpu": spec.num_cpu,
        "threads": threads,
        "env": None if environment is None else {"id": environment, "kwargs": variant.get("env_kwargs", {})},
        "grows": convert_json(dict(spec.grows)),
        "epochs": _planned_epochs(spec),
        "snapshot": None,
        "versions": dict(_versions()),
        "preset": order.preset,
        "command": command_of(order),
    }


def _planned_epochs(spec: RunSpec) -> int | None:
    """The rows that the run is to write, where the thunk has a parameter `epochs`, given or by default."""
    parameter = spec.thunk.signature.get("epochs")
    epochs = spec.variant.get("epochs", parameter.default if parameter is not None else None)
    return epochs if isinstance(epochs, int) and not isinstance(epochs, bool) else None


@functools.cache
def _versions() -> Mapping[str, str]:
    versions = {"gridrl": gridrl.__version__, "python": platform.python_version(), "platform": _platform()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _platform() -> str:
    """Operating system and processor: what may change the last digits."""
    return f"{platform.system()} {platform.machine()}"


def command_of(order: Order) -> str:
    """How an order was given."""
    if order.command is not None:
        return order.command
    words = shlex.join(["python", *sys.orig_argv[1:]])
    return words.encode(errors="backslashreplace").decode()


def queue_run(paths: RunPaths, config: Mapping[str, Any]) -> None:
    """Makes a run directory, or takes an old one over, with the run's configuration and the status "queued".

    What an algorithm has added to the configuration stays until it writes it anew.

    Raises:
        DiskFull: no room.
        OSError: the directory cannot be written.
    """
    before = read_status(paths.root)
    with told_when_full(paths.root, "the run directory was not made"):
        paths.root.mkdir(parents=True, exist_ok=True)
    known = read_json(paths.config)
    algorithm = {"algorithm": known["algorithm"]} if isinstance(known, dict) and "algorithm" in known else {}
    with told_when_full(paths.config, "the configuration was not written"):
        write_json(paths.config, {**config, **algorithm})
    attempt = 1 if before is None else before.attempt + (before.started is not None)
    if attempt > 1:
        _mark_log(paths, attempt)
    write_status(paths.root, Status("queued", attempt=attempt))


def accept_code(paths: RunPaths, present: str) -> None:
    """Notes that a finished run counts as made by the present code; the former hash stays in a list.

    Raises:
        DiskFull: no room.
        BackendError: the file cannot be written.
    """
    config = read_json(paths.config)
    if not isinstance(config, dict) or not (record := CodeRecord.of(config)).is_other(present):
        return
    try:
        with told_when_full(paths.config, "that its code is accepted was not noted"):
            write_json(paths.config, {**config, "code": record.accepting(present).within(config["code"])})
    except DiskFull:
        raise
    except OSError as error:
        raise BackendError(f"{paths.config} cannot be written: {error.strerror or error}.") from error


def _mark_log(paths: RunPaths, attempt: int) -> None:
    """The log of an earlier attempt stays; a line says where the next one begins."""
    if paths.stdout.exists():
        with told_when_full(paths.stdout, "the log was not continued"), open(paths.stdout, "a") as log:
            log.write(f"--- attempt {attempt}, {time.strftime('%Y-%m-%d %H:%M:%S')} ---\n")
