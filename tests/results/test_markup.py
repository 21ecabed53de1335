"""HTML that nothing breaks."""

from __future__ import annotations

import doctest
import json
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridrl.results import markup
from gridrl.results.markup import Html, element, escaped, filled, json_in_script, printable

NASTY = '</script><img src=x onerror="alert(1)"> & \' {{title}} \x00\x1b[31m\ud800'


class Reader(HTMLParser):
    """Notes what a browser would see."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_examples_hold() -> None:
    assert doctest.testmod(markup).failed == 0


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])))
def test_any_text_comes_back_as_text(text: str) -> None:
    seen = Reader(element("p", text, title=text))
    assert [tag for tag, _ in seen.tags] == ["p"]
    assert seen.text == printable(text)
    assert seen.tags[0][1]["title"] == printable(text)


def test_html_of_our_own_stays_html_and_text_in_lists_does_not() -> None:
    assert element("p", ["a<b", Html("<br>"), element("i", NASTY[:9])]) == "<p>a&lt;b<br><i>&lt;/script&gt;</i></p>"
    assert type(escaped("x") + "y") is str  # joined with text it is text again, and escaped again
    assert escaped(escaped("<") + "<") == "&amp;lt;&lt;"


def test_characters_that_no_page_may_hold_are_replaced() -> None:
    text = printable("a\x00b\ud800c\x1b[31;1mred\x1b[0m\x1b]0;title\x07 \x08\r\nend\rx\ttab")
    assert text == "a\ufffdb\ufffdcred \ufffd\nend\nx\ttab"
    text.encode()


@given(
    st.recursive(
        st.text() | st.integers() | st.none() | st.booleans(), lambda s: st.lists(s) | st.dictionaries(st.text(), s)
    )
)
def test_json_within_a_script_ends_nothing_and_comes_back(value: object) -> None:
    text = json_in_script(value)
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == value
    text.encode()


def test_nan_is_no_json() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_in_script([float("nan")])


def test_what_is_put_into_a_template_is_not_looked_at_again() -> None:
    assert filled("{{a}}-{{b}}-{{a}}", {"a": "{{b}}", "b": r"\1"}) == r"{{b}}-\1-{{b}}"
    with pytest.raises(KeyError):
        filled("{{c}}", {})
