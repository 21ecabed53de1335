"""DI-engine's learner: iterations, hooks around them in their order, checkpoints, and data that it fetches itself."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gridrl.errors import BadValue, CheckpointError, GridRLWarning
from gridrl.train.hooks import (
    POSITIONS,
    LearnerHook,
    LogReduceHook,
    LogShowHook,
    SaveCkptHook,
    add_learner_hook,
    build_learner_hook_by_cfg,
    hook_mapping,
    merge_hooks,
    register_learner_hook,
)
from gridrl.train.learner import BaseLearner

QUIET = {"hook": {"log_show_after_iter": False, "save_ckpt_after_iter": False, "save_ckpt_after_run": False}}


class Policy:
    """Learns a mean; logs whatever it is told to."""

    def __init__(self, **logged: Any) -> None:
        self.mean, self.seen, self.logged = torch.zeros(1), [], logged

    def forward(self, data: Any, **more: Any) -> Any:
        self.seen.append((data, more))
        self.mean += 1.0
        return {"total_loss": self.mean.clone(), **self.logged}

    def state_dict(self) -> dict[str, Any]:
        return {"model": {"mean": self.mean}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.mean = state["model"]["mean"].clone()

    def get_attribute(self, name: str) -> int:
        return {"batch_size": 3}[name]


class Diary(LearnerHook):
    pages: list[str] = []  # noqa: RUF012  # what the tests look at

    def __call__(self, engine: BaseLearner) -> None:
        self.pages.append(f"{self.name} {self.position} {engine.train_iter}")


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    Diary.pages = []
    kinds = dict(hook_mapping)
    yield
    hook_mapping.clear()
    hook_mapping.update(kinds)


def learner_of(cfg: Mapping[str, Any] = QUIET, policy: Any = None, **more: Any) -> BaseLearner:
    return BaseLearner(cfg, policy or Policy(), **more)


def test_an_iteration_is_one_call_of_the_policy_between_its_hooks() -> None:
    learner = learner_of()
    for position in reversed(POSITIONS):
        learner.register_hook(Diary("late", 100, position=position))
        learner.register_hook(Diary("early", 10, position=position))
    given = learner.train({"obs": torch.ones(4)}, envstep=7, policy_kwargs={"beta": 2})
    assert [float(one["total_loss"]) for one in given] == [1.0]
    assert learner.policy.seen[0][1] == {"beta": 2}
    assert (learner.collector_envstep, learner.train_iter, learner.last_iter.val) == (7, 1, 1)
    expected = [f"{who} {when} 0" for when in ("before_iter", "after_iter") for who in ("early", "late")]
    assert Diary.pages == expected, "the iteration is counted when its hooks are through"
    learner.train({"obs": torch.ones(4)})
    assert (learner.collector_envstep, learner.train_iter) == (-1, 2)


def test_an_iteration_of_several_updates_counts_once_and_gives_what_each_logged() -> None:
    class Several(Policy):
        def forward(self, data: Any, **more: Any) -> Any:
            return [{"loss": 1.0}, {"loss": 2.0}]

    learner = learner_of(policy=Several())
    learner.register_hook(Diary("d", position="after_iter"))
    assert learner.train([1, 2]) == [{"loss": 1.0}, {"loss": 2.0}]
    assert learner.train_iter == 1
    assert len(Diary.pages) == 1


def test_what_is_logged_goes_where_its_mark_says() -> None:
    learner = learner_of(policy=Policy(**{"[histogram]action": [1, 2], "[scalars]q": {"a": 1.0}, "lr": 0.1}))
    learner.train([])
    assert set(learner.log_buffer["scalar"]) == {"total_loss", "lr"}
    assert learner.log_buffer["histogram"] == {"action": [1, 2]}
    assert learner.log_buffer["scalars"] == {"q": {"a": 1.0}}


def test_priorities_are_kept_beside_the_places_of_their_data() -> None:
    learner = learner_of(policy=Policy(priority=[0.5, 0.25]))
    data = [{"replay_buffer_idx": 3, "replay_unique_id": "a"}, {"replay_buffer_idx": 8}]
    (given,) = learner.train(data)
    assert "priority" not in given
    expected = {"priority": [0.5, 0.25], "replay_buffer_idx": [3, 8], "replay_unique_id": ["a", None]}
    assert learner.priority_info == expected
    assert learner.learn_info == {"learner_step": 1, "priority_info": expected, "learner_done": False}


def test_a_policy_that_logs_something_else_or_is_missing_is_told() -> None:
    class Odd(Policy):
        def forward(self, data: Any, **more: Any) -> Any:
            return 3

    with pytest.raises(TypeError, match=r"policy.forward gives a dict or a list of dicts, not int"):
        learner_of(policy=Odd()).train([])
    with pytest.raises(BadValue, match="the learner has no policy"):
        BaseLearner(QUIET).train([])
    late = BaseLearner(QUIET)
    late.policy = Policy()
    assert len(late.train([])) == 1


def test_numbers_are_shown_as_averages_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    class Writer:
        found: dict[Any, Any] = {}  # noqa: RUF012  # what the test looks at

        def add_scalar(self, key: str, value: float, step: int) -> None:
            self.found[key, step] = value

        def add_scalars(self, key: str, values: Any, step: int) -> None:
            self.found[key, step] = values

        def add_histogram(self, key: str, values: Any, step: int) -> None:
            self.found[key, step] = values.tolist()

        def flush(self) -> None:
            pass

    caplog.set_level(logging.INFO, "gridrl.train.learner")
    policy = Policy(**{"[histogram]action": [1, 2], "[scalars]q": {"a": 1.0}})
    cfg = {"hook": {**QUIET["hook"], "log_show_after_iter": 2}}
    learner = learner_of(cfg, policy, tb_logger=Writer(), exp_name="exp", instance_name="left")
    for envstep in (-1, 20, 30):
        learner.train([], envstep=envstep)
    assert Writer.found["left_iter/total_loss_avg", 0] == 1.0
    assert Writer.found["left_iter/total_loss_avg", 2] == Writer.found["left_step/total_loss_avg", 30] == 2.0
    assert Writer.found["left_iter/action", 2] == [1.0, 2.0]
    assert Writer.found["left_iter/q", 2] == {"a": 1.0}
    assert ("left_step/total_loss_avg", -1) not in Writer.found
    assert "[RANK0]: === Training Iteration 2 Result ===" in caplog.text
    assert "total_loss_avg |               2 |" in caplog.text
    assert learner.log_buffer == {"scalar": {}, "scalars": {}, "histogram": {}}


def test_a_writer_is_made_in_the_experiments_directory_when_it_is_needed(tmp_path: Path) -> None:
    learner = learner_of({"hook": {**QUIET["hook"], "log_show_after_iter": 1}}, exp_name="exp")
    learner.train([])
    learner.close()
    learner.close()
    (events,) = (tmp_path / "exp" / "log" / "learner").iterdir()
    assert events.stat().st_size > 0


def test_checkpoints_are_saved_by_iteration_and_loaded_before_a_run(tmp_path: Path) -> None:
    cfg = {"hook": {**QUIET["hook"], "save_ckpt_after_iter": 2}}
    learner = learner_of(cfg, exp_name="exp")
    for envstep in (10, 20, 30):
        learner.train([], envstep=envstep)
    learner.save_checkpoint()
    learner.save_checkpoint("best.pth.tar")
    directory = tmp_path / "exp" / "ckpt"
    names = ["best.pth.tar", "iteration_0.pth.tar", "iteration_2.pth.tar", "iteration_3.pth.tar"]
    assert sorted(path.name for path in directory.iterdir()) == names
    assert learner.ckpt_name is None
    state = torch.load(directory / "best.pth.tar", weights_only=True)
    assert (state["model"]["mean"].item(), state["last_iter"], state["last_step"]) == (3.0, 3, 30)
    again = learner_of({"hook": {**QUIET["hook"], "load_ckpt_before_run": str(directory / "best.pth.tar")}})
    again.call_hook("before_run")
    assert (again.policy.mean.item(), again.train_iter, again.collector_envstep) == (3.0, 3, 30)
    (directory / "bad").write_bytes(b"x")
    broken = learner_of({"hook": {**QUIET["hook"], "load_ckpt_before_run": str(directory / "bad")}})
    with pytest.raises(CheckpointError, match="bad cannot be read"):
        broken.call_hook("before_run")
    other = learner_of(instance_name="right")
    other.save_checkpoint("x.pth.tar")
    assert (tmp_path / "default_experiment" / "ckpt_right" / "x.pth.tar").exists()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_learner_that_fetches_its_data_runs_to_its_end(workers: int) -> None:
    learner = learner_of({**QUIET, "train_iterations": 4, "dataloader": {"num_workers": workers}})
    for position in POSITIONS:
        learner.register_hook(Diary("d", position=position))
    threads: set[str] = set()

    def load() -> int:
        threads.add(threading.current_thread().name.rpartition("_")[0])
        return 5

    learner.get_data = lambda size: [load] * size
    learner.setup_dataloader()
    learner.start()
    learner.close()
    assert [data for data, _ in learner.policy.seen] == [[5, 5, 5]] * 4
    assert threads == ({"fetching"} if workers else {""})
    assert Diary.pages[0] == "d before_run 0"
    assert Diary.pages[-1] == "d after_run 4"
    assert len(Diary.pages) == 10
    assert learner.learn_info["learner_done"] is True


@pytest.mark.parametrize(("error", "name"), [(ValueError("x"), "exception"), (KeyboardInterrupt(), "interrupt")])
def test_what_ends_a_run_before_its_time_leaves_a_checkpoint_and_is_raised(
    tmp_path: Path, error: BaseException, name: str
) -> None:
    class Failing(Policy):
        def forward(self, data: Any, **more: Any) -> Any:
            if len(self.seen) == 2:
                raise error
            return super().forward(data)

    learner = learner_of({**QUIET, "batch_size": 1}, Failing())
    learner.get_data = lambda size: [0] * size
    learner.setup_dataloader()
    with pytest.raises(type(error)):
        learner.start()
    state = torch.load(tmp_path / "default_experiment" / "ckpt" / f"ckpt_{name}.pth.tar", weights_only=True)
    assert state["last_iter"] == 2
    assert learner.learn_info["learner_done"] is False


def test_data_that_nobody_gives_is_told() -> None:
    with pytest.raises(BadValue, match="setup_dataloader\\(\\) needs get_data"):
        learner_of().setup_dataloader()
    with pytest.raises(BadValue, match="start\\(\\) needs data"):
        learner_of().start()


def test_a_misspelt_option_is_warned_about_and_the_configuration_is_left_alone() -> None:
    with pytest.warns(GridRLWarning, match="'train_iteration' is no option of a learner. Did you mean 'train_iterat"):
        learner_of({**QUIET, "train_iteration": 3})
    cfg = {"hook": {"save_ckpt_after_run": False}, "update_per_collect": 3}
    learner = learner_of(cfg)
    assert cfg == {"hook": {"save_ckpt_after_run": False}, "update_per_collect": 3}
    assert learner.cfg["update_per_collect"] == 3
    assert BaseLearner.config["hook"]["save_ckpt_after_run"] is True


def test_ranks_are_those_given_or_those_of_mpi() -> None:
    assert (learner_of().rank, learner_of().world_size) == (0, 1)
    learner = learner_of(QUIET, dist_info=(1, 2))
    assert (learner.rank, learner.world_size) == (1, 2)
    assert [hook.name for hook in learner._hooks["after_iter"]] == ["log_reduce_after_iter"]
    learner.save_checkpoint("x")
    assert not Path("default_experiment").exists(), "the first rank saves"


def test_averages_over_ranks_leave_out_what_each_keeps_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gridrl.train.hooks.gather_objects", lambda own: [own, {"total_loss": 3.0}])
    learner = learner_of(policy=Policy(noreduce_lr=np.float32(0.5)))
    learner.register_hook(LogReduceHook("r", position="after_iter"))
    learner.train([])
    assert learner.log_buffer["scalar"] == {"total_loss": 2.0, "noreduce_lr": 0.5}


def test_hooks_come_from_a_configuration_in_short_or_in_full() -> None:
    register_learner_hook("diary", Diary)
    full = {"type": "diary", "position": "after_iter", "priority": 5, "name": "mine"}
    hooks = build_learner_hook_by_cfg({"hook": {"log_show_after_iter": 3, "save_ckpt_after_iter": 7, "x": full}})
    assert list(hooks) == list(POSITIONS)
    assert [(hook.name, hook.priority) for hook in hooks["after_iter"]] == [
        ("mine", 5),
        ("log_show_after_iter", 20),
        ("save_ckpt_after_iter", 20),
    ]
    _, show, save = hooks["after_iter"]
    assert isinstance(show, LogShowHook)
    assert isinstance(save, SaveCkptHook)
    assert (show.ext_args, save.ext_args) == ({"freq": 3}, {"freq": 7})
    assert build_learner_hook_by_cfg({"save_ckpt_after_run": False})["after_run"] == []


@pytest.mark.parametrize(
    ("cfg", "message"),
    [
        ({"log_show_after_itr": 3}, "hook 'log_show_after_itr': a dict of .* Did you mean 'log_show_after_iter'"),
        ({"x": {"type": "log_shw", "position": "after_iter"}}, "type='log_shw' .* Did you mean 'log_show'"),
        ({"x": {"type": "log_show"}}, "position=None are needed"),
        ({"x": {"type": "log_show", "position": "after_itr"}}, "position='after_itr' of hook 'x'. Did you mean 'after"),
        ({"x": {"type": "log_show", "position": "after_iter", "priority": -1}}, "priority=-1 of hook 'x': 0 or more"),
    ],
)
def test_hooks_that_make_no_sense_are_told(cfg: dict[str, Any], message: str) -> None:
    with pytest.raises(BadValue, match=message):
        build_learner_hook_by_cfg(cfg)
    with pytest.raises(BadValue, match="'x': <class 'int'> is no subclass of LearnerHook"):
        register_learner_hook("x", int)  # type: ignore[arg-type]


def test_hooks_of_equal_priority_keep_their_order_when_added_and_merged() -> None:
    def hooks(*named: tuple[str, int]) -> dict[str, list[LearnerHook]]:
        made: dict[str, list[LearnerHook]] = {position: [] for position in POSITIONS}
        for name, priority in named:
            add_learner_hook(made, Diary(name, priority, position="before_run"))
        return made

    one, other = hooks(("a", 20), ("b", 10), ("c", 20)), hooks(("d", 10), ("e", 30))
    assert [hook.name for hook in one["before_run"]] == ["b", "a", "c"]
    merged = merge_hooks(one, other)
    assert [hook.name for hook in merged["before_run"]] == ["b", "d", "a", "c", "e"]
    assert [hook.name for hook in one["before_run"]] == ["b", "a", "c"]
    with pytest.raises(BadValue, match="these stand in one of the two only: 'after_run'"):
        merge_hooks(one, {position: [] for position in POSITIONS if position != "after_run"})
    with pytest.raises(BadValue, match="'begin' is no position"):
        learner_of().call_hook("begin")
