"""What a parameter takes, told from the text of its annotation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gridrl.build import Reference
from gridrl.utils.annotations import Wanted

REFERENCE = Reference("torch.nn.ReLU")


@pytest.mark.parametrize(
    ("annotation", "fits", "misfits"),
    [
        ("int", [0, -3, np.int64(2)], [1.0, True, "1", None, REFERENCE, [1]]),
        ("float", [0, 0.5, np.float32(2)], [False, "1", None, REFERENCE]),
        ("bool", [True, False, np.bool_(True)], [0, 1, "true", None]),
        ("str", ["", "x"], [1, None, True, REFERENCE]),
        ("None", [None], [0, "none"]),
        ("int | None", [3, None], ["x", 1.5]),
        ("Optional[int]", [3, None], ["x"]),
        ("typing.Optional[int]", [3, None], ["x"]),
        ("Union[int, str]", [3, "x"], [None, 1.5]),
        ("'int | None'", [3, None], ["x"]),
        ('Optional["int"]', [3, None], ["x"]),
        ("Annotated[float, 'a rate']", [0.5], ["x"]),
        ("Sequence[int]", [[], [1], (1, 2), range(3), np.arange(3), REFERENCE], [1, "12", [1.5], ["a"], None]),
        ("collections.abc.Sequence[float]", [[1, 0.5]], [["a"]]),
        ("list", [[1, "a"], (1,)], ["ab", 1, {}]),
        ("tuple[int, ...]", [(), (1, 2), [3]], [(1.5,)]),
        ("tuple[int, float]", [(1, 0.5), [1, 2]], [(1,), (1, 2, 3), (0.5, 1)]),
        ("Sequence[int | None]", [[1, None]], [["a"]]),
        ("list[list[int]]", [[[1], []]], [[1]]),
        ("dict", [{}, REFERENCE], [[], "x", None]),
        ("Mapping[str, Any]", [{"a": 1}], [3]),
        ("Callable[[int], int]", [REFERENCE, len], ["relu", 3]),
        ("type[nn.Module]", [REFERENCE, int], ["relu"]),
        ("Literal['a', 1]", ["a", 1], ["b", True, 2, None]),
        ("Path", ["x"], [3]),
        ("Any", [None, 3, "x"], []),
        ("object", [None, 3, "x"], []),
        ("Schedule", [None, 3, "x"], []),  # a name of somebody else's
        ("int | Schedule", [None, 3, "x"], []),
        ("not a type (", [None, 3, "x"], []),
        (None, [None, 3, "x"], []),
    ],
)
def test_what_fits_an_annotation(annotation: str | None, fits: list[Any], misfits: list[Any]) -> None:
    wanted = Wanted(annotation)
    assert [value for value in fits if not wanted.takes(value)] == []
    assert [value for value in misfits if wanted.takes(value)] == []


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        ("int", "int"),
        ("float | None", "float or None"),
        ("Sequence[int]", "list of int"),
        ("tuple[int, ...] | None", "list of int or None"),
        ("list", "list"),
        ("dict[str, Any]", "dict"),
        ("type[nn.Module]", "class"),
        ("Callable[..., nn.Module]", "function"),
        ("Literal['linear', 'cosine'] | None", "'linear' or 'cosine' or None"),
        ("Any", "anything"),
        ("int | Any", "anything"),
        ("np.random.Generator", "Generator"),
        (None, "anything"),
    ],
)
def test_annotations_in_words(annotation: str | None, words: str) -> None:
    assert str(Wanted(annotation)) == words


@pytest.mark.parametrize(
    ("annotation", "value", "word", "adapted"),
    [
        ("str", 123, "123", "123"),
        ("str | None", None, "none", None),
        ("str | int", 123, "123", 123),
        ("int", 1e6, "1e6", 1000000),
        ("int", 1.5, "1.5", 1.5),
        ("int | None", 2.0, "2.0", 2),
        ("float", 2.0, "2.0", 2.0),
        ("bool", 1, "1", 1),
        ("Literal['1']", 1, "1", "1"),
        (None, 1.0, "1.0", 1.0),
    ],
)
def test_a_word_is_read_as_the_annotation_means_it(annotation: str, value: Any, word: str, adapted: Any) -> None:
    found = Wanted(annotation).adapt(value, word)
    assert (found, type(found)) == (adapted, type(adapted))


def test_kinds_that_the_command_line_asks_for() -> None:
    assert Wanted("str | None").is_only_text
    assert Wanted("Literal['a']").is_only_text
    assert not Wanted("str | int").is_only_text
    assert not Wanted("None").is_only_text
    assert not Wanted(None).is_only_text
    assert Wanted("Sequence[int] | None").takes_lists
    assert not Wanted("int").takes_lists
    assert Wanted("Callable | None").takes_functions
    assert Wanted("Literal['a', 'b'] | None").choices == ["a", "b"]
