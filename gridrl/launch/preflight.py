"""What only an import can tell, told before anything starts, by a process that may import everything.

The launcher itself imports neither torch nor gymnasium. `python -m gridrl.launch.preflight` reads a question as JSON
on standard input and answers with one line of JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gridrl.build import resolve
from gridrl.errors import BackendError, BadValue, GridRLError
from gridrl.launch.payload import enter_place, place_here
from gridrl.stand_ins import StandIns
from gridrl.utils.serialization import canonical

_COMMAND = ["-P", "-m", "gridrl.launch.preflight"]
_ERROR_LINES = 5


@dataclass(frozen=True)
class Answer:
    """What a preflight has found.

    Attributes:
        canonical: the canonical text of what each dotted name stands for.
        faults: what is wrong with the others, with environments and with devices.
        numbers: how many numbers a step of an environment is for a replay; those that cannot be made are missing.
    """

    canonical: Mapping[str, str]
    faults: tuple[str, ...] = ()
    numbers: Mapping[str, int] = field(default_factory=dict)


def preflight(
    references: Iterable[str],
    environments: Iterable[tuple[str, tuple[str, ...]]],
    thunks: Iterable[str],
    devices: Iterable[str] = (),
    stand_ins: StandIns | None = None,
    sized: Iterable[str] = (),
    acting: Iterable[tuple[str, str, str]] = (),
) -> Answer:
    """Resolves dotted names, looks environments and devices up, in a process of its own, if there is anything to do.

    Args:
        references: dotted names, such as `torch.nn.ReLU`.
        environments: ids of environments, each with the names of the arguments that it is to get.
        thunks: `"module:function"` or `"file.py:function"`, whose modules may register environments; they are imported
            only for an environment that is not found without them. Ours register none.
        devices: what torch is to compute on, such as `cuda:1`.
        stand_ins: the copies of the user's sources that are asked in their place.
        sized: ids of environments whose steps a replay will keep.
        acting: algorithms that take one kind of actions only: name, id of the environment, the kind.

    Raises:
        BackendError: the process gave no answer.
    """
    question = {
        "references": sorted(set(references)),
        "environments": sorted(set(environments)),
        "thunks": sorted({thunk for thunk in thunks if not thunk.startswith("gridrl.")}),
        "devices": sorted(set(devices)),
        "sized": sorted(set(sized)),
        "acting": sorted(set(acting)),
        "place": place_here(stand_ins),
    }
    if not any(question[what] for what in ("references", "environments", "devices", "sized", "acting")):
        return Answer({})
    answer = _ask(question)
    return Answer(answer["canonical"], tuple(answer["faults"]), answer["numbers"])


def _ask(question: Mapping[str, Any]) -> Any:
    from gridrl.launch.local import worker_environment

    asked = subprocess.run(
        [sys.executable, *_COMMAND],
        input=json.dumps(question),
        capture_output=True,
        text=True,
        errors="replace",
        env=worker_environment(1),
        check=False,
    )
    if asked.returncode != 0:
        last = "\n".join(asked.stderr.strip().splitlines()[-_ERROR_LINES:])
        raise BackendError(f"The check of environments and references ended with {asked.returncode}:\n{last}")
    return json.loads(asked.stdout.splitlines()[-1])


def answer(question: Mapping[str, Any]) -> dict[str, Any]:
    """Answers a question of `preflight`, in the process that may import everything."""
    faults: list[str] = []
    texts: dict[str, str] = {}
    for path in question["references"]:
        try:
            texts[path] = _canonical_text(path)
        except BadValue as error:
            faults.append(f"`{path}`: {error}" if path not in str(error) else str(error))
        except Exception as error:
            faults.append(f"`{path}`: importing it failed: {type(error).__name__}: {error}")
    if question["environments"]:
        faults += _env_faults(question["environments"], question["thunks"])
    for device in question["devices"]:
        try:
            resolve("gridrl.algos.assembly:find_device")(device)
        except BadValue as error:
            faults.append(str(error))
    if not faults:
        look: Callable[[str, str, str], str | None] = resolve("gridrl.envs.scaling:action_fault")
        faults += [fault for asked in question["acting"] if (fault := look(*asked))]
    count: Callable[[str], int | None] = resolve("gridrl.envs.making:numbers_of_step")
    numbers = {name: count(name) for name in question["sized"]} if not faults else {}
    return {"canonical": texts, "faults": faults, "numbers": {name: n for name, n in numbers.items() if n is not None}}


def _canonical_text(path: str) -> str:
    found = resolve(path)
    try:
        return canonical(found)
    except BadValue:  # an object without a form of its own is known by its name
        return f"reference {path}"


def _env_faults(environments: list[tuple[str, list[str]]], thunks: list[str]) -> list[str]:
    check: Callable[[str, dict[str, None]], str | None] = resolve("gridrl.envs.making:check_env_id")
    asked = [(name, dict.fromkeys(arguments)) for name, arguments in environments]
    if not any(check(name, arguments) for name, arguments in asked):
        return []
    for thunk in thunks:
        with contextlib.suppress(Exception):  # why it cannot be imported is told by its run
            resolve(thunk)
    return [fault for name, arguments in asked if (fault := check(name, arguments))]


def main() -> int:
    """Answers the question on standard input; what modules print on import goes to standard error."""
    question = json.loads(sys.stdin.read())
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    enter_place(question["place"])
    try:
        found = answer(question)
    except GridRLError as error:
        print(error, file=sys.stderr)
        return 1
    with out:
        print(json.dumps(found), file=out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
