"""The table of variants in a report, and what it can be filtered by."""

from __future__ import annotations

from collections.abc import Iterable

from gridrl.results.facets import in_order
from gridrl.results.markup import Content, Html, element
from gridrl.results.page_charts import look_ranks
from gridrl.results.page_parts import choice, counted, note, scrolling, section, sortable, state_text, swatch
from gridrl.results.summary import BEST, VariantSummary
from gridrl.results.table import STATES, Column, Table

_LONG = 20  # letters of a value that takes more room
_MOST_VALUES = 40  # of a hyperparameter that has a filter of its own
_MOST_KEYS = 12  # hyperparameters that are columns, with filters
_ORDER = ("variant", "score", "verdict", "seeds", "setting", "steps", "time", "states", "marks")
_LARGE_FIRST = ("score", "seeds", "steps")


def variants_section(table: Table) -> Html:
    """The table of variants."""
    columns = sorted(table.columns(), key=lambda column: _ORDER.index(column.kind))
    settings = [column for column in columns if column.kind == "setting"]
    columns = [column for column in columns if column not in settings[_MOST_KEYS:]]
    ranks = look_ranks(table.rows)
    head = [_header(column, table) for column in columns]
    body = [
        element("tr", *(_cell(column, row, place, ranks[place]) for column in columns), data_index=place)
        for place, row in enumerate(table.rows)
    ]
    shown = scrolling("Table of variants", head, body, "variants")
    notes = table.captions()
    if len(settings) > _MOST_KEYS:
        notes.append(f"{len(settings) - _MOST_KEYS} more hyperparameters differ: see Configurations.")
    return section("variants", "Variants", _filters(table), shown, *map(note, notes))


def _header(column: Column, table: Table) -> Html:
    is_sorted = column.kind == "score" and len({row.env for row in table.rows}) == 1
    order = "ascending" if table.asked.smaller_is_better else "descending"
    first = order if column.kind == "score" else "descending" if column.kind in _LARGE_FIRST else None
    return sortable(column.title, is_left=column.is_left, sort=order if is_sorted else None, first=first)


def _cell(column: Column, row: VariantSummary, place: int, rank: int) -> Html:
    text, kind = column.cells[place], column.kind
    value = _sort_value(kind, row, text)
    if kind == "variant":
        named = element("div", swatch(rank), element("span", text), class_="named")
        return element("th", named, scope="row", data_v=value)
    content: Content = text
    name = kind if column.is_left else "number"
    if kind == "verdict":
        name = "best" if row.verdict == BEST else "verdict"
    elif kind == "states":
        content = _joined(state_text(state, f"{row.states[state]} {state}") for state in STATES if row.states[state])
    elif kind == "setting" and len(text) > _LONG:
        name = "setting long"
    elif kind == "score" and " " in text:
        center, interval = text.split(" ", 1)
        content = [center, " ", element("span", interval, class_="within")]
    return element("td", content, class_=name, data_v=value)


def _joined(parts: Iterable[Html]) -> list[Content]:
    joined: list[Content] = []
    for part in parts:
        joined += [", ", part] if joined else [part]
    return joined


def _sort_value(kind: str, row: VariantSummary, text: str) -> str | float | None:
    """What a cell is sorted by; None stands last."""
    values: dict[str, float | None] = {
        "score": row.score.center if row.score else None,
        "seeds": len(row.scored),
        "steps": row.steps[1] if row.steps else None,
        "time": row.seconds,
        "verdict": -1.0 if row.verdict == BEST else None if row.p_value is None else 1 - row.p_value,
    }
    return values.get(kind, text or None)


def _filters(table: Table) -> Html:
    """Words, and a choice for each hyperparameter and for the state."""
    words = element("input", id="filter-text", type="search", autocomplete="off")
    fields = [element("label", "Words in a row", words)]
    titles = [column.title for column in table.columns() if column.kind == "setting"]
    for key, title in list(zip(table.keys, titles, strict=True))[:_MOST_KEYS]:
        values = sorted({row.settings.get(key, "") for row in table.rows}, key=in_order)
        if len(values) <= _MOST_VALUES:
            options = [("", "any"), *((value, value or "not set") for value in values)]
            fields.append(choice(title, options, data_key=key))
    states = [state for state in STATES if any(row.states[state] for row in table.rows)]
    if len(states) > 1:
        fields.append(choice("Has runs", [("", "any"), *((state, state) for state in states)], id="filter-state"))
    clear = element("button", "Clear", type="button", id="filter-clear")
    count = element("span", counted(len(table.rows), "variant"), class_="count", id="filter-count", role="status")
    return element("div", *fields, clear, count, class_="controls", id="filters")
