from __future__ import annotations

import io
import sys
from types import SimpleNamespace

import pytest

from gridrl.utils.console import COLORS, colorize, console, is_terminal, say, wants_color, warn_line


class Terminal(io.StringIO):
    """Says that somebody looks."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Standard output is a terminal that shows colours."""
    stream = Terminal()  # in the module alone: pytest sets sys.stdout again before the test
    monkeypatch.setattr("gridrl.utils.console.sys", SimpleNamespace(stdout=stream, stderr=io.StringIO()))
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    return stream


@pytest.mark.parametrize(
    ("color", "code"),
    [
        ("gray", "30"),
        ("red", "31"),
        ("green", "32"),
        ("yellow", "33"),
        ("blue", "34"),
        ("magenta", "35"),
        ("cyan", "36"),
        ("white", "37"),
        ("crimson", "38;5;161"),
    ],
)
def test_the_documented_colours_have_the_documented_codes(terminal: Terminal, color: str, code: str) -> None:
    assert colorize("x", color) == f"\x1b[{code}mx\x1b[0m"
    assert len(COLORS) == 9


def test_bold_and_highlight_are_codes_too(terminal: Terminal) -> None:
    assert colorize("x", "green", bold=True) == "\x1b[32;1mx\x1b[0m"
    assert colorize("x", "green", highlight=True) == "\x1b[42mx\x1b[0m"
    assert colorize("x", "crimson", True, True) == "\x1b[48;5;161;1mx\x1b[0m"


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_no_colour_where_the_user_or_the_terminal_wants_none(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    assert colorize("x", "red") == "x"
    assert colorize("x", "red", force=True) == "\x1b[31mx\x1b[0m"
    console().print("x", style="bold red")
    assert terminal.getvalue() == "x\n"


def test_an_empty_no_color_means_nothing(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "")
    assert wants_color()


def test_no_colour_into_files_unless_it_is_asked_for(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "isatty", lambda: False)
    assert colorize("x", "red") == "x"
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert colorize("x", "red") == "\x1b[31mx\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert colorize("x", "red") == "x"
    assert colorize("x", "red", force=False) == "x"


def test_an_unknown_colour_is_told() -> None:
    with pytest.raises(ValueError, match=r"'gren' is no colour\. Did you mean 'green'") as caught:
        colorize("x", "gren")
    assert "gray, red, green, yellow, blue, magenta, cyan, white, crimson" in str(caught.value)


def test_a_closed_or_missing_stream_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = Terminal()
    closed.close()
    assert is_terminal(Terminal())
    assert not is_terminal(io.StringIO())
    monkeypatch.setattr(Terminal, "isatty", lambda self: io.StringIO.isatty(self))  # which raises when closed
    assert not is_terminal(closed)
    monkeypatch.setattr(sys, "stdout", None)
    assert not is_terminal()
    say("nobody hears this")


def test_lines_are_printed_whatever_the_stream_can_show(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    say("90 % – ε")
    assert raw.getvalue() == b"90 % ? ?\n"


def test_lines_are_coloured_on_terminals(terminal: Terminal) -> None:
    say("plain")
    say("done", "green", bold=True)
    assert terminal.getvalue() == "plain\n\x1b[32;1mdone\x1b[0m\n"


def test_warnings_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    warn_line("look here")
    assert capsys.readouterr() == ("", "Warning: look here\n")


def test_a_table_is_not_cut_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    console().print("word " * 30)
    assert stream.getvalue().strip().count("\n") == 0


def test_rich_writes_no_codes_into_files_and_keeps_texts_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    console().print("[red]1.5[/red] None", style="bold")
    console(stderr=True).print("oops")
    assert (out.getvalue(), err.getvalue()) == ("1.5 None\n", "oops\n")
