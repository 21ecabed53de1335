"""The parts of a report that show the whole: how much there is, curves, final scores, a map over hyperparameters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from gridrl.results.markup import Content, Html, element
from gridrl.results.page_charts import MOST_SHOWN, look_ranks, shown_at_first
from gridrl.results.page_parts import chart, check, choice, note, section, swatch
from gridrl.results.summary import BEST, VariantSummary
from gridrl.results.table import STATES, Table
from gridrl.utils.texts import duration


def summary_section(table: Table, left_out: Sequence[str]) -> Html:
    """How much there is, how it stands, what was left out."""
    members = [member for row in table.rows for member in row.members]
    states = Counter(member.state or "found" for member in members)
    seconds = sum(member.seconds or 0.0 for member in members)
    envs = list(dict.fromkeys(row.env for row in table.rows if row.env))
    facts: list[tuple[str, Content]] = [
        ("variants", f"{len(table.rows):,}"),
        ("runs", f"{len(members):,}"),
        *((state, element("span", f"{states[state]:,}", class_=state)) for state in STATES if states[state]),
        ("environment" if len(envs) == 1 else "environments", ", ".join(envs) if len(envs) < 4 else f"{len(envs)}"),
        ("time of all runs", duration(seconds) if seconds else ""),
    ]
    told = element("dl", *(_fact(name, value) for name, value in facts if value), class_="facts")
    winners = [row for row in table.rows if row.verdict == BEST]
    return section("summary", "Summary", told, *map(_winner, winners), _left_out(left_out))


def _fact(name: str, value: Content) -> Html:
    return element("div", element("dt", name), element("dd", value))


def _winner(row: VariantSummary) -> Html:
    where = f" on {row.env}" if row.env else ""
    return element("p", element("b", row.label), f" has the best score{where}.")


def _left_out(lines: Sequence[str]) -> Html:
    if not lines:
        return note("Nothing was left out.")
    told = element("ul", *(element("li", line) for line in lines))
    return element("details", element("summary", f"Left out, or worth a word: {len(lines)}"), told, data_print=True)


def curves_section(table: Table, data: dict[str, Any], smooth: int) -> Html:
    """Where the curves are drawn, and what can be chosen."""
    if not data["curves"]:
        return section("curves", "Curves", note("No run has a row with a score and a number of steps."))
    words = data["words"]
    values = [(column, words.get(column, column)) for column in data["axes"]]
    axes = dict.fromkeys(axis for found in data["axes"].values() for axis in found)
    lines = [("few", "where they are few"), ("all", "always"), ("none", "never")]
    controls = [
        *_environments(data, "curve-env"),
        choice("Value", values, id="curve-value"),
        choice("Over", [(axis, words.get(axis, axis)) for axis in axes], id="curve-x"),
        choice("Single seeds", lines, id="curve-seeds"),
        check("95 % interval", "curve-bands"),
    ]
    return section(
        "curves",
        "Curves",
        element("div", *controls, class_="controls"),
        chart("curve-chart"),
        element(
            "p", "Some bands go beyond the axis; a double click shows all.", class_="note", id="curve-cut", hidden=True
        ),
        _chips(table),
        *map(note, _curve_notes(table, smooth)),
        element("h3", "Final scores"),
        chart("score-chart"),
        note("Diamonds and lines: the score and its interval. Pale dots: single seeds."),
    )


def _environments(data: dict[str, Any], name: str) -> list[Html]:
    """A choice of one, where there are several."""
    envs = data["envs"]
    return [choice("Environment", [(env, env or "not known") for env in envs], id=name)] if len(envs) > 1 else []


def _chips(table: Table) -> Html:
    """Buttons that switch variants on and off; they are the legend too."""
    ranks, shown = look_ranks(table.rows), shown_at_first(table.rows)
    chips = [
        element(
            "button",
            swatch(ranks[place]),
            row.label,
            type="button",
            class_="chip",
            data_index=place,
            aria_pressed="true" if shown[place] else "false",
        )
        for place, row in enumerate(table.rows)
        if row.score is not None
    ]
    both = [element("button", what, type="button", id=f"chips-{what.lower()}") for what in ("All", "None")]
    bar = element("div", *both, class_="controls")
    return Html(bar + element("div", *chips, class_="chips", role="group", aria_label="Variants that are drawn"))


def _curve_notes(table: Table, smooth: int) -> list[str]:
    notes = ["Means over the seeds that are there; bands are 95 % intervals, from five seeds on."]
    if smooth > 1:
        notes.append(f"Moving mean of {smooth} rows.")
    if not all(shown_at_first(table.rows)):
        notes.append(f"The best {MOST_SHOWN} variants are drawn at first; the buttons switch the others on.")
    return notes


def heatmap_section(data: dict[str, Any]) -> Html:
    """Where the map is drawn, and the two hyperparameters that can be chosen."""
    keys, words = data["heat"]["keys"], data["heat"]["words"]
    if len(keys) < 2:
        found = "one" if keys else "none"
        return section("heatmap", "Heatmap", note(f"A map needs two hyperparameters that differ; there is {found}."))
    options = [(key, words[key]) for key in keys]
    cells = [("mean", "the mean of its variants"), ("best", "the best of its variants")]
    controls = [
        *_environments(data, "heat-env"),
        choice("Across", options, id="heat-x"),
        choice("Down", [*options[1:], options[0]], id="heat-y"),
        choice("A cell is", cells, id="heat-which"),
    ]
    same = element("p", "Choose two different ones.", class_="note", id="heat-same", hidden=True)
    return section("heatmap", "Heatmap", element("div", *controls, class_="controls"), same, chart("heat-chart"))
