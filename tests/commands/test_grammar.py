"""How words become options and values."""

from __future__ import annotations

import ast
import contextlib
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gridrl.build import Reference
from gridrl.commands.grammar import MAX_SPREAD, Flag, is_importable, read_values, split_flags
from gridrl.errors import BadValue, Problems

LITERALS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3)
    ),
    max_leaves=12,
)


def split(*words: str) -> list[Flag]:
    problems = Problems()
    flags = split_flags(words, problems)
    problems.raise_if_any(BadValue)
    return flags


def faults(*words: str) -> list[str]:
    problems = Problems()
    split_flags(words, problems)
    return problems.messages


@given(LITERALS)
@example("true")
@example("torch.nn.ReLU")
@example("range(3)")
@example("#")
@example(-0.0)
def test_every_literal_comes_back_from_its_text(value: Any) -> None:
    (read,) = read_values(repr(value))
    assert repr(read) == repr(value)


@given(st.text())
@example("__import__('os').system('touch pwned')")
@example("[__import__('os').getcwd()]")
@example("().__class__.__bases__")
@example("f'{print(1)}'")
@example("lambda: 1")
@example("'-' * 9**9")
@example("\x00")
@example("-" * 5000 + "1")
@example("9" * 5000)
@example("\ud800")
def test_no_text_is_ever_executed_or_fails(text: str) -> None:
    if text.strip().startswith(("range", "linspace", "logspace")):
        with contextlib.suppress(BadValue):
            _assert_is_data(read_values(text))
        return
    _assert_is_data(read_values(text))


def _assert_is_data(value: Any) -> None:
    """Text and literals, all the way down."""
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, (list, tuple, set)):
        for item in value:
            _assert_is_data(item)
        return
    assert value is None or value is Ellipsis or isinstance(value, (str, bytes, int, float, complex, Reference))


def test_an_attack_leaves_no_trace(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    for text in (
        f"__import__('pathlib').Path({str(trace)!r}).touch()",
        f"[open({str(trace)!r}, 'w')]",
        f"range(__import__('pathlib').Path({str(trace)!r}).touch())",
        f"linspace(0, 1, open({str(trace)!r}, 'w'))",
    ):
        try:
            assert read_values(text) == [text]
        except BadValue:
            assert text.startswith(("range", "linspace"))
    assert not trace.exists()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("-1", -1),
        ("-1e-3", -0.001),
        ("0x10", 16),
        ("4_000", 4000),
        ("[64,64]", [64, 64]),
        ("[64, 64]", [64, 64]),
        ("64,64", (64, 64)),
        ("64,", (64,)),
        ("{'a':1}", {"a": 1}),
        ("'quoted'", "quoted"),
        ("true", True),
        ("FALSE", False),
        ("none", None),
        ("NoNe", None),
        ("[true,None,{'a':false}]", [True, None, {"a": False}]),
        ("torch.nn.ReLU", Reference("torch.nn.ReLU")),
        ("json.dumps", Reference("json.dumps")),
        ("[json.dumps,json.loads]", [Reference("json.dumps"), Reference("json.loads")]),
        ("{'activation':torch.nn.Tanh}", {"activation": Reference("torch.nn.Tanh")}),
    ],
)
def test_a_value_is_the_first_rule_that_fits(text: str, value: Any) -> None:
    (read,) = read_values(text)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "CartPole-v1",
        "relu",
        "max",
        "1-2",
        "1/2",
        "dict(a=1)",
        "[a,b]",
        "[64,",
        "007",
        "nothing_here_42.ReLU",
        "torch.nn.",
        "torch.nn.ReLU()",
        "64#a",
        "range",
        "*range(3)",
        "list(range(3))",
        "run--x",
        "~/data",
        "a b",
        "None.x",
        "import os",
    ],
)
def test_everything_else_is_text(text: str) -> None:
    assert read_values(text) == [text]


def test_a_reference_is_not_imported_to_be_read() -> None:
    assert "antigravity" not in sys.modules
    assert read_values("antigravity.fly") == [Reference("antigravity.fly")]
    assert "antigravity" not in sys.modules


def test_where_text_is_wanted_names_and_ranges_stay_text() -> None:
    assert read_values("json.dumps", only_text=True) == ["json.dumps"]
    assert read_values("range(3)", only_text=True) == ["range(3)"]
    assert read_values("'x'", only_text=True) == ["x"]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("range(3)", [0, 1, 2]),
        ("range(10,13)", [10, 11, 12]),
        ("range(0, 6, 2)", [0, 2, 4]),
        ("range(3,0,-1)", [3, 2, 1]),
        ("linspace(0,1,3)", [0.0, 0.5, 1.0]),
        ("linspace(0,1,11)", [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]),
        ("linspace(2,4,1)", [2.0]),
        ("linspace(1,-1,3)", [1.0, 0.0, -1.0]),
        ("logspace(-4,-2,3)", [0.0001, 0.001, 0.01]),
        ("logspace(-5,-5,1)", [1e-05]),
        ("logspace(0,1,3)", [1.0, 10**0.5, 10.0]),
    ],
)
def test_some_words_stand_for_several_values(text: str, values: list[float]) -> None:
    read = read_values(text)
    assert read == values
    assert [type(value) for value in read] == [type(value) for value in values]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("range(0,x)", "`range(0,x)`: is not of the form range(first,end), range(end) or range(first,end,step)"),
        ("range()", "`range()`: is not of the form range("),
        ("range(1.5)", "`range(1.5)`: is not of the form range("),
        ("range(True)", "`range(True)`: is not of the form range("),
        ("range(0,3,0)", "`range(0,3,0)`: is not of the form range("),
        ("range(stop=3)", "`range(stop=3)`: is not of the form range("),
        ("range(3,0)", "`range(3,0)`: holds no value."),
        ("range(10**9)", "`range(10**9)`: is not of the form range("),
        ("range(1000000000)", f"`range(1000000000)`: stands for more than {MAX_SPREAD} values."),
        ("range(" + "9" * 40 + ")", "stands for more than"),
        ("linspace(0,1)", "`linspace(0,1)`: is not of the form linspace(first,last,count)."),
        ("linspace(0,1,2.0)", "is not of the form linspace(first,last,count)."),
        ("linspace(0,1,0)", "is not of the form linspace(first,last,count)."),
        ("linspace(0,1e999,3)", "is not of the form linspace(first,last,count)."),
        ("linspace(0,1,1000000000)", "stands for more than"),
        ("logspace(0,400,2)", "is not of the form logspace(first,last,count), where first and last are powers of ten."),
        ("logspace(1000000000,1000000001,2)", "is not of the form logspace("),
    ],
)
def test_a_range_that_makes_no_sense_is_told(text: str, message: str) -> None:
    with pytest.raises(BadValue) as told:
        read_values(text)
    assert message in str(told.value)


