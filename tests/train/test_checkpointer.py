"""A training that was checkpointed and resumed equals one that never stopped; what does not fit changes nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from gridrl.errors import BadValue, CheckpointError, InvalidCheckpointLocation, NotFinite, VersionMismatch
from gridrl.train.callback import Callback
from gridrl.train.checkpoint import Checkpointer, CheckpointLoader, Restoree
from gridrl.train.loss import LossCallback
from gridrl.train.trainer import Trainer
from tests.train.training_program import Program


def files(directory: Path) -> list[str]:
    return sorted(path.name for path in (directory / "checkpoints").iterdir())


def uninterrupted(directory: Path, updates: int) -> dict[str, Any]:
    program = Program(directory)
    program.train(updates, program.checkpointer(2))
    return program.result()


@pytest.mark.parametrize(("stopped_after", "journal"), [(4, False), (5, False), (5, True)])
def test_a_resumed_training_equals_one_that_never_stopped_to_the_last_digit(
    tmp_path: Path, stopped_after: int, journal: bool
) -> None:
    first = Program(tmp_path / "resumed", journal=journal)
    first.train(stopped_after, first.checkpointer(2))
    assert files(tmp_path / "resumed") == ["checkpoint_0.tar", "checkpoint_1.tar"]
    second = Program(tmp_path / "resumed", journal=journal)
    trainer = second.train(8, second.loader(1), second.checkpointer(2))
    assert (trainer.state["bp_step"], trainer.state["bp_samples"], trainer.state["checkpoint_index"]) == (8, 32, 3)
    assert trainer.state["latest_checkpoint"] == str(tmp_path / "resumed" / "checkpoints" / "checkpoint_3.tar")
    assert files(tmp_path / "resumed") == [f"checkpoint_{index}.tar" for index in range(4)]
    assert second.result() == uninterrupted(tmp_path / "whole", 8)


def test_the_same_program_starts_and_goes_on_with_the_newest_checkpoint(tmp_path: Path) -> None:
    for updates in (3, 6, 8):
        program = Program(tmp_path / "again")
        program.train(updates, program.loader(), program.checkpointer(2))
    assert program.result() == uninterrupted(tmp_path / "whole", 8)


def test_a_training_that_is_killed_as_it_saves_goes_on_from_the_checkpoint_before(tmp_path: Path) -> None:
    script = Path(__file__).with_name("training_program.py")
    ended = subprocess.run(
        [sys.executable, script, tmp_path / "killed"],
        timeout=120,
        check=False,
        env=os.environ | {"PYTHONPATH": str(script.parents[2])},
    )
    assert ended.returncode == -signal.SIGKILL
    left = files(tmp_path / "killed")
    assert left[1:] == ["checkpoint_0.tar", "checkpoint_1.tar"]
    assert left[0].startswith(".checkpoint_2.tar.")
    program = Program(tmp_path / "killed")
    program.train(8, program.loader(), program.checkpointer(2))
    assert files(tmp_path / "killed") == [f"checkpoint_{index}.tar" for index in range(4)]
    assert program.result() == uninterrupted(tmp_path / "whole", 8)


def test_no_checkpoint_is_overwritten_and_only_the_newest_stay_on_request(tmp_path: Path) -> None:
    first = Program(tmp_path)
    first.train(6, first.checkpointer(2))
    content = (tmp_path / "checkpoints" / "checkpoint_1.tar").read_bytes()
    back = Program(tmp_path)
    back.train(6, back.loader(1), back.checkpointer(2))  # goes back to update 4; checkpoint_2 was of update 6
    assert files(tmp_path) == [f"checkpoint_{index}.tar" for index in range(4)]
    assert (tmp_path / "checkpoints" / "checkpoint_1.tar").read_bytes() == content
    few = Program(tmp_path)
    few.train(4, few.checkpointer(1, keep=2, checkpoint_index=20))
    assert files(tmp_path) == ["checkpoint_22.tar", "checkpoint_23.tar"]


def test_a_journal_keeps_what_the_checkpoints_that_stay_need(tmp_path: Path) -> None:
    first = Program(tmp_path, journal=True)
    first.train(30, first.checkpointer(2))  # the table holds the episodes of five updates
    assert len(list((tmp_path / "replay").iterdir())) >= 15
    for index in (14, 3):
        program = Program(tmp_path, journal=True)
        program.train(2 * index + 2, program.loader(index))
        assert program.result() == uninterrupted(tmp_path / f"whole {index}", 2 * index + 2)
        assert program.table.size() == min(40, 8 * (2 * index + 3))
    late = Program(tmp_path, journal=True)
    with pytest.raises(
        CheckpointError, match=r"checkpoint_14.tar does not fit, nothing was changed. replay: .*missing"
    ):
        Trainer([late.loader(14)]).train()


def test_a_journal_lets_go_of_what_no_checkpoint_needs(tmp_path: Path) -> None:
    program = Program(tmp_path, journal=True)
    program.train(30, program.checkpointer(2, keep=2))
    assert len(list((tmp_path / "replay").iterdir())) < 10
    again = Program(tmp_path, journal=True)
    again.train(40, again.loader(), again.checkpointer(2, keep=2))
    assert again.result() == uninterrupted(tmp_path / "whole", 40)
    assert len(list((tmp_path / "replay").iterdir())) < 10


def test_a_journal_goes_on_beside_checkpoints_that_need_nothing_of_it(tmp_path: Path) -> None:
    whole = Program(tmp_path)
    whole.train(4, whole.checkpointer(2))  # checkpoints 0 and 1 hold the whole table
    first = Program(tmp_path, journal=True)
    first.train(6, first.checkpointer(2))
    (tmp_path / "checkpoints" / "checkpoint_4.tar").write_bytes(b"half of one, left by a broken disk")
    program = Program(tmp_path, journal=True)
    with pytest.raises(CheckpointError, match=r"checkpoint_4.tar cannot be read: .*\. Load an earlier one\.$"):
        program.train(8, program.loader(), program.checkpointer(2))
    program.train(8, program.loader(3), program.checkpointer(2))
    assert files(tmp_path) == [f"checkpoint_{index}.tar" for index in range(7)]
    assert program.result() == uninterrupted(tmp_path / "whole", 8)


def test_a_checkpoint_loads_without_trust_and_has_the_documented_form(tmp_path: Path) -> None:
    program = Program(tmp_path)
    program.train(2, program.checkpointer(2, storage_subdirectory="kept", checkpoint_index=7))
    path = tmp_path / "kept" / "checkpoint_7.tar"
    content = torch.load(path, weights_only=True)
    assert set(content["callback_state_dicts"]) == {"q", "Target", "Collect"}
    assert content["training_state"] == {
        "latest_checkpoint": str(path),
        "bp_step": 2,
        "bp_samples": 8,
        "checkpoint_index": 7,
    }


@pytest.mark.parametrize("part", ["load_weights", "load_optimizers", "load_hparams"])
def test_weights_optimisers_and_the_rest_are_taken_on_their_own(tmp_path: Path, part: str) -> None:
    trained = Program(tmp_path)
    trained.train(4, trained.checkpointer(4))
    flags = dict.fromkeys(("load_weights", "load_optimizers", "load_hparams"), False) | {part: True}
    fresh = Program(tmp_path)
    fresh.restorees = [fresh.q]
    untouched = Program(tmp_path)
    trainer = Trainer([fresh.loader(0, **flags)])
    trainer.train()
    weights, optimizers, hparams = (part == name for name in flags)

    def weight(program: Program) -> list[float]:
        return [float(value) for value in program.q.net[0].weight.detach().reshape(-1)]  # type: ignore[index]

    assert weight(fresh) == weight(trained if weights else untouched)
    assert len(fresh.q.optimizer.state_dict()["state"]) == (4 if optimizers else 0)
    assert fresh.q.lr_schedule.last_epoch == (4 if hparams else 0)
    assert trainer.state["bp_step"] == (4 if hparams else 0)
    assert fresh.table.size() == (trained.table.size() if hparams else 0)


def test_a_checkpoint_of_another_network_is_told_and_nothing_is_changed(tmp_path: Path) -> None:
    trained = Program(tmp_path)
    trained.train(2, trained.checkpointer(2))
    other, same = Program(tmp_path, hidden=16), Program(tmp_path, hidden=16)
    other.restorees = [other.collect, other.target, other.q]  # the first two could be loaded, or half of them
    expected = r"(?s)checkpoint_0.tar does not fit, nothing was changed. Target: .*\[8, 3\]"
    with pytest.raises(CheckpointError, match=expected):
        Trainer([other.loader(0)]).train()
    other.restorees = [other.collect, other.q]
    expected = r"does not fit, nothing was changed. q: q: this is the state of another network: 0.weight has shape"
    with pytest.raises(CheckpointError, match=expected):
        Trainer([other.loader(0)]).train()
    for changed, fresh in zip((other.q.net, other.target.target), (same.q.net, same.target.target), strict=True):
        state = fresh.state_dict()
        assert all(torch.equal(value, state[key]) for key, value in changed.state_dict().items())
    assert (other.collect.episodes, other.q.updates, other.table.size()) == (0, 0, 0)
    assert other.q.optimizer.state_dict() == same.q.optimizer.state_dict()


def test_what_a_checkpoint_lacks_is_told_with_what_it_has(tmp_path: Path) -> None:
    program = Program(tmp_path)
    program.restorees = [program.q]
    program.train(2, program.checkpointer(2))
    more = Program(tmp_path)
    with pytest.raises(CheckpointError, match=r"checkpoint_0.tar holds no restoree 'Target'; it has: q. Nothing was"):
        Trainer([more.loader(0)]).train()
    more.restorees, more.memory = [], {"repaly": more.table}
    with pytest.raises(
        CheckpointError, match=r"holds no memory 'repaly'; it has: replay. Did you mean 'replay'\? Noth"
    ):
        Trainer([more.loader(0)]).train()


def test_a_checkpoint_of_other_ranks_gives_networks_and_optimisers_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = Program(tmp_path)
    program.train(2, program.checkpointer(2))
    monkeypatch.setattr("gridrl.train.checkpoint.num_procs", lambda: 2)
    with pytest.raises(
        CheckpointError, match=r"was written by 1 MPI rank\(s\), this training has 2: generators and mem"
    ):
        Trainer([program.loader(0)]).train()
    trainer = Trainer([program.loader(0, load_hparams=False)])
    trainer.train()
    assert trainer.state["bp_step"] == 0


def test_places_where_there_is_no_checkpoint_are_told(tmp_path: Path) -> None:
    program = Program(tmp_path)
    with pytest.raises(InvalidCheckpointLocation, match=r"Checkpoint folder .*checkpoints does not exist"):
        Trainer([program.loader(0)]).train()
    program.train(2, program.checkpointer(1))
    with pytest.raises(FileNotFoundError, match=r"checkpoint_5.tar does not exist. Indices of checkpoints there: 0, 1"):
        Trainer([program.loader(5)]).train()
    (tmp_path / "checkpoints" / "checkpoint_2.tar").write_bytes(b"no checkpoint")
    with pytest.raises(CheckpointError, match=r"checkpoint_2.tar cannot be read: .*\. Load an earlier one\.$"):
        Trainer([program.loader(2)]).train()
    torch.save({"callback_state_dicts": {}}, tmp_path / "checkpoints" / "checkpoint_3.tar")
    with pytest.raises(VersionMismatch, match=r"checkpoint_3.tar has format None, this gridrl reads 1"):
        Trainer([program.loader(3)]).train()


def test_names_that_stand_twice_and_intervals_of_nothing_are_refused(tmp_path: Path) -> None:
    twins = [Callback(), Callback()]
    for make in (Checkpointer, CheckpointLoader):
        with pytest.raises(ValueError, match="Restorees need names of their own; given twice: 'Callback'"):
            make(restorees=twins, run_root=tmp_path, **({"checkpoint_interval": 1} if make is Checkpointer else {}))
    with pytest.raises(BadValue, match="checkpoint_interval=0, keep=None: 1 or more"):
        Checkpointer(restorees=[], run_root=tmp_path, checkpoint_interval=0)


def test_a_loss_that_is_not_finite_leaves_the_last_good_checkpoint_to_go_back_to(tmp_path: Path) -> None:
    net = nn.Linear(1, 1)

    class Fit(LossCallback):
        def loss(self, obs: torch.Tensor) -> torch.Tensor:
            return net(obs).pow(2).mean()

    fit: Restoree = Fit(name="fit", network=net, optimizer=torch.optim.SGD(net.parameters(), 0.1))
    batches = [{"default": {"obs": torch.full((2, 1), value)}, "batch_size": 2} for value in (1.0, 1.0, float("nan"))]
    saver = Checkpointer(restorees=[fit], run_root=tmp_path, checkpoint_interval=1)
    with pytest.raises(NotFinite, match=r"loss 'fit' is nan .* at its update 3"):
        Trainer([fit, saver], batches).train()  # type: ignore[list-item]
    assert files(tmp_path) == ["checkpoint_0.tar", "checkpoint_1.tar"]
    trainer = Trainer([fit, CheckpointLoader(restorees=[fit], run_root=tmp_path)], batches[:1])  # type: ignore[list-item]
    trainer.train()
    assert trainer.state["bp_step"] == 3


def test_a_state_that_needs_trust_is_refused_by_its_place(tmp_path: Path) -> None:
    class Odd(Callback):
        def state_dict(self) -> dict[str, Any]:
            return {"thing": object()}

    saver = Checkpointer(restorees=[Odd()], run_root=tmp_path, checkpoint_interval=1)
    with pytest.raises(CheckpointError, match=r"\['callback_state_dicts'\]\['Odd'\]\['thing'\] is of type object"):
        Trainer([saver], [{"batch_size": 1}]).train()
    assert files(tmp_path) == []
