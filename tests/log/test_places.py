from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import gridrl
from gridrl.errors import BadValue
from gridrl.log.logger import setup_logger_kwargs


def relative(tmp_path: Path, *args: Any, **kwargs: Any) -> str:
    found = setup_logger_kwargs(*args, data_dir=tmp_path, **kwargs)
    assert list(found) == ["output_dir", "exp_name"]
    return str(Path(found["output_dir"]).relative_to(tmp_path))


def test_a_seed_gets_a_directory_in_that_of_the_experiment(tmp_path: Path) -> None:
    assert relative(tmp_path, "ppo-test", 7) == "ppo-test/ppo-test_s7"
    assert relative(tmp_path, "ppo-test", seed=0) == "ppo-test/ppo-test_s0"
    assert not list(tmp_path.iterdir())


def test_without_a_seed_there_is_no_inner_directory(tmp_path: Path) -> None:
    assert relative(tmp_path, "ppo-test") == "ppo-test"


DAY = r"\d{4}-\d\d-\d\d"


def test_stamps_are_those_of_the_originals(tmp_path: Path) -> None:
    stamped = relative(tmp_path, "name", 3, datestamp=True)
    assert re.fullmatch(rf"({DAY})_name/(\1)_\d\d-\d\d-\d\d-name_s3", stamped)
    assert re.fullmatch(rf"{DAY}_name", relative(tmp_path, "name", datestamp=True))


def test_the_settings_can_ask_for_stamps_and_name_the_data_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "user_config.py").write_text(f"FORCE_DATESTAMP = True\nDEFAULT_DATA_DIR = {str(tmp_path / 'mine')!r}\n")
    monkeypatch.setenv("GRIDRL_USER_CONFIG", str(tmp_path / "user_config.py"))
    found = Path(setup_logger_kwargs("name", 1)["output_dir"])
    assert found.parents[1] == tmp_path / "mine"
    assert re.fullmatch(rf"{DAY}_name", found.parent.name)


def test_without_settings_the_data_directory_is_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert setup_logger_kwargs("name")["output_dir"] == str(tmp_path / "data" / "name")


def test_the_users_home_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert setup_logger_kwargs("name", data_dir="~/runs")["output_dir"] == str(tmp_path / "runs" / "name")


def test_slashes_make_directories_once(tmp_path: Path) -> None:
    assert relative(tmp_path, "sweep/ppo", 0) == "sweep/ppo/ppo_s0"


def test_long_names_are_cut_so_that_file_systems_take_them(tmp_path: Path) -> None:
    found = relative(tmp_path, "n" * 400, 12, datestamp=True)
    assert all(len(part) < 200 for part in found.split("/"))
    assert relative(tmp_path, "n" * 400, 1) != relative(tmp_path, "n" * 401, 1)
    (tmp_path / found).mkdir(parents=True)


@pytest.mark.parametrize("name", ["", "..", "../x", "a/../b", "/etc", "a//b", "a/", "a\0b", None, 3])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: Any) -> None:
    with pytest.raises(BadValue, match="a name is text, without empty parts"):
        setup_logger_kwargs(name, 0, tmp_path)


def test_names_with_spaces_and_quotes_work(tmp_path: Path) -> None:
    found = setup_logger_kwargs('it\'s "a" name\nof two lines', 0, tmp_path)
    with gridrl.EpochLogger(**found, quiet=True) as logger:
        logger.log_tabular("a", 1)
        logger.dump_tabular()
    assert Path(found["output_dir"], "progress.txt").read_text() == "a\n1\n"
