from __future__ import annotations

import pytest

from gridrl.utils.docstrings import parse_docstring

FULL = """Trains a policy
    with PPO.

    A longer text. Note: this is no section.

    >>> code: not a section either

    Args:
        env_fn: makes the environment.
        hidden (list[int], optional): sizes of the hidden layers,
            input first.

            A second paragraph of it: still the same.
        gamma, lam: discount and trace.
        *args: ignored.
        **kwargs: handed on: all of them.
        last:
            on a line of its own.

    Returns:
        a dict:
            what came out.

    Keyword Args:
        extra: more.
    """


def test_the_summary_is_the_first_paragraph_on_one_line() -> None:
    assert parse_docstring(FULL).summary == "Trains a policy with PPO."


def test_every_parameter_is_found_with_all_its_lines() -> None:
    assert parse_docstring(FULL).params == {
        "env_fn": "makes the environment.",
        "hidden": "sizes of the hidden layers, input first. A second paragraph of it: still the same.",
        "gamma": "discount and trace.",
        "lam": "discount and trace.",
        "args": "ignored.",
        "kwargs": "handed on: all of them.",
        "last": "on a line of its own.",
        "extra": "more.",
    }


def test_the_text_has_no_common_indentation() -> None:
    text = parse_docstring(FULL).text
    assert text.startswith("Trains a policy\nwith PPO.\n\nA longer")
    assert "\nArgs:\n    env_fn: makes" in text


@pytest.mark.parametrize("raw", [None, "", "   \n  "])
def test_nothing_said_is_nothing_told(raw: str | None) -> None:
    assert (parse_docstring(raw).summary, parse_docstring(raw).text, parse_docstring(raw).params) == ("", "", {})


def test_text_at_the_margin_ends_a_section() -> None:
    assert parse_docstring("X.\n\nArgs:\n    a: one.\nMore words.\n    b: none.").params == {"a": "one."}


def test_the_attributes_of_a_class_describe_its_parameters() -> None:
    assert parse_docstring("X.\n\nAttributes:\n    a: one.\n").params == {"a": "one."}


def test_a_description_with_a_colon_on_a_deeper_line_is_no_parameter() -> None:
    assert parse_docstring("X.\n\nArgs:\n    a: one of\n        fast: quick.\n    b: two.").params == {
        "a": "one of fast: quick.",
        "b": "two.",
    }
