from __future__ import annotations

import collections
import enum
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from gridrl.errors import CheckpointError, DiskFull
from gridrl.log.logger import EpochLogger
from gridrl.log.saving import pack_arrays, portable, unpack_arrays


def load(path: Path) -> Any:
    return torch.load(path, weights_only=True)


def config_of(run: Path) -> dict[str, Any]:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    found: dict[str, Any] = json.loads((run / "config.json").read_text(), parse_constant=refuse)
    return found


class Colour(enum.IntEnum):
    RED = 3


class Unhelpful:
    def __repr__(self) -> str:
        raise RuntimeError("no text")


def algorithm(env_fn: Any, logger: EpochLogger, env: Any, ac: Any, seed: int = 0, **more: Any) -> None:
    logger.save_config(locals())


def test_the_arguments_of_an_algorithm_are_readable_json(logger: EpochLogger, tmp_path: Path) -> None:
    env = gymnasium.make("CartPole-v1")
    itself: dict[str, Any] = {"a": 1}
    itself["itself"] = itself
    algorithm(
        lambda: env,
        logger,
        env,
        torch.nn.Linear(2, 2),
        space=env.action_space,
        rate=np.float32(0.5),
        worst=float("nan"),
        limit=float("inf"),
        sizes=(64, 64),
        table={1: "a", "1": "b", (1, 2): Colour.RED},
        array=np.arange(3),
        weights=torch.ones(2),
        unhelpful=Unhelpful(),
        rng=np.random.default_rng(0),
        itself=itself,
        huge=10**6000,
        text="\udcff",
        logger_kwargs={"logger": logger},
    )
    env.close()
    written = (tmp_path / "run" / "config.json").read_text()
    config = config_of(tmp_path / "run")
    assert config["exp_name"] == "test"
    found = config["algorithm"]
    assert " at 0x" not in written
    assert "logger" not in found
    assert "CartPole-v1" in found["env"]
    assert (found["seed"], found["more"]["rate"], found["more"]["sizes"]) == (0, 0.5, [64, 64])
    assert (found["more"]["array"], found["more"]["weights"]) == ([0, 1, 2], [1.0, 1.0])


def test_what_the_launcher_wrote_stays(logger: EpochLogger, tmp_path: Path) -> None:
    config = tmp_path / "run" / "config.json"
    config.write_text(json.dumps({"exp_name": "launched", "run_id": "abc", "variant": {"gamma": 0.9}}))
    logger.save_config({"gamma": 0.9, "lam": 0.97})
    logger.save_config({"gamma": 0.9, "lam": 0.98})
    assert config_of(tmp_path / "run") == {
        "exp_name": "launched",
        "run_id": "abc",
        "variant": {"gamma": 0.9},
        "algorithm": {"gamma": 0.9, "lam": 0.98},
    }


def test_the_configuration_does_not_say_where_the_run_stands(logger: EpochLogger, tmp_path: Path) -> None:
    logger.save_config({"logger_kwargs": {"output_dir": str(tmp_path), "exp_name": "moved"}, "lr": 0.1})
    assert logger.output_dir is not None
    assert config_of(logger.output_dir)["algorithm"] == {"logger_kwargs": {"exp_name": "moved"}, "lr": 0.1}


@pytest.mark.parametrize("broken", ["", "{", "[1]", "null"])
def test_a_configuration_that_is_none_does_not_stop_a_run(logger: EpochLogger, tmp_path: Path, broken: str) -> None:
    (tmp_path / "run" / "config.json").write_text(broken)
    logger.save_config({"a": 1})
    assert config_of(tmp_path / "run") == {"exp_name": "test", "algorithm": {"a": 1}}


