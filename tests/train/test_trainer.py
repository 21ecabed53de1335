"""The training loop: which hook is called when, what it gets, and that the end always comes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from gridrl.errors import BindingError, TrainingShutdownException
from gridrl.train.callback import HOOKS, BatchCallback, Callback
from gridrl.train.trainer import Trainer


def batches(count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"obs": number, "batch_size": 2, **more} for number in range(1, count + 1)]


class Diary(Callback):
    """Writes down every hook with the number of the update."""

    def __init__(self, pages: list[str], name: str = "", cycle: int | None = None) -> None:
        super().__init__(cycle)
        self.pages, self.label = pages, name

    def _write(self, hook: str, step: int) -> None:
        self.pages.append(f"{self.label}{hook} {step}")

    def restore_state(self, bp_step: int) -> None:
        self._write("restore_state", bp_step)

    def begin_training(self, bp_step: int) -> None:
        self._write("begin_training", bp_step)

    def begin_cycle(self, bp_step: int) -> None:
        self._write("begin_cycle", bp_step)

    def begin_batch(self, bp_step: int) -> None:
        self._write("begin_batch", bp_step)

    def backward(self, bp_step: int) -> None:
        self._write("backward", bp_step)

    def end_batch(self, bp_step: int) -> None:
        self._write("end_batch", bp_step)

    def end_cycle(self, bp_step: int) -> None:
        self._write("end_cycle", bp_step)

    def end_training(self, bp_step: int) -> None:
        self._write("end_training", bp_step)


def test_the_hooks_of_an_update_come_in_their_order_and_cycles_around_them() -> None:
    pages: list[str] = []
    Trainer([Diary(pages, cycle=2)], batches(3)).train()
    assert pages == [
        "restore_state 0",
        "begin_training 0",
        *("begin_cycle 1", "begin_batch 1", "backward 1", "end_batch 1"),
        *("begin_batch 2", "backward 2", "end_batch 2", "end_cycle 2"),
        *("begin_cycle 3", "begin_batch 3", "backward 3", "end_batch 3"),
        "end_training 3",
    ]
    assert {page.split()[0] for page in pages} == set(HOOKS)


def test_each_hook_runs_over_all_callbacks_before_the_next_one_starts() -> None:
    pages: list[str] = []
    Trainer([Diary(pages, "a."), Diary(pages, "b.")], []).step(batches(1)[0])
    assert pages == [f"{who}.{hook} 1" for hook in ("begin_batch", "backward", "end_batch") for who in "ab"]


def test_a_lower_priority_comes_first_and_equal_ones_keep_their_order() -> None:
    first, second, third = (Callback() for _ in range(3))
    third.priority, first.priority = 100, -1
    assert Trainer([third, second, first], []).callbacks == [first, second, third]


def test_the_state_counts_updates_and_samples() -> None:
    trainer = Trainer([Callback()], batches(3))
    trainer.train()
    assert (trainer.state["bp_step"], trainer.state["bp_samples"]) == (3, 6)


def test_a_restored_run_goes_on_with_the_next_update() -> None:
    class Restore(Callback):
        def restore_state(self) -> dict[str, int]:
            return {"bp_step": 4, "bp_samples": 8}

    pages: list[str] = []
    trainer = Trainer([Restore(), Diary(pages, cycle=2)], batches(2))
    trainer.train()
    assert [page for page in pages if "batch" in page or "cycle" in page] == [
        *("begin_cycle 5", "begin_batch 5", "end_batch 5"),
        *("begin_batch 6", "end_batch 6", "end_cycle 6"),
    ]
    assert trainer.state["bp_samples"] == 12


def test_what_a_hook_returns_is_there_for_the_next_callback_of_the_same_hook() -> None:
    seen = []

    class Double(Callback):
        provides = ("double",)

        def begin_batch(self, obs: int) -> dict[str, int]:
            return {"double": 2 * obs}

    class Watch(Callback):
        def begin_batch(self, double: int) -> None:
            seen.append(double)

    Trainer([Double(), Watch()], batches(2)).train()
    assert seen == [2, 4]


def test_a_hook_that_returns_no_dict_is_told() -> None:
    class Wrong(Callback):
        def end_batch(self) -> int:
            return 1

    with pytest.raises(BindingError, match="a hook of Wrong returned int; it returns a dict of names, or nothing"):
        Trainer([Wrong()], batches(1)).train()


class Ending(Callback):
    """Remembers with what the training ended, and may fail in two places."""

    def __init__(self, during: BaseException | None = None, at_end: BaseException | None = None) -> None:
        super().__init__()
        self.during, self.at_end = during, at_end
        self.ended_by: list[BaseException | None] = []

    def backward(self) -> None:
        if self.during is not None:
            raise self.during

    def end_training(self, exception: BaseException | None) -> None:
        self.ended_by.append(exception)
        if self.at_end is not None:
            raise self.at_end


def test_the_end_comes_when_the_batches_run_out() -> None:
    ending = Ending()
    Trainer([ending], batches(1)).train()
    assert ending.ended_by == [None]


def test_a_shutdown_ends_the_training_in_order() -> None:
    ending = Ending(TrainingShutdownException("enough"))
    Trainer([ending], batches(2)).train()
    assert [str(one) for one in ending.ended_by] == ["enough"]


def test_the_shutdown_signal_is_asked_before_each_update() -> None:
    ending, answers = Ending(), iter([False, False, True])
    trainer = Trainer([ending], batches(9))
    trainer.train(shutdown_signal=lambda: next(answers))
    assert trainer.state["bp_step"] == 2
    assert isinstance(ending.ended_by[0], TrainingShutdownException)


@pytest.mark.parametrize("error", [ValueError("broken"), KeyboardInterrupt(), SystemExit(3)])
def test_an_error_or_an_interrupt_is_raised_again_after_the_end(error: BaseException) -> None:
    ending = Ending(error)
    with pytest.raises(type(error)) as raised:
        Trainer([ending], batches(1)).train()
    assert raised.value is error
    assert ending.ended_by == [error]


def test_an_error_in_begin_training_or_in_the_source_still_brings_the_end() -> None:
    class Broken(Callback):
        def begin_training(self) -> None:
            raise OSError("no disk")

    def source() -> Iterator[dict[str, Any]]:
        yield from batches(1)
        raise OSError("no disk")

    ending = Ending()
    for callbacks, dataloader in (([Broken(), ending], batches(1)), ([ending], source())):
        with pytest.raises(OSError, match="no disk"):
            Trainer(callbacks, dataloader).train()
    assert [type(one) for one in ending.ended_by] == [OSError, OSError]


def test_one_failing_end_does_not_keep_the_others_from_ending() -> None:
    broken, whole = Ending(at_end=RuntimeError("stuck")), Ending()
    with pytest.raises(RuntimeError, match="stuck") as raised:
        Trainer([broken, whole], batches(1)).train()
    assert whole.ended_by == [None]
    assert raised.value.__notes__ == ["in Ending.end_training"]


def test_a_callback_that_asks_to_exit_at_the_end_does_not_keep_the_others_from_ending() -> None:
    leaving, whole = Ending(at_end=SystemExit(3)), Ending()
    with pytest.raises(SystemExit, match="3"):
        Trainer([leaving, whole], batches(1)).train()
    assert whole.ended_by == [None]


def test_of_several_failing_ends_each_is_told() -> None:
    with pytest.raises(RuntimeError, match="first") as raised:
        Trainer([Ending(at_end=RuntimeError("first")), Ending(at_end=OSError("second"))], batches(1)).train()
    assert raised.value.__notes__ == ["in Ending.end_training", "afterwards, in end_training: OSError: second"]


def test_what_fails_at_the_end_does_not_hide_what_ended_the_training() -> None:
    with pytest.raises(ValueError, match="first") as raised:
        Trainer([Ending(ValueError("first"), RuntimeError("then"))], batches(1)).train()
    assert raised.value.__notes__ == ["afterwards, in end_training: RuntimeError: then"]


def test_a_batch_says_how_many_samples_it_has() -> None:
    with pytest.raises(BindingError, match=r"under 'batch_size' .* this one has: obs, batchsize. Did you mean 'batch"):
        Trainer([], [{"obs": 1, "batchsize": 2}]).train()
    trainer = Trainer([], [{"obs": 1, "n": 3}], batch_size_key="n")
    trainer.train()
    assert trainer.state["bp_samples"] == 3


@pytest.mark.parametrize("batch", [[1.0, 2.0], 3, (range(3), range(3))])
def test_a_batch_without_names_is_told(batch: Any) -> None:
    with pytest.raises(
        BindingError, match=rf"^a batch is a dict of names, .* not {type(batch).__name__}: let the source"
    ):
        Trainer([], [batch]).train()


def test_only_callbacks_are_taken() -> None:
    with pytest.raises(BindingError, match="a Trainer takes Callback objects, not 3"):
        Trainer([3], [])  # type: ignore[list-item]


def test_a_batch_callback_gets_what_get_batch_names() -> None:
    class Take(BatchCallback):
        data_group = "default"

        def get_batch(self, action: int, obs: int) -> dict[str, Any]:
            return {"default": {"sum": action + obs}}

    trainer = Trainer([Take()], [{"default": {"obs": 1, "action": 2}, "batch_size": 1}])
    trainer.train()
    assert trainer.state["default"]["sum"] == 3


@pytest.mark.parametrize("cycle", [None, 0, -2])
def test_a_cycle_of_nothing_never_comes_round(cycle: int | None) -> None:
    pages: list[str] = []
    Trainer([Diary(pages, cycle=cycle)], batches(4)).train()
    assert not [page for page in pages if "cycle" in page]


def test_the_cycles_of_all_callbacks_meet_after_the_cycle_length() -> None:
    assert Trainer([Callback(4), Callback(6), Callback()]).cycle_length == 12
    assert Trainer([Callback()]).cycle_length == 1


def test_a_handle_of_the_state_gives_it_while_somebody_holds_it() -> None:
    trainer = Trainer([])
    handle = trainer.state.get_handle()
    assert handle() is trainer.state
    del trainer
    assert handle() is None


def test_a_trainer_without_a_source_begins_and_ends() -> None:
    ending = Ending()
    Trainer([ending]).train()
    assert ending.ended_by == [None]
