"""What the documents say is true: code runs, links lead somewhere, homes can be imported, commands parse."""

from __future__ import annotations

import ast
import importlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import gridrl
from gridrl.algos import ALGOS
from gridrl.results.reader import find_runs
from gridrl.signature import read_signature

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "data" / "README.md",
    ROOT / "examples" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "algorithms").glob("*.md")),
]
PYTHON_BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
SHELL_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
ALGORITHM_COMMAND = re.compile(rf"python -m gridrl\.run ({'|'.join(ALGOS)}) ")
HOME = re.compile(r"`(gridrl(?:\.\w+)+)`")
OPTIONS = re.compile(r"^\| option \| default \| meaning \|\n.*\n((?:\|.*\n)+)", re.MULTILINE)
OPTION = re.compile(r"^\| ([^|]*) \| ([^|]*) \|", re.MULTILINE)


def _named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def python_blocks() -> list[tuple[str, str]]:
    return [
        (f"{_named(page)}:{number}", block)
        for page in PAGES
        for number, block in enumerate(PYTHON_BLOCK.findall(page.read_text()))
    ]


@pytest.mark.parametrize("code", [pytest.param(code, id=name) for name, code in python_blocks()])
def test_code_in_the_documents_runs_as_a_script(code: str, tmp_path: Path) -> None:
    script = tmp_path / "example.py"
    script.write_text(code)
    ended = subprocess.run(
        [sys.executable, "-W", "error", script.name],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env=os.environ | {"NO_COLOR": "1"},
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize("script", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.name)
def test_examples_run(script: Path, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize("page", PAGES, ids=_named)
def test_links_lead_somewhere(page: Path) -> None:
    broken = [
        link
        for link in LINK.findall(page.read_text())
        if "://" not in link and not (page.parent / link.partition("#")[0]).exists()
    ]
    assert broken == []


def homes() -> list[str]:
    return sorted(set(HOME.findall((ROOT / "docs" / "coming-from.md").read_text())))


@pytest.mark.parametrize("home", homes())
def test_documented_names_can_be_imported_from_their_homes(home: str) -> None:
    module, _, name = home.rpartition(".")
    assert hasattr(importlib.import_module(module), name), home


def test_every_page_stands_in_the_index() -> None:
    index = (ROOT / "docs" / "index.md").read_text()
    missing = [page.stem for page in (ROOT / "docs").glob("*.md") if page.stem != "index" and page.stem not in index]
    assert missing == []


def test_every_algorithm_has_a_page_that_tells_all_its_options() -> None:
    """What many have in common stands in the index of the algorithms, and on a page for the off-policy ones."""
    pages = ROOT / "docs" / "algorithms"
    index, shared = (pages / "index.md").read_text(), (pages / "off-policy.md").read_text()
    for name in ALGOS:
        page = (pages / f"{name}.md").read_text()
        assert f"]({name}.md)" in index
        told = {word for text in (page, index, shared) for word in re.findall(r"`(\w+)`", text)}
        assert [one.name for one in read_signature(ALGOS[name]).params if one.name not in told] == [], name


def documented_defaults(page: str) -> dict[str, str]:
    """What a page's tables of options say: option -> default; several in a row have one each, or all the same."""
    found: dict[str, str] = {}
    for names, default in (row for table in OPTIONS.findall(page) for row in OPTION.findall(table)):
        options, values = re.findall(r"`(\w+)`", names), default.strip("` ").split(", ")
        found.update(zip(options, values if len(values) > 1 else values * len(options), strict=True))
    return {option: value.replace(" ", "") for option, value in found.items() if value}


def literal(text: str) -> object:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


@pytest.mark.parametrize("name", sorted(ALGOS))
def test_the_pages_of_an_algorithm_name_the_defaults_that_it_has(name: str) -> None:
    """Its own page comes before the one about what it shares with others."""
    pages = ROOT / "docs" / "algorithms"
    shared = "off-policy" if read_signature(ALGOS[name]).get("replay_size") else "index"
    texts = [(pages / f"{page}.md").read_text() for page in (shared, name)]
    told = documented_defaults(texts[0]) | documented_defaults(texts[1])
    wrong = {}
    for parameter in read_signature(ALGOS[name]).params:
        default = literal(parameter.default_text) if parameter.default_text else None
        if parameter.name in told and literal(told[parameter.name]) != default:
            wrong[parameter.name] = (told[parameter.name], default)
    assert wrong == {}
    assert len(told) > 15


def test_the_grid_that_comes_along_is_finished_and_can_be_drawn(tmp_path: Path) -> None:
    found = find_runs([ROOT / "data" / "example"])
    assert [(run.name, run.seed, run.state, run.num_rows) for run in found.runs] == [
        (f"example_hid{sizes}", seed, "done", 15) for sizes in ("32", "64-64") for seed in range(3)
    ]
    picture = tmp_path / "example.png"
    gridrl.plot([ROOT / "data" / "example"], save=[picture])
    assert picture.stat().st_size > 10_000


def commands() -> list[str]:
    lines = [line for page in PAGES for block in SHELL_BLOCK.findall(page.read_text()) for line in block.splitlines()]
    return sorted({line.partition("  #")[0].strip() for line in lines if ALGORITHM_COMMAND.match(line)})


@pytest.mark.parametrize("command", commands())
def test_documented_grids_parse(command: str, tmp_path: Path) -> None:
    """Every command of the documents that starts an algorithm is understood (a dry run starts nothing)."""
    words = shlex.split(command)[3:]
    extra = [] if "--help" in words else ["--dry_run"]
    ended = subprocess.run(
        [sys.executable, "-m", "gridrl.run", *words, *extra],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
