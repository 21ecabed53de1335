"""The parts of a report that go into detail: runs that went wrong, configurations, every run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from gridrl.log.record import read_status
from gridrl.results.facets import short_keys
from gridrl.results.markup import Content, Html, element
from gridrl.results.page_parts import counted, note, pairs, scrolling, section, sortable, state_text
from gridrl.results.run import Run
from gridrl.results.summary import Member, VariantSummary
from gridrl.results.table import Table
from gridrl.utils.files import RunPaths, log_tail
from gridrl.utils.texts import duration, number

MOST_LOGS = 100
"""The logs of so many runs stand in a report."""

LOG_LINES = 40
"""So many of their last lines, and of a traceback's."""

_LOG_LETTERS = 10_000  # of a tail, whose lines may be long
_MOST_CONFIGS = 200
_WENT_WRONG = ("failed", "killed", "timeout", "lost")


def failed_section(table: Table) -> Html:
    """The runs that went wrong, each with the end of its traceback and of its log."""
    wrong = [(row, member) for row in table.rows for member in row.members if member.state in _WENT_WRONG]
    if not wrong:
        return section("failed", "Failed runs", note("No run went wrong."))
    told = [_failed(row, member) for row, member in wrong[:MOST_LOGS]]
    if len(wrong) > MOST_LOGS:
        told.append(note(f"{len(wrong) - MOST_LOGS} more went wrong; their logs stand in their directories."))
    return section("failed", "Failed runs", *told)


def _failed(row: VariantSummary, member: Member) -> Html:
    paths = RunPaths(member.run.dir)
    status = read_status(paths.root)
    rank = status.rank if status and status.rank else 0
    title = [state_text(member.state), " ", _run_name(row, member.run)]
    if member.standing.error:
        title += [": ", element("code", member.standing.error)]
    facts = [str(member.run.dir)]
    if member.standing.host:
        facts.append(f"on {member.standing.host}")
    if member.standing.elapsed_s is not None:
        facts.append(f"after {duration(member.standing.elapsed_s)}")
    return element(
        "details",
        element("summary", *title),
        note(", ".join(facts)),
        _tail("The end of its traceback", paths.error),
        _tail(f"The end of its log{f' (rank {rank})' if rank else ''}", paths.rank_stdout(rank)),
        class_="failed-run",
        data_print=True,
    )


def _tail(title: str, path: Path) -> Content:
    lines = log_tail(path, LOG_LINES)
    if not lines:
        return None
    text = "\n".join(lines)
    shown = text if len(text) <= _LOG_LETTERS else f"\u2026{text[-_LOG_LETTERS:]}"
    return [element("h3", title), element("pre", shown, tabindex=0, class_="tail")]


def _run_name(row: VariantSummary, run: Run) -> str:
    return row.label if run.seed is None else f"{row.label} s{run.seed}"


def configs_section(table: Table) -> Html:
    """What all variants share, what they differ in, and the whole configuration of each."""
    keys = table.keys
    shared = {key: value for row in table.rows[:1] for key, value in row.settings.items() if key not in keys}
    parts: list[Content] = [
        element("h3", "The same in all variants"),
        pairs("The same in all variants", shared.items()) if shared else note("Nothing."),
    ]
    parts += [element("h3", "What differs"), _differences(table, keys) if keys else note("Nothing is recorded.")]
    with_config = [row for row in table.rows if row.members[0].run.config]
    if with_config:
        shown = [_config(row) for row in with_config[:_MOST_CONFIGS]]
        title = f"Whole configurations: {counted(len(shown), 'variant')} of {len(table.rows)}"
        parts.append(element("details", element("summary", title), *shown))
    return section("configs", "Configurations", *parts)


def _differences(table: Table, keys: Sequence[str]) -> Html:
    head = [element("th", title, scope="col") for title in ("variant", *short_keys(keys))]
    body = [
        element(
            "tr",
            element("th", row.label, scope="row"),
            *(element("td", row.settings.get(key, ""), class_="setting") for key in keys),
        )
        for row in table.rows
    ]
    return scrolling("What differs", head, body)


def _config(row: VariantSummary) -> Html:
    run = row.members[0].run
    text = json.dumps(run.config, indent=2, ensure_ascii=False)
    return element(
        "details",
        element("summary", f"config.json of {_run_name(row, run)}"),
        element("pre", text, tabindex=0),
        class_="config",
    )


def runs_section(table: Table) -> Html:
    """Every run in a line."""
    titles = ("run", "state", "score", "steps", "time", "host", "directory")
    head = [sortable(title, is_left=title not in ("score", "steps", "time")) for title in titles]
    body = [_run_row(row, member) for row in table.rows for member in row.members]
    inner = scrolling("Every run", head, body)
    return section("runs", "Runs", element("details", element("summary", counted(len(body), "run")), inner))


def _run_row(row: VariantSummary, member: Member) -> Html:
    name, steps, seconds = _run_name(row, member.run), member.steps, member.seconds
    return element(
        "tr",
        element("th", name, scope="row", data_v=name),
        element("td", state_text(member.state or "found"), data_v=member.state),
        element("td", number(member.score), class_="number", data_v=member.score),
        element("td", "" if steps is None else f"{steps:,.0f}", class_="number", data_v=steps),
        element("td", duration(seconds), class_="number", data_v=seconds),
        element("td", member.standing.host or "", data_v=member.standing.host),
        element("td", element("code", str(member.run.dir)), data_v=str(member.run.dir)),
    )