@given(st.integers(-50, 50), st.integers(-50, 50), st.sampled_from([-7, -1, 1, 2, 5]))
def test_range_is_pythons(first: int, end: int, step: int) -> None:
    expected = list(range(first, end, step))
    if expected:
        assert read_values(f"range({first},{end},{step})") == expected
    else:
        with pytest.raises(BadValue):
            read_values(f"range({first},{end},{step})")


def test_options_take_the_words_up_to_the_next_one() -> None:
    assert split("--env", "CartPole-v1", "--seed", "0", "10", "--norm") == [
        Flag("--env", "env", None, ("CartPole-v1",)),
        Flag("--seed", "seed", None, ("0", "10")),
        Flag("--norm", "norm", None, ()),
    ]


def test_negative_numbers_are_values() -> None:
    assert split("--x", "-1", "-.5", "-1e-3", "-")[0].words == ("-1", "-.5", "-1e-3", "-")


@pytest.mark.parametrize(
    ("word", "flag"),
    [
        ("--hid[h]", Flag("--hid", "hid", "h", ())),
        ("--hid[]", Flag("--hid", "hid", "", ())),
        ("--hid[h]=64,64", Flag("--hid", "hid", "h", ("64,64",))),
        ("--steps-per-epoch", Flag("--steps-per-epoch", "steps_per_epoch", None, ())),
        ("--a:b-c:d", Flag("--a:b-c:d", "a:b_c:d", None, ())),
        ("--stages:0:name", Flag("--stages:0:name", "stages:0:name", None, ())),
        ("--note=a=b", Flag("--note", "note", None, ("a=b",))),
        ("--note=", Flag("--note", "note", None, ("",))),
        ("--note=--x", Flag("--note", "note", None, ("--x",))),
    ],
)
def test_the_forms_of_an_option(word: str, flag: Flag) -> None:
    assert split(word) == [flag]


def test_a_value_may_hold_dashes_and_come_after_an_equals_sign() -> None:
    assert split("--name", "run--x", "--lr=1e-3", "1e-4")[1].words == ("1e-3", "1e-4")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("CartPole-v1", "--seed", "0"), "`CartPole-v1`: stands before the first option."),
        (("--seed", "0", "-gamma", "0.9"), "`-gamma`: options have two dashes: `--gamma`."),
        (("--",), "`--`: is not the name of an option."),
        (("--:x",), "`--:x`: is not the name of an option."),
        (("--a[b]:c",), "`--a[b]:c`: is not the name of an option."),
        (("--a[b",), "`--a[b`: is not the name of an option."),
        (("--5",), "`--5`: is not the name of an option."),
        (("--a b",), "`--a b`: is not the name of an option."),
    ],
)
def test_what_is_no_option_is_told(words: tuple[str, ...], message: str) -> None:
    assert any(told.startswith(message) for told in faults(*words))


@given(
    st.lists(st.sampled_from(["--a", "--a[b", "-x", "-1", "v", "", "--=", "--b=c"]) | st.text(max_size=8), max_size=6)
)
def test_no_word_of_a_command_line_is_lost(words: list[str]) -> None:
    problems = Problems()
    flags = split_flags(words, problems)
    assert len(flags) == sum(word.startswith("--") for word in words)
    values = [value for flag in flags for value in flag.words]
    for word in words:
        if not word.startswith("--"):
            assert word in values or any(f"`{word}`" in message for message in problems.messages)


def test_importable_means_there_is_such_a_module() -> None:
    assert is_importable("json")
    assert not is_importable("no_such_module_42")
    assert is_importable("__main__") in (True, False)  # it may be loaded without a spec


def test_the_margin_of_the_grammar_tells_the_truth() -> None:
    """Every example of a value in the module's docstring is read as the docstring says."""
    import gridrl.commands.grammar as grammar

    assert grammar.__doc__ is not None
    lines = [line for line in grammar.__doc__.splitlines() if "->" in line]
    assert len(lines) == 3
    for line in lines:
        typed, _, values = line.partition("->")
        assert read_values(typed.split()[-1]) == [ast.literal_eval(value) for value in values.split()]
