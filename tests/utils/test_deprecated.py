from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator

import pytest

from gridrl.errors import BadValue
from gridrl.utils.deprecated import deprecated
from tests.utils.threads import run_in_threads


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Lets the DeprecationWarnings of this file pass, which elsewhere are errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def texts(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_the_bare_decorator_warns_and_passes_everything_on(caplog: pytest.LogCaptureFixture) -> None:
    @deprecated
    def old(a: int, *, b: int = 2) -> int:
        """Adds."""
        return a + b

    assert old(1, b=5) == 6
    assert (old.__name__, old.__doc__) == ("old", "Adds.")
    assert len(texts(caplog)) == 1
    assert texts(caplog)[0].endswith("old is deprecated.")


def test_reason_and_version_stand_in_the_message(caplog: pytest.LogCaptureFixture) -> None:
    class Old:
        @deprecated(reason="use new()", version="0.2")
        def method(self) -> str:
            return "kept"

    assert Old().method() == "kept"
    assert texts(caplog)[0].endswith("Old.method is deprecated: use new() (deprecated since version 0.2).")


def test_a_function_warns_as_often_as_it_may_and_no_more(caplog: pytest.LogCaptureFixture) -> None:
    @deprecated(reason="", max_warn_count=3)
    def old() -> None: ...

    @deprecated
    def other() -> None: ...

    for _ in range(20):
        old()
    assert len(texts(caplog)) == 3
    for _ in range(20):
        other()
    assert len(texts(caplog)) == 3 + 10, "each function counts for itself, and the default is ten"


def test_threads_do_not_warn_more_often(caplog: pytest.LogCaptureFixture) -> None:
    @deprecated(max_warn_count=5)
    def old() -> None: ...

    def call(number: int) -> None:
        for _ in range(200):
            old()

    run_in_threads(4, call)
    assert len(texts(caplog)) == 5


def test_tools_get_a_warning_that_points_at_the_caller() -> None:
    @deprecated(reason="use new()")
    def old() -> None: ...

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        old()
    assert [warning.category for warning in caught] == [DeprecationWarning]
    assert caught[0].filename == __file__


def test_words_without_their_name_are_told() -> None:
    with pytest.raises(BadValue, match=r"deprecated\('use new\(\)'\): a function is needed; words go into reason="):
        deprecated("use new()")  # type: ignore[type-var]
