"""Which runs are meant by the options of commands that read results."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gridrl.commands.choosing import read_where
from gridrl.errors import BadValue
from gridrl.run import main
from tests.commands.made_runs import Status, make_run


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two variants with two seeds each."""
    for name, gamma, state in (("a", 0.9, "done"), ("bb", 0.99, "failed")):
        for seed in (0, 1):
            variant = {"gamma": gamma, "ac_kwargs": {"hidden_sizes": [len(name), 64]}, "seed": seed}
            make_run(tmp_path, name, seed, Status(state), rows=3, variant=variant)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "labels"),
    [
        (["--where", "gamma=0.9"], ["a (n=2)"]),
        (["--where", "gamma=0.9", "seed=range(1,9)"], ["a (n=1)"]),
        (["--where", "hid=[2,64]", "gamma=None", "gamma=0.99"], ["bb (n=2)"]),
        (["--state", "failed", "--name", "b*"], ["bb (n=2)"]),
        (["--group", r"_s(\d)"], ["0 (n=2)", "1 (n=2)"]),
    ],
)
def test_options_choose_what_is_drawn(data: Path, words: list[str], labels: list[str]) -> None:
    picture = data / "f.svg"
    assert main(["plot", str(data), "-x", "Epoch", "--save", str(picture), *words]) == 0
    text = picture.read_text()
    assert re.findall(r">(\w+ \(n=\d\))<", text) == labels


def test_nothing_left_is_told(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plot", str(data), "--save", "f.png", "--where", "gamma=7"]) == 2
    assert capsys.readouterr().err.startswith(f"None of the 4 runs that were found is wanted in {data}.")


def test_words_that_are_no_condition_are_told() -> None:
    with pytest.raises(BadValue) as told:
        read_where(["gamma", "=3", "gamma=0.9"])
    assert str(told.value).splitlines() == [
        "`--where`: 'gamma' is not of the form key=value, gamma=0.99.",
        "`--where`: '=3' is not of the form key=value, gamma=0.99.",
    ]
