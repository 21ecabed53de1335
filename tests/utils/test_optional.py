from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from gridrl.errors import BadValue
from gridrl.utils.optional import import_optional, is_installed


def test_an_installed_module_is_given() -> None:
    import xml.dom

    assert import_optional("xml.dom", extra="x", purpose="this") is xml.dom


def test_a_missing_package_is_told_with_the_line_that_installs_it() -> None:
    with pytest.raises(BadValue) as caught:
        import_optional("no_such_package.inner", extra="tensorboard", purpose="--log tensorboard")
    assert str(caught.value) == (
        "--log tensorboard needs no_such_package, which is not installed: pip install 'gridrl[tensorboard]'."
    )
    assert isinstance(caught.value.__cause__, ImportError)


def test_a_package_that_is_there_and_broken_is_told_as_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_package_x.py").write_text("import no_such_package_either\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(BadValue) as caught:
        import_optional("broken_package_x", extra="x", purpose="This")
    assert str(caught.value) == (
        "This needs broken_package_x, which is installed but cannot be imported: "
        "No module named 'no_such_package_either'"
    )


def test_looking_for_a_package_imports_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "antigravity", raising=False)
    assert is_installed("antigravity")
    assert "antigravity" not in sys.modules
    assert not is_installed("no_such_package")


def test_a_module_without_a_spec_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "made_by_hand", ModuleType("made_by_hand"))
    assert is_installed("made_by_hand")