def test_a_module_is_saved_as_its_state_dict(logger: EpochLogger, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    logger.setup_pytorch_saver(module)
    logger.save_state({"epoch": 3})
    other = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    other.load_state_dict(load(tmp_path / "run" / "model" / "model.pt"))
    for name, value in module.state_dict().items():
        assert torch.equal(other.state_dict()[name], value)
    assert load(tmp_path / "run" / "model" / "vars.pt") == {"epoch": 3}


def test_several_modules_are_saved_by_name_and_epoch(logger: EpochLogger, tmp_path: Path) -> None:
    parts = {"pi": torch.nn.Linear(2, 1), "v": torch.nn.Linear(2, 1)}
    logger.setup_pytorch_saver(parts)
    logger.save_state({}, itr=0)
    with torch.no_grad():
        parts["pi"].weight.fill_(7.0)
    logger.save_state({}, itr=10)
    model = tmp_path / "run" / "model"
    assert sorted(path.name for path in model.iterdir()) == ["model0.pt", "model10.pt", "vars0.pt", "vars10.pt"]
    assert set(load(model / "model0.pt")) == {"pi", "v"}
    assert load(model / "model10.pt")["pi"]["weight"].tolist() == [[7.0, 7.0]]
    assert load(model / "model0.pt")["pi"]["weight"].tolist() != [[7.0, 7.0]]


def test_views_of_one_buffer_are_saved_without_the_rest_of_it(logger: EpochLogger, tmp_path: Path) -> None:
    module = torch.nn.Linear(1, 1)
    buffer = torch.zeros(100_000)
    module.weight = torch.nn.Parameter(buffer[:1].view(1, 1))
    logger.setup_pytorch_saver(module)
    logger.save_state({})
    path = tmp_path / "run" / "model" / "model.pt"
    assert path.stat().st_size < 10_000
    assert load(path)["weight"].untyped_storage().nbytes() == 4


def test_extras_are_saved_as_plain_values_and_tensors(logger: EpochLogger, tmp_path: Path) -> None:
    env = gymnasium.make("CartPole-v1")
    logger.save_state(
        {
            "none": None,
            "flag": True,
            "number": np.float64(0.1),
            "count": np.int32(3),
            "text": "é",
            "bytes": b"\x00\xff",
            "complex": 1 + 2j,
            "colour": Colour.RED,
            "array": np.arange(6, dtype=">i4").reshape(2, 3)[:, ::-1],
            "nested": collections.OrderedDict({"list": [1, (2.5, torch.tensor(3.0, requires_grad=True))], 5: "key"}),
            "env": env,
        }
    )
    env.close()
    found = load(tmp_path / "run" / "model" / "vars.pt")
    assert torch.equal(found.pop("array"), torch.tensor([[2, 1, 0], [5, 4, 3]], dtype=torch.int32))
    assert found == {
        "none": None,
        "flag": True,
        "number": 0.1,
        "count": 3,
        "text": "é",
        "bytes": b"\x00\xff",
        "complex": 1 + 2j,
        "colour": 3,
        "nested": {"list": [1, (2.5, torch.tensor(3.0))], 5: "key"},
        "env": "CartPole-v1",
    }


@pytest.mark.parametrize(
    ("extras", "named"),
    [
        ({"a": [1, {"b": object()}]}, r"state_dict\['a'\]\[1\]\['b'\] is of type object"),
        ({"f": len}, r"state_dict\['f'\] is of type builtin_function_or_method"),
        ({"s": {1, 2}}, r"state_dict\['s'\] is of type set"),
        ({"names": np.array(["a"])}, r"state_dict\['names'\] is of type ndarray of <U1"),
        ({"objects": np.array([None, 1])}, r"state_dict\['objects'\] is of type ndarray of object"),
        ({(object,): 1}, r"a key of state_dict\[0\] is of type type"),
    ],
)
def test_an_extra_that_needs_pickled_code_is_refused_by_name(
    logger: EpochLogger, tmp_path: Path, extras: dict[str, Any], named: str
) -> None:
    logger.setup_pytorch_saver(torch.nn.Linear(1, 1))
    with pytest.raises(CheckpointError, match=f"^{named}: it could be loaded only by running pickled code"):
        logger.save_state(extras)
    assert not (tmp_path / "run" / "model").exists()


def test_a_portable_state_shares_nothing_with_the_living_one() -> None:
    array, tensor = np.zeros(2), torch.zeros(2)
    state = portable({"array": array, "tensor": tensor})
    array += 1
    tensor += 1
    assert state["array"].tolist() == state["tensor"].tolist() == [0.0, 0.0]


def test_an_array_that_was_loaded_to_another_device_comes_back_as_an_array() -> None:
    class Away(torch.Tensor):
        def numpy(self, *, force: bool = False) -> Any:
            raise TypeError("can't convert cuda:0 device type tensor to numpy")

        def cpu(self, *args: Any) -> torch.Tensor:  # type: ignore[override]
            return self.as_subclass(torch.Tensor)

    state = portable(pack_arrays({"rows": [np.arange(3)]}))
    (packed,) = state["rows"]
    ((mark, saved),) = packed.items()
    found = unpack_arrays({"rows": [{mark: saved.as_subclass(Away)}]})
    assert isinstance(found["rows"][0], np.ndarray)
    assert found["rows"][0].tolist() == [0, 1, 2]


def test_only_what_has_a_state_can_be_set_up(logger: EpochLogger) -> None:
    with pytest.raises(CheckpointError, match="the object is of type int, which has no state_dict"):
        logger.setup_pytorch_saver(3)
    with pytest.raises(CheckpointError, match="setup_pytorch_saver: v is of type str, which has no state_dict"):
        logger.setup_pytorch_saver({"pi": torch.nn.Linear(1, 1), "v": "critic"})


SAVES_AND_IS_KILLED = """
import os, signal, sys
from gridrl.log.logger import EpochLogger
import torch
logger = EpochLogger(sys.argv[1], quiet=True)
module = torch.nn.Linear(1, 1)
logger.setup_pytorch_saver(module)
torch.nn.init.constant_(module.weight, 1.0)
logger.save_state({"epoch": 1})
os.replace = lambda *paths: os.kill(os.getpid(), signal.SIGKILL)
torch.nn.init.constant_(module.weight, 2.0)
logger.save_state({"epoch": 2})
"""


def test_a_kill_while_saving_leaves_what_was_saved_before(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SAVES_AND_IS_KILLED, str(tmp_path)],
        timeout=120,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert ended.returncode == -signal.SIGKILL
    assert load(tmp_path / "model" / "model.pt")["weight"].tolist() == [[1.0]]
    assert load(tmp_path / "model" / "vars.pt") == {"epoch": 1}


def test_a_full_disk_leaves_what_was_saved_before(tiny_disk: Path, fill: Callable[[Path, int], None]) -> None:
    with EpochLogger(tiny_disk / "run", quiet=True) as logger:
        module = torch.nn.Linear(10, 10)
        logger.setup_pytorch_saver(module)
        logger.save_state({"epoch": 1})
        logger.save_config({"a": 1})
        fill(tiny_disk, 0)
        for fails in (lambda: logger.save_state({"epoch": 2}), lambda: logger.save_config({"a": 2})):
            with pytest.raises(DiskFull, match="no space is left on its file system \\(0 KiB free\\)"):
                fails()
    assert load(tiny_disk / "run" / "model" / "vars.pt") == {"epoch": 1}
    assert config_of(tiny_disk / "run") == {"algorithm": {"a": 1}}
    assert len(list((tiny_disk / "run" / "model").iterdir())) == 2
