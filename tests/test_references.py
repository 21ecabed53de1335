from __future__ import annotations

import importlib
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gridrl.build import NamedTable, Reference, load_file, resolve
from gridrl.errors import BadValue, GridRLWarning

PACKAGE = {
    "__init__.py": "from weird_pack.shadowed import shadowed\nvalue = 1\n",
    "inner.py": "class Outer:\n    class Inner:\n        answer = 42\n",
    "shadowed.py": "def shadowed(): return 'function'\nother = 'module'\n",
    "needy.py": "import a_package_that_nobody_has\n",
    "broken.py": "from weird_pack.inner import Missing\n",
    "raising.py": "raise ZeroDivisionError('own fault')\n",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package `weird_pack` on Python's path."""
    folder = tmp_path / "weird_pack"
    folder.mkdir()
    for name, text in PACKAGE.items():
        (folder / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        del sys.modules[name]


# --- resolve ---


@pytest.mark.parametrize("path", ["weird_pack.inner:Outer.Inner", "weird_pack.inner.Outer.Inner"])
def test_a_name_inside_a_submodule_is_found_and_the_submodule_imported(package: Path, path: str) -> None:
    assert resolve(path).answer == 42


def test_a_module_itself_can_be_named(package: Path) -> None:
    assert resolve("weird_pack.inner") is sys.modules["weird_pack.inner"]


def test_a_dotted_name_means_what_the_same_words_mean_in_python(package: Path) -> None:
    assert resolve("weird_pack.shadowed")() == "function"
    assert resolve("weird_pack.shadowed.other") == "module"
    assert resolve("weird_pack.shadowed:shadowed")() == "function"
    assert resolve("os.path.join") is importlib.import_module("os").path.join


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("weird_pak.inner", "weird_pak.inner: there is no module 'weird_pak' on Python's path."),
        ("weird_pack.iner.Outer", "weird_pack.iner.Outer: weird_pack has no 'iner'. Did you mean 'inner'?"),
        ("weird_pack.inner.Outr", "weird_pack.inner.Outr: weird_pack.inner has no 'Outr'. Did you mean 'Outer'?"),
        ("weird_pack.inner:Outr", "weird_pack.inner:Outr: weird_pack.inner has no 'Outr'. Did you mean 'Outer'?"),
        (
            "weird_pack.inner:Outer.inner",
            "weird_pack.inner:Outer.inner: weird_pack.inner.Outer has no 'inner'. Did you mean 'Inner'?",
        ),
        ("weird_pack.iner:x", "weird_pack.iner:x: there is no module 'weird_pack.iner' on Python's path."),
        ("weird_pack.value.real.x", "weird_pack.value.real.x: weird_pack.value.real has no 'x'."),
        ("a b", "'a b' is no name such as 'torch.nn.ReLU' or 'my_module:train'."),
        ("", "'' is no name such as 'torch.nn.ReLU' or 'my_module:train'."),
        (
            "weird_pack.needy:x",
            "weird_pack.needy:x: weird_pack.needy cannot be imported: No module named 'a_package_that_nobody_has'.",
        ),
        (
            "weird_pack.needy.x",
            "weird_pack.needy.x: weird_pack.needy cannot be imported: No module named 'a_package_that_nobody_has'.",
        ),
    ],
)
def test_a_name_that_leads_nowhere_is_told(package: Path, path: str, message: str) -> None:
    with pytest.raises(BadValue) as caught:
        resolve(path)
    assert str(caught.value) == message


@pytest.mark.parametrize("path", ["weird_pack.broken:x", "weird_pack.broken.x"])
def test_an_import_that_fails_inside_the_module_says_so(package: Path, path: str) -> None:
    with pytest.raises(BadValue, match=r"weird_pack\.broken cannot be imported: cannot import name 'Missing'"):
        resolve(path)


def test_an_error_of_the_module_itself_comes_through(package: Path) -> None:
    with pytest.raises(ZeroDivisionError, match="own fault"):
        resolve("weird_pack.raising:x")


# --- files ---


