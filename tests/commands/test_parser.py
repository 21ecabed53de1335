"""Options of commands that are no algorithms."""

from __future__ import annotations

import pytest

from gridrl.commands.parser import CommandParser, whole_number
from gridrl.errors import BadValue, UnknownFlag


@pytest.fixture
def parser() -> CommandParser:
    """A command with an option of every kind."""
    parser = CommandParser("walk", "DIR ... [options]", "Walks.", ["data --steps 3"])
    parser.add_argument("dirs", nargs="+", metavar="DIR", help="where")
    parser.add_argument("-s", "--num_steps", type=whole_number, default=1, metavar="N", help="default: %(default)s")
    parser.add_argument("--quick", action="store_true", help="in haste")
    parser.add_argument("--with", nargs="+", metavar="NAME", help="with whom")
    return parser


def test_options_are_read(parser: CommandParser) -> None:
    options = parser.read(["a", "b", "--num-steps=3", "--quick", "--with", "x", "y"])
    assert (options.dirs, options.num_steps, options.quick) == (["a", "b"], 3, True)
    assert getattr(options, "with") == ["x", "y"]
    defaults = parser.read(["a"])
    assert (defaults.num_steps, defaults.quick, getattr(defaults, "with")) == (1, False, None)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--quik", "--num_stepz", "3"], "`--quik`: walk has no such option. Did you mean `--quick`?\n"
         "`--num_stepz`: walk has no such option. Did you mean `--num_steps`?"),
        (["a", "--xyzzy=3"], "`--xyzzy=3`: walk has no such option."),
        (["a", "--num"], "`--num`: walk has no such option. Did you mean `--num_steps`?"),
        (["a", "-x"], "`-x`: walk has no such option."),
        (["a", "-s", "3", "b"], "`b`: is one too many for walk."),
    ],
)  # fmt: skip
def test_unknown_options_are_told_all_at_once(parser: CommandParser, words: list[str], message: str) -> None:
    with pytest.raises(UnknownFlag) as told:
        parser.read(words)
    assert str(told.value) == message


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "DIR is missing."),
        (["a", "-s", "many"], "`--num_steps`: wants a whole number, got 'many'."),
        (["a", "-s"], "`--num_steps`: expected one argument."),
        (["a", "-s", "1", "--num-steps", "2"], "`--num_steps`: is given twice."),
        (["a", "--quick", "--quick"], "`--quick`: is given twice."),
        (["a", "--quick=3"], "`--quick`: ignored explicit argument '3'."),
    ],
)
def test_wrong_values_are_told(parser: CommandParser, words: list[str], message: str) -> None:
    with pytest.raises(BadValue) as told:
        parser.read(words)
    assert str(told.value) == message


def test_a_parser_can_be_used_twice(parser: CommandParser) -> None:
    assert parser.read(["a", "--quick"]).quick
    assert not parser.read(["a"]).quick


def test_the_help_page_has_every_option(parser: CommandParser, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        parser.read(["--help"])
    assert end.value.code == 0
    assert capsys.readouterr().out == (
        "python -m gridrl.run walk DIR ... [options]\n"
        "\n"
        "Walks.\n"
        "\n"
        "Options\n"
        "  DIR ...            where\n"
        "  -s, --num_steps N  default: 1\n"
        "  --quick            in haste\n"
        "  --with NAME ...    with whom\n"
        "  -h, --help         this page\n"
        "\n"
        "Examples\n"
        "  python -m gridrl.run walk data --steps 3\n"
    )
