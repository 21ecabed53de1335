"""How to do it again: the part of a report with commands, code, versions and machines, as recorded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gridrl.log.code_record import CodeRecord
from gridrl.results.markup import Content, Html, element
from gridrl.results.page_parts import counted, note, pairs, section
from gridrl.results.run import Run
from gridrl.results.table import Table
from gridrl.utils.files import GridPaths, SnapshotPaths, read_json

_DIFF_BYTES = 100_000  # of the changes since a commit
_CONFIGURED = (("function", "thunk"), ("preset", "preset"), ("ranks", "num_cpu"), ("threads per rank", "threads"))
_DESCRIBED = ("platform", "cpu", "cores", "memory_mb", "executable")


@dataclass(frozen=True)
class Kept:
    """What a launch has kept of its surroundings.

    Attributes:
        paths: its files.
        runs: how many runs of the report belong to it.
        description: its `snapshot.json`.
    """

    paths: SnapshotPaths
    runs: int
    description: Mapping[str, Any]


def reproduce_section(table: Table) -> Html:
    """The commands that started the runs, and what they ran with."""
    members = [member for row in table.rows for member in row.members]
    configs = [member.run.config for member in members]
    commands = _counts(config.get("command") for config in configs)
    parts: list[Content] = [element("h3", "Commands")]
    parts += [_command(command, count) for command, count in commands.items()]
    if not commands:
        parts.append(note("No run has recorded the command that started it."))
    facts = _facts(configs, _counts(member.standing.host for member in members))
    parts += [element("h3", "What they ran with"), pairs("What they ran with", facts)] if facts else []
    parts += [_snapshot(kept) for kept in snapshots_of([member.run for member in members])]
    return section("reproduce", "How to do it again", *parts)


def _command(command: str, count: int) -> Html:
    return Html(element("pre", command, tabindex=0) + note(f"started {counted(count, 'run')}"))


def _counts(values: Iterable[Any]) -> dict[str, int]:
    """How often each text stands there; others and empty ones are left out."""
    counts: dict[str, int] = {}
    for value in values:
        if isinstance(value, str) and value:
            counts[value] = counts.get(value, 0) + 1
    return counts


def _facts(configs: Sequence[Mapping[str, Any]], hosts: Mapping[str, int]) -> list[tuple[str, Content]]:
    """Functions, versions and hosts: each once, with the number of runs where they differ."""
    versions = [found for config in configs if isinstance(found := config.get("versions"), Mapping)]
    names = dict.fromkeys(str(name) for version in versions for name in version)
    rows = [(title, _counts(_text(config.get(key)) for config in configs)) for title, key in _CONFIGURED]
    rows.append(("hash of the code", _counts(", ".join(CodeRecord.of(config).hashes) for config in configs)))
    rows += [(name, _counts(_text(version.get(name)) for version in versions)) for name in names]
    rows.append(("host", dict(hosts)))
    return [(name, _told(counts)) for name, counts in rows if counts]


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _told(counts: Mapping[str, int]) -> str:
    if len(counts) == 1:
        return next(iter(counts))
    return ", ".join(f"{value} ({counted(count, 'run')})" for value, count in counts.items())


def snapshots_of(runs: Iterable[Run]) -> list[Kept]:
    """What the launches of these runs have kept, each once; what is gone or damaged is left out."""
    counts: dict[Path, int] = {}
    for run in runs:
        grid, name = run.config.get("grid"), run.config.get("snapshot")
        if isinstance(grid, str) and isinstance(name, str) and name == Path(name).name:
            found = GridPaths.of_run(run.dir, grid)
            if found is not None:
                counts[found.snapshots / name] = counts.get(found.snapshots / name, 0) + 1
    kept = []
    for root, count in counts.items():
        paths = SnapshotPaths(root)
        description = read_json(paths.description)
        if isinstance(description, dict):
            kept.append(Kept(paths, count, description))
    return kept


def _snapshot(kept: Kept) -> Html:
    """The commits, the machine, the packages and the changes since the commits."""
    known = kept.description
    facts: list[tuple[str, Content]] = [("sources", element("code", str(kept.paths.sources)))]
    facts += [("commit", _commit(tree)) for tree in _list(known.get("git")) if isinstance(tree, Mapping)]
    facts += [(name, _text(known.get(name))) for name in _DESCRIBED if known.get(name) is not None]
    return Html(
        element("h3", f"Kept at the launch of {counted(kept.runs, 'run')}")
        + pairs("Kept at the launch", facts)
        + _folded("packages", known.get("packages"))
        + _folded("variables of the environment", known.get("variables"))
        + _diff(kept.paths.diff)
    )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _commit(tree: Mapping[str, Any]) -> Content:
    changed = ", with changes that were not committed" if tree.get("dirty") else ""
    branch = f" ({tree['branch']})" if tree.get("branch") else ""
    return [element("code", _text(tree.get("commit")) or "none"), f"{branch} of {_text(tree.get('root'))}{changed}"]


def _folded(title: str, values: Any) -> Html:
    if not isinstance(values, Mapping) or not values:
        return Html()
    rows = [(str(name), _text(value)) for name, value in values.items()]
    return element("details", element("summary", f"{len(rows)} {title}"), pairs(title, rows))


def _diff(path: Path) -> Html:
    """The changes since the commit."""
    try:
        with open(path, "rb") as file:
            content = file.read(_DIFF_BYTES + 1)
    except OSError:
        return Html()
    if not content.strip():
        return Html()
    text = content[:_DIFF_BYTES].decode(errors="replace")
    more = note(f"The rest stands in {path}.") if len(content) > _DIFF_BYTES else ""
    return element("details", element("summary", "Changes since the commit"), element("pre", text, tabindex=0), more)