def test_a_file_is_loaded_once_and_finds_its_neighbours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: Path
) -> None:
    folder = tmp_path / "my scripts 'é"
    folder.mkdir()
    (folder / "a_neighbour.py").write_text("value = 7\n")
    (folder / "my_train.py").write_text("import a_neighbour\ndef train(): return a_neighbour.value\n")
    monkeypatch.setattr(sys, "path", list(sys.path))
    train = resolve(f"{folder}/my_train.py:train")
    assert train() == 7
    assert train.__module__ == "my_train"
    monkeypatch.chdir(folder)
    assert resolve("my_train.py:train") is train


def test_a_file_with_the_name_of_a_loaded_module_leaves_that_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: Path
) -> None:
    import pickle as standard

    (tmp_path / "pickle.py").write_text("value = 'mine'\n")
    monkeypatch.setattr(sys, "path", list(sys.path))
    module = load_file(tmp_path / "pickle.py")
    assert module.value == "mine"
    assert sys.modules["pickle"] is standard
    assert load_file(tmp_path / "pickle.py") is module


def test_a_file_that_fails_is_not_left_half_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: Path
) -> None:
    (tmp_path / "failing_file.py").write_text("1 / 0\n")
    monkeypatch.setattr(sys, "path", list(sys.path))
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            load_file(tmp_path / "failing_file.py")
    assert "failing_file" not in sys.modules


def test_a_missing_file_is_told_with_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("")
    with pytest.raises(BadValue, match=r"trian.py: there is no such file. Did you mean 'train.py'\?"):
        resolve(f"{tmp_path}/trian.py:main")


# --- Reference ---


def test_a_reference_knows_its_last_part_and_resolves() -> None:
    import fractions

    for path in ("fractions.Fraction", "fractions:Fraction"):
        reference = Reference(path)
        assert (reference.last, str(reference), reference.resolve()) == ("Fraction", path, fractions.Fraction)


def test_references_are_equal_by_what_was_typed() -> None:
    looked_up = Reference("fractions.Fraction", canonical="fractions:Fraction")
    assert looked_up == Reference("fractions.Fraction")
    assert hash(looked_up) == hash(Reference("fractions.Fraction"))
    assert pickle.loads(pickle.dumps(looked_up)).canonical == "fractions:Fraction"


# --- tables of names ---


def test_a_table_gives_the_target_and_loads_it_on_request() -> None:
    table = NamedTable("number", {"half": "fractions:Fraction", "whole": "builtins:int"})
    assert table["half"] == "fractions:Fraction"
    assert table.load("whole") is int
    assert list(table) == ["half", "whole"]
    assert len(table) == 2
    assert "half" in table
    assert "third" not in table


def test_an_unknown_name_is_told_with_the_nearest_and_all() -> None:
    table = NamedTable("algorithm", {"ppo": "a:b", "vpg": "a:c"})
    with pytest.raises(BadValue) as caught:
        table["pppo"]
    assert str(caught.value) == "'pppo' is no algorithm. Did you mean 'ppo'? There are: ppo, vpg."


def install_plugin(folder: Path, entries: str) -> None:
    info = folder / "a_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: a-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[gridrl.testing]\n{entries}\n")


def test_other_packages_add_names_and_broken_ones_are_warned_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_plugin(
        tmp_path,
        "good = fractions:Fraction\nours = fractions:Decimal\nlost = no_such_module_at_all:f\nodd = fractions",
    )
    monkeypatch.syspath_prepend(tmp_path)
    table = NamedTable("thing", {"ours": "builtins:int"}, group="gridrl.testing")
    assert table["ours"] == "builtins:int"  # costs no look at the packages, hence no warning
    with pytest.warns(GridRLWarning) as warned:
        assert list(table) == ["ours", "good"]
    assert [str(warning.message) for warning in warned] == [
        "The thing 'ours' of another package is left out: gridrl has one of this name.",
        "The thing 'lost' of another package is left out: there is no module 'no_such_module_at_all'.",
        "The thing 'odd' of another package is left out: 'fractions' is not of the form 'module:attribute'.",
    ]
    assert table["good"] == "fractions:Fraction"  # told once
    assert table.load("ours") is int
