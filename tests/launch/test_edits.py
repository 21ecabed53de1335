"""An edit of the user's modules in the middle of a grid changes nothing that is queued or retried."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.launch.edited import EDITS, FIRST, SECOND, configs, launch, make_project, values


@pytest.mark.parametrize("options", [{}, {"isolation": "fresh"}, {"num_cpu": 2, "keys": {"seed": [0, 1]}}])
def test_an_edit_meanwhile_changes_no_run(tmp_path: Path, options: dict[str, Any]) -> None:
    project = make_project(tmp_path)
    ended = launch(project, edits=EDITS, **options)
    assert ended.returncode == 0, ended.stderr
    assert values(project) == [FIRST] * len(configs(project))
    (name,) = {config["snapshot"] for config in configs(project)}
    assert (project / "data" / ".gridrl" / "g" / "snapshot" / name / "snapshot.json").is_file()


def test_a_run_that_is_tried_again_has_the_same_sources(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    ended = launch(project, edits=EDITS, keys={"lr": [1, 0]}, retries=1, isolation="fresh")
    assert ended.returncode == 0, ended.stderr
    assert values(project) == [FIRST, FIRST]
    assert (project / "data" / "g_lr1" / "g_lr1_s0" / "attempts.txt").read_text() == "xx"


def test_live_code_follows_the_edit(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    ended = launch(project, edits=EDITS, isolation="fresh", live_code=True)
    assert ended.returncode == 0, ended.stderr
    assert values(project) == ["12dB", SECOND, SECOND]
    assert [config["snapshot"] for config in configs(project)] == [None] * 3
    assert not (project / "data" / ".gridrl" / "g" / "snapshot").exists()


def test_modules_that_are_deleted_or_renamed_meanwhile_are_still_there(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    broken = {"pkg/deep/constants.py": "this is no Python", "pkg/late.py": "raise SystemExit\n", "pkg/train.py": ""}
    ended = launch(project, edits=broken, isolation="fresh")
    assert ended.returncode == 0, ended.stderr
    assert values(project) == [FIRST] * 3


def test_a_function_in_a_file_comes_from_the_copy(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "neighbour.py").write_text("WORD = 'first'\n")
    text = (
        "import time\nfrom pathlib import Path\nimport neighbour\n"
        "def train(seed=0, logger_kwargs={}):\n"
        "    Path(logger_kwargs['output_dir'], 'value.txt').write_text(neighbour.WORD)\n"
        "    Path('started').touch()\n"
        "    while not Path('go').exists(): time.sleep(0.01)\n"
    )
    (elsewhere / "mine.py").write_text(text)
    edits = {"../elsewhere/neighbour.py": "WORD = 'second'\n", "../elsewhere/mine.py": text.replace("neighbour.W", "W")}
    for isolation in ("auto", "fresh"):
        ended = launch(project, "../elsewhere/mine.py:train", edits, isolation=isolation, fresh=isolation == "fresh")
        assert ended.returncode == 0, ended.stderr
        assert values(project) == ["first"] * 3
        (elsewhere / "neighbour.py").write_text("WORD = 'first'\n")
        (elsewhere / "mine.py").write_text(text)
        (project / "started").unlink()
        (project / "go").unlink()


def test_a_function_of_a_script_travels_by_value_and_what_it_imports_comes_from_the_copy(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    ended = launch(project, "own", {"launch.py": "this is no Python"}, isolation="fresh")
    assert ended.returncode == 0, ended.stderr
    assert values(project) == ["own 1"] * 3


PROGRAM = """
import os, sys, time
from pathlib import Path

import late_module

here = Path(os.environ["GRIDRL_RUN_DIR"])
Path("started").touch()
while not Path("go").exists():
    time.sleep(0.01)
words = [late_module.WORD, sys.argv[2], Path(sys.path[0], "data.txt").read_text(), Path(sys.argv[0]).name]
(here / "value.txt").write_text(" ".join(words))
"""


def test_a_program_is_the_copy_too(tmp_path: Path) -> None:
    (tmp_path / "prog.py").write_text(PROGRAM)
    (tmp_path / "late_module.py").write_text("WORD = 'first'\n")
    (tmp_path / "data.txt").write_text("d")
    command = [sys.executable, "-m", "gridrl.run", "script", "prog.py", "--x", "1", "2", "--jobs", "1"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as grid:
        try:
            while not (tmp_path / "started").exists():
                assert grid.poll() is None, grid.communicate()[0]
            (tmp_path / "late_module.py").write_text("WORD = 'second'\n")
            (tmp_path / "prog.py").write_text("raise SystemExit(3)\n")
            (tmp_path / "go").touch()
            out, _ = grid.communicate(timeout=60)
        finally:
            grid.kill()
    assert grid.returncode == 0, out
    assert values_below(tmp_path) == ["first 1 d prog.py", "first 2 d prog.py"]


def values_below(root: Path) -> list[str]:
    return [path.read_text() for path in sorted((root / "data").glob("*/*/value.txt"))]


def test_a_module_that_registers_an_environment_comes_from_the_copy(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    (project / "my_envs.py").write_text(
        "import gymnasium\nREWARD = 1\n"
        "class Env(gymnasium.Env):\n"
        "    observation_space = action_space = gymnasium.spaces.Discrete(2)\n"
        "gymnasium.register('Mine-v0', entry_point=Env)\n"
    )
    (project / "uses.py").write_text(
        "import time\nfrom pathlib import Path\n"
        "def train(env_fn, seed=0, logger_kwargs={}):\n"
        "    Path('started').touch()\n"
        "    while not Path('go').exists(): time.sleep(0.01)\n"
        "    env = env_fn()\n"
        "    import sys\n"
        "    Path(logger_kwargs['output_dir'], 'value.txt').write_text(str(sys.modules['my_envs'].REWARD))\n"
    )
    text = (project / "my_envs.py").read_text()
    ended = launch(
        project,
        "uses:train",
        {"my_envs.py": text.replace("REWARD = 1", "REWARD = 2")},
        isolation="fresh",
        keys={"env_name": "my_envs:Mine-v0", "seed": [0, 1]},
    )
    assert ended.returncode == 0, ended.stderr
    assert values(project) == ["1", "1"]


def test_a_copy_that_cannot_be_made_is_told_and_the_grid_runs(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    snapshots = project / "data" / ".gridrl" / "g" / "snapshot"
    snapshots.parent.mkdir(parents=True)
    snapshots.write_text("a file is in the way")
    ended = launch(project)
    assert ended.returncode == 0
    assert "Warning: Your sources could not be copied" in ended.stderr
    assert values(project) == [FIRST] * 3
    assert [config["snapshot"] for config in configs(project)] == [None] * 3
