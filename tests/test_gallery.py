"""The gallery of docs/plotting.md: every picture has the command that made it, and these commands run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gridrl.build import load_file
from gridrl.run import main

ROOT = Path(__file__).parent.parent
GALLERY = load_file(ROOT / "benchmarks" / "gallery.py")
PICTURES: dict[str, list[str]] = GALLERY.pictures(GALLERY.PAGE.read_text())


def test_every_picture_of_the_page_stands_below_its_command() -> None:
    assert list(PICTURES) == re.findall(r"!\[[^\]]+\]\((images/plot-[^)]+)\)", GALLERY.PAGE.read_text())
    drawn = sorted(f"images/{path.name}" for path in (ROOT / "docs" / "images").glob("plot-*.png"))
    assert drawn == sorted(PICTURES)


def test_a_picture_below_another_ones_command_is_told() -> None:
    command = "```sh\npython -m gridrl.run plot data --save docs/images/a.png\n```\n\n"
    assert GALLERY.pictures(f"{command}![A](images/a.png)\n") == {
        "images/a.png": ["plot", "data", "--save", "docs/images/a.png"]
    }
    with pytest.raises(ValueError, match=r"the command writes images/a\.png, below it stands images/b\.png"):
        GALLERY.pictures(f"{command}![B](images/b.png)\n")


@pytest.mark.parametrize("picture", PICTURES)
def test_commands_of_the_gallery_draw(
    picture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    words = PICTURES[picture]
    place = words.index("--save") + 1
    path = tmp_path / Path(picture).name
    assert main([*words[:place], str(path), *words[place + 1 :]]) == 0
    assert capsys.readouterr() == (f"Wrote {path}\n", "")
    GALLERY.shrink(path)
    assert 5_000 < path.stat().st_size < 120_000


def test_its_runs_are_four_variants_and_more_with_five_seeds_on_two_environments() -> None:
    from gridrl.results.reader import find_runs

    found = find_runs([ROOT / "data" / "gallery"])
    seeds: dict[tuple[str, str], list[int | None]] = {}
    for run in found.runs:
        seeds.setdefault((run.env, run.name), []).append(run.seed)
    assert [sum(env == wanted for env, _ in seeds) for wanted in ("Acrobot-v1", "CartPole-v1")] == [6, 6]
    assert set(map(tuple, seeds.values())) == {(0, 1, 2, 3, 4)}
    assert {run.state for run in found.runs} == {"done"}
    assert sum(path.stat().st_size for path in (ROOT / "data" / "gallery").rglob("*") if path.is_file()) < 600_000
