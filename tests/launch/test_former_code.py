"""Coming back to a grid whose code has changed: the question, and what either answer runs."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.launch.edited import EDITS, FIRST, SECOND, configs, edit, interrupt, launch, make_project, snapshots, values

WAYS = [{}, {"isolation": "fresh"}, {"num_cpu": 2, "keys": {"seed": [0, 1]}}]


@pytest.mark.parametrize("options", WAYS)
def test_old_goes_on_with_the_code_of_then_and_new_with_the_code_of_now(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    project = make_project(tmp_path)
    interrupt(project, signal.SIGINT, **options)
    edit(project, EDITS)
    asked = launch(project, **options)
    assert asked.returncode == 1
    assert "gridrl.errors.BadValue: Your code has changed since" in asked.stderr
    old = launch(project, code="old", **options)
    assert old.returncode == 0, old.stderr
    assert values(project) == [FIRST] * len(configs(project))
    new = launch(project, code="new", fresh=True, **options)
    assert new.returncode == 0, new.stderr
    assert values(project) == [SECOND] * len(configs(project))


def test_the_question_names_what_has_changed_and_what_to_type(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    words = ["pkg.train:train", "--seed", "0", "1", "--jobs", "1", "--isolation", "fresh", "--data-dir", "data"]
    command = [sys.executable, "-m", "gridrl.run", *words]
    interrupt(project, signal.SIGINT, command=command)
    (project / "pkg" / "late.py").write_text("LATE = 2\n")

    def typed(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *more], cwd=project, capture_output=True, text=True, timeout=100, check=False)

    asked = typed()
    assert asked.returncode == 2
    assert asked.stderr.startswith(
        "Your code has changed since 2 of these runs were queued: pkg/late.py. Add `--code old` "
        "(code='old') to go on with the code of then, of which there is a copy, or `--code new` (code='new') to go on "
        "with the code of now."
    )
    looked = typed("--dry-run")
    assert looked.returncode == 0
    assert "Warning: Your code has changed since 2 of these runs" in looked.stderr
    wrong = typed("--code", "odl")
    assert wrong.returncode == 2
    (project / "go").touch()
    assert typed("--code", "old").returncode == 0
    assert values(project) == [FIRST, FIRST]


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_asked_where_the_code_is_the_same(tmp_path: Path, by: signal.Signals) -> None:
    project = make_project(tmp_path)
    interrupt(project, by)
    edit(project, {"pkg/late.py": "# a comment\nLATE = 1\n", "pkg/unused.py": "X = 1\n", "pkg/data.txt": "e"})
    ended = launch(project)
    assert ended.returncode == 0, ended.stderr
    assert values(project) == ["11eB"] * 3


def test_a_launcher_that_was_killed_asks_too(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    interrupt(project, signal.SIGKILL)
    edit(project, EDITS)
    assert "pkg/deep/constants.py, pkg/late.py" in launch(project).stderr
    assert launch(project, code="old").returncode == 0
    assert values(project) == [FIRST] * 3


def test_live_code_is_never_asked_about(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    interrupt(project, signal.SIGINT)
    edit(project, EDITS)
    ended = launch(project, live_code=True)
    assert ended.returncode == 0, ended.stderr
    assert values(project) == [SECOND] * 3
    project = make_project(tmp_path / "again")
    interrupt(project, signal.SIGINT, live_code=True)
    edit(project, EDITS)
    ended = launch(project)
    assert ended.returncode == 0, ended.stderr
    assert values(project) == [SECOND] * 3


def test_runs_that_are_done_ask_nothing(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    (project / "go").touch()
    assert launch(project).returncode == 0
    edit(project, EDITS)
    assert launch(project).returncode == 0
    more = launch(project, keys={"seed": [0, 1, 2, 3]})
    assert more.returncode == 0, more.stderr
    assert values(project) == [FIRST, FIRST, FIRST, SECOND]


def test_what_is_new_in_the_grid_goes_with_the_others(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    interrupt(project, signal.SIGINT)
    edit(project, EDITS)
    ended = launch(project, keys={"seed": [0, 1, 2, 3]}, code="old")
    assert ended.returncode == 0, ended.stderr
    assert values(project) == [FIRST] * 4
    assert len({config["snapshot"] for config in configs(project)}) == 1
    assert len({config["code"]["hash"] for config in configs(project)}) == 1


def test_a_function_of_a_script_is_kept_as_it_was(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    interrupt(project, signal.SIGINT, thunk="own")
    edit(project, {"launch.py": (project / "launch.py").read_text().replace("own 1", "own 2")})
    asked = launch(project, "own")
    assert "queued: launch.py." in asked.stderr
    assert launch(project, "own", code="old").returncode == 0
    assert values(project) == ["own 1"] * 3
    ended = launch(project, "own", code="new", force=True)
    assert ended.returncode == 0, ended.stderr
    assert values(project) == ["own 2"] * 3


def test_where_the_copy_is_gone_nothing_can_be_asked(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    interrupt(project, signal.SIGINT)
    edit(project, EDITS)
    shutil.rmtree(snapshots(project))
    ended = launch(project)
    assert ended.returncode == 0, ended.stderr
    assert values(project) == [SECOND] * 3


def test_references_and_environments_are_looked_up_in_the_old_code(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    environment = (
        "import gymnasium\n"
        "class Env(gymnasium.Env):\n"
        "    observation_space = action_space = gymnasium.spaces.Discrete(2)\n"
        "gymnasium.register('Mine-v0', entry_point=Env)\n"
    )
    uses = (
        "import time\nfrom pathlib import Path\n"
        "def train(env_fn, seed=0, logger_kwargs={}):\n"
        "    env_fn()\n"
        "    Path('started').touch()\n"
        "    while not Path('go').exists(): time.sleep(0.01)\n"
        "    Path(logger_kwargs['output_dir'], 'value.txt').write_text('1')\n"
    )
    edit(project, {"my_envs.py": environment, "uses.py": uses})
    options: dict[str, Any] = {"thunk": "uses:train", "keys": {"env_name": "my_envs:Mine-v0", "seed": [0, 1]}}
    interrupt(project, signal.SIGINT, **options)
    edit(project, {"my_envs.py": "raise SystemExit('broken')\n"})
    ended = launch(project, code="old", **options)
    assert ended.returncode == 0, ended.stderr
    assert values(project) == ["1", "1"]


@pytest.mark.parametrize("code", ["newest", 3])
def test_an_answer_that_makes_no_sense_is_told(tmp_path: Path, code: Any) -> None:
    ended = launch(make_project(tmp_path), code=code)
    assert f"code={code!r}: 'old' or 'new' is wanted." in ended.stderr
