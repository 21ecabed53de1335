"""Tables of cells as text, Markdown and LaTeX."""

from __future__ import annotations

import re

import pytest

from gridrl.results.formats import aligned, in_latex, latex, markdown

CELLS = [["variant", "score"], ["a_b|c", "1.5"], ["d", "-20"]]
LEFT = [True, False]


def test_text_is_aligned() -> None:
    assert aligned(CELLS, LEFT) == ["variant  score", "a_b|c      1.5", "d          -20"]


@pytest.mark.parametrize("width", [40, 14, 12, 9, 3, 1])
def test_no_line_is_wider_than_asked(width: int) -> None:
    assert max(map(len, aligned(CELLS, LEFT, width))) <= width


def test_a_narrow_line_keeps_both_ends_of_a_name() -> None:
    assert aligned([["variant", "n"], ["lr0-001_hid64", "1"]], LEFT, 10)[1] == "lr0…d64  1"


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert aligned([["variant"], ["a\x1b[2Jb\nc"]], [True])[1] == r"a\x1b[2Jb\nc"


def test_markdown_is_aligned_and_takes_nothing_for_a_mark() -> None:
    assert markdown(CELLS, LEFT) == (
        "| variant | score |\n| ------- | ----: |\n| a_b\\|c  |   1.5 |\n| d       |   -20 |\n"
    )  # fmt: skip
    cells = [["v"], ["_x_ *y* `z` <b> $1$ & [k](u) \\ ~"]]
    assert r"\_x\_ \*y\* \`z\` \<b\> \$1\$ \& [k\](u) \\ \~" in markdown(cells, [True])


def test_latex_has_the_rules_of_booktabs() -> None:
    assert latex(CELLS, LEFT, bold=[1]).splitlines() == [
        r"\begin{tabular}{lr}",
        r"\toprule",
        r"variant                  &        score \\",
        r"\midrule",
        r"\textbf{a\_b\textbar{}c} & \textbf{1.5} \\",
        r"d                        &        $-$20 \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


def test_a_row_that_begins_with_a_bracket_is_no_option_of_the_row_above() -> None:
    assert "\n{}[64, 64] " in latex([["sizes"], ["[64, 64]"]], [True])


def test_every_sign_that_means_something_to_latex_is_escaped() -> None:
    text = in_latex("\\ { } $ & # ^ _ ~ % < > | − … --")
    assert text == (
        r"\textbackslash{} \{ \} \$ \& \# \textasciicircum{} \_ \textasciitilde{} \% "
        r"\textless{} \textgreater{} \textbar{} $-$ \ldots{} -{}-"
    )
    bare = re.sub(r"\\[a-z]+\{\}|\\[{}$&#_%]|\$-\$|-\{\}-", "", text)
    assert not set(bare) & set(r"\{}$&#^_~%<>|")
