"""What the parts of a report are made of: headed sections, remarks, choices, tables that scroll."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gridrl.results.markup import Content, Html, element
from gridrl.results.page_charts import swatch_style


def section(name: str, title: str, *content: Content) -> Html:
    """A part of the page that can be linked to."""
    return element("section", element("h2", title), *content, id=name)


def note(*content: Content) -> Html:
    """A remark."""
    return element("p", *content, class_="note")


def state_text(state: str, text: str | None = None) -> Html:
    """A run's state in its colour, or a text in the colour of a state."""
    return element("span", state if text is None else text, class_=f"state {state}")


def counted(count: int, what: str) -> str:
    """`1 run`, `3 runs`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def swatch(rank: int) -> Html:
    """A piece of a variant's line."""
    return element("span", class_="swatch", style=swatch_style(rank), aria_hidden="true")


def choice(label: str, options: Iterable[tuple[str, str]], **attributes: str) -> Html:
    """A list to choose from, with its label.

    Args:
        label: what is chosen.
        options: values, and how they are shown.
        attributes: of the list.
    """
    told = [element("option", text, value=value) for value, text in options]
    return element("label", label, element("select", *told, **attributes))


def check(label: str, name: str) -> Html:
    """A box that is ticked, with its label."""
    return element("label", element("input", type="checkbox", id=name, checked=True), label, class_="check")


def chart(name: str) -> Html:
    """The place of a chart."""
    return element("div", class_="chart", id=name, role="img", aria_label="A chart")


def scrolling(label: str, head: Sequence[Html], body: Sequence[Html], kind: str | None = None) -> Html:
    """A table that scrolls within its own place where it is too wide; the keyboard reaches it.

    Args:
        label: what it holds, for screen readers.
        head: the cells of its header; none: it has none.
        body: its rows.
        kind: its class.
    """
    top = element("thead", element("tr", *head)) if head else None
    table = element("table", top, element("tbody", *body), class_=kind)
    return element("div", table, class_="scroll", tabindex=0, role="region", aria_label=label)


def sortable(title: str, *, is_left: bool, sort: str | None = None, first: str | None = None) -> Html:
    """A cell of a header that sorts its column when it is pressed.

    Args:
        title: of the column.
        is_left: whether it holds words.
        sort: "ascending" or "descending" where the rows are sorted by it already.
        first: the order at the first press; ascending where it is None.
    """
    button = element("button", title, type="button")
    kind = None if is_left else "number"
    return element("th", button, scope="col", class_=kind, aria_sort=sort, data_first=first)


def pairs(label: str, rows: Iterable[tuple[str, Content]]) -> Html:
    """Names and what they are."""
    told = [element("tr", element("th", name, scope="row"), element("td", value)) for name, value in rows]
    return scrolling(label, [], told, "pairs")
