from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gridrl.errors import GridRLWarning, UsageError
from gridrl.utils.settings import settings

ROOT = Path(__file__).parents[2]


def write(folder: Path, text: str, name: str = "user_config.py") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text)
    return path


def data_dir() -> Path:
    return settings().DEFAULT_DATA_DIR


@pytest.fixture
def cwd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory, and no file named by the environment."""
    monkeypatch.delenv("GRIDRL_USER_CONFIG")
    folder = tmp_path / "a work 'dir"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_the_file_of_the_current_directory_is_read(cwd: Path) -> None:
    path = write(
        cwd,
        "import os\nDEFAULT_DATA_DIR = '/results'\nFORCE_DATESTAMP = True\nDEFAULT_SHORTHAND = False\n"
        "WAIT_BEFORE_LAUNCH = 2\nMPIEXEC = 'mpiexec.hydra'\nhelper = 3\n_PRIVATE = 4\n",
    )
    found = settings()
    assert data_dir() == Path("/results")
    assert found.FORCE_DATESTAMP is True
    assert found.DEFAULT_SHORTHAND is False
    assert found.WAIT_BEFORE_LAUNCH == 2.0
    assert found.MPIEXEC == "mpiexec.hydra"
    assert found.source == path


def test_an_empty_file_leaves_the_defaults(cwd: Path) -> None:
    write(cwd, "")
    found = settings()
    assert data_dir() == cwd / "data"
    assert (found.FORCE_DATESTAMP, found.DEFAULT_SHORTHAND, found.WAIT_BEFORE_LAUNCH, found.MPIEXEC) == (
        False,
        True,
        0.0,
        None,
    )


def test_the_file_named_by_the_environment_comes_first(
    cwd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(cwd, "WAIT_BEFORE_LAUNCH = 1")
    named = write(tmp_path / "elsewhere", "WAIT_BEFORE_LAUNCH = 9", "mine.py")
    monkeypatch.setenv("GRIDRL_USER_CONFIG", str(named))
    assert settings().WAIT_BEFORE_LAUNCH == 9
    assert settings().source == named
    monkeypatch.setenv("GRIDRL_USER_CONFIG", "")
    assert settings().WAIT_BEFORE_LAUNCH == 1


def test_a_file_that_the_environment_names_in_vain_is_told(cwd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRIDRL_USER_CONFIG", "lost.py")
    with pytest.raises(UsageError, match=r"GRIDRL_USER_CONFIG names .*lost\.py, and there is no such file"):
        settings()


def test_a_relative_data_directory_counts_from_the_current_one(cwd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = write(cwd, "DEFAULT_DATA_DIR = 'my/results'")
    assert data_dir() == cwd / "my/results"
    (cwd / "sub").mkdir()
    monkeypatch.chdir(cwd / "sub")
    monkeypatch.setenv("GRIDRL_USER_CONFIG", str(named))
    assert data_dir() == cwd / "sub/my/results"


def test_a_tilde_is_the_home_directory(cwd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    write(cwd, "DEFAULT_DATA_DIR = '~/results'\nMPIEXEC = '~/bin/mpiexec'")
    assert data_dir() == Path("/home/somebody/results")
    assert settings().MPIEXEC == "/home/somebody/bin/mpiexec"


def test_an_unknown_name_is_warned_about_once_and_no_error(cwd: Path) -> None:
    path = write(cwd, "DEFAULT_DATADIR = '/x'\nWAIT_BEFORE_LAUNCH = 3")
    with pytest.warns(GridRLWarning) as warned:
        assert settings().WAIT_BEFORE_LAUNCH == 3
    assert [str(warning.message) for warning in warned] == [
        f"{path}: DEFAULT_DATADIR is no setting. Did you mean 'DEFAULT_DATA_DIR'? There are: DEFAULT_DATA_DIR, "
        "FORCE_DATESTAMP, DEFAULT_SHORTHAND, WAIT_BEFORE_LAUNCH, MPIEXEC."
    ]
    assert settings().WAIT_BEFORE_LAUNCH == 3  # a second warning would be an error here


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("FORCE_DATESTAMP = 1", "True or False"),
        ("DEFAULT_SHORTHAND = 'no'", "True or False"),
        ("WAIT_BEFORE_LAUNCH = '5'", "a number of seconds, 0 or more"),
        ("WAIT_BEFORE_LAUNCH = -1", "a number of seconds, 0 or more"),
        ("WAIT_BEFORE_LAUNCH = True", "a number of seconds, 0 or more"),
        ("WAIT_BEFORE_LAUNCH = float('nan')", "a number of seconds, 0 or more"),
        ("DEFAULT_DATA_DIR = None", "a path"),
        ("DEFAULT_DATA_DIR = ''", "a path"),
        ("MPIEXEC = 3", "the name or path of a program, or None"),
    ],
)
def test_a_value_of_the_wrong_type_is_told(cwd: Path, line: str, wanted: str) -> None:
    path = write(cwd, line)
    with pytest.raises(UsageError) as caught:
        settings()
    assert str(caught.value).startswith(f"{path}: {line.split()[0]} is ")
    assert str(caught.value).endswith(f"; it has to be {wanted}.")


def test_all_wrong_values_are_told_at_once(cwd: Path) -> None:
    write(cwd, "FORCE_DATESTAMP = 1\nMPIEXEC = 3")
    with pytest.raises(UsageError) as caught:
        settings()
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("text", "line", "fault"),
    [
        ("WAIT_BEFORE_LAUNCH = 1\n1 / 0\n", 2, "ZeroDivisionError: division by zero"),
        ("def f():\n    raise ValueError('no')\n\nf()\n", 2, "ValueError: no"),
        ("\n\nFORCE_DATESTAMP = (\n", 3, "'(' was never closed"),
        ("import sys\nsys.exit('bye')\n", 2, "SystemExit: bye"),
    ],
)
def test_a_broken_file_is_told_with_its_line(cwd: Path, text: str, line: int, fault: str) -> None:
    path = write(cwd, text)
    with pytest.raises(UsageError) as caught:
        settings()
    assert str(caught.value) == f"{path}, line {line}: {fault}"


def test_the_file_is_read_anew_after_a_change(cwd: Path) -> None:
    path = write(cwd, "WAIT_BEFORE_LAUNCH = 1")
    assert settings().WAIT_BEFORE_LAUNCH == 1
    write(cwd, "WAIT_BEFORE_LAUNCH = 2")
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 10**9))  # file systems count time coarsely
    assert settings().WAIT_BEFORE_LAUNCH == 2


def test_the_file_of_the_checkout_states_the_defaults(cwd: Path) -> None:
    found = settings()
    assert found.source == ROOT / "user_config.py"
    assert data_dir() == cwd / "data"
    text = (ROOT / "user_config.py").read_text()
    for name in ("DEFAULT_DATA_DIR", "FORCE_DATESTAMP", "DEFAULT_SHORTHAND", "WAIT_BEFORE_LAUNCH", "MPIEXEC"):
        before = text[: text.index(f"\n{name} = ")].splitlines()
        assert before[-1].startswith("# "), f"{name} has a comment line"
        assert before[-2] == "", f"{name} has one comment line"


def test_an_installed_package_without_a_file_has_the_defaults(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "gridrl", tmp_path / "site" / "gridrl", ignore=shutil.ignore_patterns("__pycache__"))
    write(tmp_path / "site", "WAIT_BEFORE_LAUNCH = 77")  # beside the package, but this is no checkout
    (tmp_path / "work").mkdir()
    environment = {key: value for key, value in os.environ.items() if key != "GRIDRL_USER_CONFIG"}
    printed = subprocess.run(
        [sys.executable, "-c", "from gridrl.utils.settings import settings; print(settings())"],
        cwd=tmp_path / "work",
        env={**environment, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    assert printed.strip() == (
        f"Settings(DEFAULT_DATA_DIR=PosixPath('{tmp_path}/work/data'), FORCE_DATESTAMP=False, DEFAULT_SHORTHAND=True, "
        "WAIT_BEFORE_LAUNCH=0.0, MPIEXEC=None, source=None)"
    )
