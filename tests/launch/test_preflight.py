"""What another process finds out before anything starts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gridrl import ExperimentGrid
from gridrl.envs.scaling import action_fault
from gridrl.errors import BackendError, BadValue
from gridrl.launch import preflight as module
from gridrl.launch.preflight import Answer, preflight


def test_nothing_to_ask_starts_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *args, **kwargs: pytest.fail("a process was started"))
    assert preflight([], [], ["json:dumps"]) == Answer({})


def test_a_device_that_is_not_there_is_told() -> None:
    answer = preflight([], [], [], ["gpu", "cuda:999"])
    assert len(answer.faults) == 2
    assert answer.faults[0].startswith("device='cuda:999': this machine has ")
    assert answer.faults[1] == "device='gpu': no such device; 'cpu', 'cuda' or 'cuda:1' is meant."


def test_references_and_environments_are_looked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "noisy.py").write_text("print('{}')\nclass Net: ...\nvalue = object()\nnumber = 3\n")
    (tmp_path / "broken.py").write_text("raise RuntimeError('at import')\n")
    monkeypatch.syspath_prepend(tmp_path)
    answer = preflight(
        ["noisy.Net", "noisy.value", "noisy.number", "noisy.Nett", "broken.Net", "nowhere.Net"],
        [
            ("CartPole-v1", ("sutton_barto_reward",)),
            ("CartPole-v1", ("sutton_bato_reward",)),
            ("CartPole-v9", ()),
            ("CatrPole-v1", ()),
            ("nowhere:Env-v0", ()),
        ],
        [],
    )
    assert answer.canonical == {"noisy.Net": "noisy:Net", "noisy.value": "reference noisy.value", "noisy.number": "3"}
    told = "\n".join(answer.faults)
    assert "noisy has no 'Nett'. Did you mean 'Net'?" in told
    assert "`broken.Net`: importing it failed: RuntimeError: at import" in told
    assert "there is no module 'nowhere'" in told
    assert "'CartPole-v9' is not registered" in told
    assert "'CatrPole-v1' is not registered. Did you mean 'CartPole-v1'?" in told
    assert "'CartPole-v1' has no argument 'sutton_bato_reward'" in told
    assert "Did you mean 'sutton_barto_reward'?" in told
    assert len(answer.faults) == 7
    assert "noisy" not in sys.modules


def test_a_process_that_gives_no_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_COMMAND", ["-c", "import sys; sys.exit('no answer')"])
    with pytest.raises(BackendError, match="The check of environments and references ended with 1:\nno answer"):
        preflight(["json.dumps"], [], [])


REGISTERS = """
import sys
import gymnasium
from gridrl import ExperimentGrid
from gymnasium.envs.classic_control import CartPoleEnv

class Short(CartPoleEnv):
    pass

gymnasium.register("ShortPole-v0", Short, max_episode_steps=7)

def train(env_fn, seed):
    env = env_fn()
    print(type(env.unwrapped).__name__, env.spec.max_episode_steps, env_fn.env_id, env_fn.kwargs)

grid = ExperimentGrid("g")
grid.add("env_name", ["ShortPole-v0", "MountainCar-v0"])
grid.add("env_kwargs:render_mode", "rgb_array")
assert grid.run(train, data_dir=sys.argv[1], jobs=2).ok
"""


def test_environments_that_the_script_registers_itself_go_along(
    script: Callable[..., Path], run_script: Callable[..., Any], data_dir: Path
) -> None:
    ended = run_script(script(REGISTERS), str(data_dir))
    assert ended.returncode == 0, ended.stderr
    assert sorted(log.read_text() for log in data_dir.rglob("stdout.log")) == [
        "MountainCarEnv 200 MountainCar-v0 {'render_mode': 'rgb_array'}\n",
        "Short 7 ShortPole-v0 {'render_mode': 'rgb_array'}\n",
    ]


BY_MODULE = """
import sys
from gridrl import ExperimentGrid, errors

grid = ExperimentGrid("g")
grid.add("env_name", sys.argv[2])
try:
    assert grid.run("registers_it:train", data_dir=sys.argv[1]).ok
except errors.BadValue as error:
    sys.exit(f"told: {error}")
"""


def test_environments_that_the_thunks_module_registers_are_found(
    script: Callable[..., Path], run_script: Callable[..., Any], data_dir: Path
) -> None:
    script(
        "import gymnasium\n"
        "gymnasium.register('Ours-v0', 'gymnasium.envs.classic_control:CartPoleEnv')\n"
        "def train(env_fn):\n    print(env_fn().spec.id)\n",
        "registers_it.py",
    )
    path = script(BY_MODULE)
    ended = run_script(path, str(data_dir), "Ours-v0")
    assert ended.returncode == 0, ended.stderr
    assert (data_dir / "g" / "g_s0" / "stdout.log").read_text() == "Ours-v0\n"
    ended = run_script(path, str(data_dir), "Uors-v0")
    assert ended.stderr.startswith("told: Environment 'Uors-v0' is not registered. Did you mean 'Ours-v0'?")
    ended = run_script(path, str(data_dir), "registers_it:Ours-v0")
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize(
    ("algorithm", "env_name", "message"),
    [
        ("dqn", "Pendulum-v1", r"Pendulum-v1: dqn needs Discrete actions; this environment's are Box\(-2\.0, 2\.0"),
        ("td3", "CartPole-v1", r"CartPole-v1: td3 needs continuous actions, a Box .* are Discrete\(2\)"),
    ],
)
def test_actions_that_an_algorithm_cannot_serve_are_told_before_anything_is_written(
    tmp_path: Path, algorithm: str, env_name: str, message: str
) -> None:
    grid = ExperimentGrid(name="g")
    grid.add("env_name", env_name)
    with pytest.raises(BadValue, match=message):
        grid.run(f"gridrl.algos.{algorithm}:{algorithm}", data_dir=tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_actions_that_it_can_serve_and_environments_that_cannot_be_made_are_no_fault() -> None:
    assert action_fault("sac", "Pendulum-v1", "Box") is None
    assert action_fault("dqn", "CartPole-v1", "Discrete") is None
    assert action_fault("sac", "NoSuch-v0", "Box") is None
