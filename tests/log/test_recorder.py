"""What an object notes for loggers: numbers read when somebody asks, windows, and everything through a checkpoint."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gridrl.errors import BadValue, ColumnError, ShapeError
from gridrl.log.checkpoints import Checkpoints
from gridrl.log.metrics import LoggingMixin
from gridrl.log.saving import pack_arrays, unpack_arrays
from gridrl.train.callback import Callback


class Watch(LoggingMixin, Callback):
    pass


class Far:
    """A tensor on a device that is not there: it counts how often it is read."""

    def __init__(self, value: torch.Tensor, reads: list[int]) -> None:
        self.value, self.reads = value, reads

    is_cpu = False
    shape = property(lambda self: self.value.shape)

    def numel(self) -> int:
        return self.value.numel()

    def detach(self) -> Far:
        return self

    clone = reshape = lambda self, *shape: self

    def is_complex(self) -> bool:
        return False

    def item(self) -> float:
        self.reads.append(1)
        return self.value.item()

    def cpu(self) -> torch.Tensor:
        self.reads.append(1)
        return self.value


@pytest.mark.parametrize(
    "value",
    [2, 2.0, True, np.float32(2), np.array([2]), torch.tensor(2.0, requires_grad=True), torch.tensor([[2]])],
    ids=repr,
)
def test_a_scalar_is_a_number_in_any_form(value: Any) -> None:
    watch = Watch()
    watch.log_scalar("x", value)
    (found,) = watch.scalar_logs.values()
    assert found == (1.0 if value is True else 2.0)
    assert type(found) is float


def test_several_numbers_are_no_scalar_and_text_is_none() -> None:
    watch = Watch()
    with pytest.raises(ColumnError, match="'x': one number is wanted, 2 were given; log_windowed_scalar takes many"):
        watch.log_scalar("x", torch.zeros(2))
    with pytest.raises(ColumnError, match="is no number"):
        watch.log_scalar("x", "high")
    assert watch.scalar_logs == {}


def test_a_number_noted_before_its_tensor_changed_stays() -> None:
    watch, alpha = Watch(), torch.tensor([1.0])
    watch.log_scalar("alpha", alpha)
    watch.log_histogram("alphas", alpha)
    watch.log_image("image", image := torch.ones(1, 1, 3))
    alpha += 1.0
    image += 1.0
    assert watch.scalar_logs["alpha"] == 1.0
    assert watch.hist_logs["alphas"].tolist() == [1.0]
    assert watch.image_logs["image"].max() == 1.0


def test_a_window_forgets_the_oldest_and_its_sum_forgets_nothing() -> None:
    watch = Watch(default_window_length=3)
    for number in range(1, 6):
        watch.log_windowed_scalar("reward", number)
    assert watch.windowed_scalar == {"reward": deque([3.0, 4.0, 5.0])}
    assert watch.windowed_scalar_cumulative == {"reward": 15.0}
    assert watch.windowed_means() == {"reward": 4.0}


def test_a_window_takes_numbers_in_every_form() -> None:
    watch = Watch()
    for value in (1.0, torch.tensor(2.0), torch.tensor([3.0, 4.0]), np.arange(5, 7), [7.0, torch.tensor(8.0)], []):
        watch.log_windowed_scalar("reward", value)
    assert list(watch.windowed_scalar["reward"]) == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]


def test_what_can_only_be_gone_through_is_numbers_too() -> None:
    watch = Watch()
    of_agents = {"left": 1.0, "right": torch.tensor(2.0)}
    for value in (of_agents.values(), {3.0}, (number for number in (4.0, 5.0)), deque([6.0])):
        watch.log_windowed_scalar("reward", value)
    assert list(watch.windowed_scalar["reward"]) == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    watch.log_histogram("rewards", of_agents.values())
    assert watch.hist_logs["rewards"].tolist() == [1.0, 2.0]
    for value in (of_agents, "12", of_agents.keys()):
        with pytest.raises(ColumnError, match="is no number"):
            watch.log_windowed_scalar("reward", value)


def test_a_key_sets_the_length_of_its_window_once_and_for_all() -> None:
    watch = Watch()
    for number in range(9):
        watch.log_windowed_scalar("windowed[2]:loss/q:min", number)
    watch.log_windowed_scalar("windowed[100]:loss/q:min", 9)
    watch.log_windowed_scalar("loss/q:min", 10)
    assert watch.windowed_scalar == {"loss/q:min": deque([9.0, 10.0])}
    assert watch.windowed_scalar_cumulative == {"loss/q:min": 55.0}
    assert Watch()._window("plain:key") == "plain:key"


@pytest.mark.parametrize("length", ["0", "-3", "x", "", "2.5"])
def test_a_window_without_a_length_is_refused(length: str) -> None:
    with pytest.raises(BadValue, match=r"takes a whole number of 1 or more"):
        Watch().log_windowed_scalar(f"windowed[{length}]:reward", 1.0)
    with pytest.raises(BadValue, match="default_window_length=0"):
        Watch(default_window_length=0)


def test_numbers_on_another_device_are_read_when_somebody_asks() -> None:
    watch, reads = Watch(default_window_length=5), []
    for number in range(4):
        watch.log_scalar("loss", Far(torch.tensor(float(number)), reads))
        watch.log_histogram("weights", Far(torch.tensor([1.0, 2.0]), reads))
    assert reads == []
    assert watch.scalar_logs == {"loss": 3.0}
    assert watch.hist_logs["weights"].tolist() == [1.0, 2.0]
    assert len(reads) == 2


def test_numbers_of_a_window_on_another_device_are_fetched_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gridrl.log.recorder._is_away", lambda value: isinstance(value, torch.Tensor))
    watch = Watch(default_window_length=3)
    watch.log_windowed_scalar("reward", torch.tensor(1.0))
    watch.log_windowed_scalar("reward", torch.tensor([2, 3]))
    assert list(watch._windows["reward"]) == []
    watch.log_windowed_scalar("reward", 4.0)
    assert list(watch._windows["reward"]) == [2.0, 3.0, 4.0]
    for number in (5.0, 6.0, 7.0):
        watch.log_windowed_scalar("reward", torch.tensor(number))
    assert list(watch._windows["reward"]) == [5.0, 6.0, 7.0], "as many as a window holds are not kept waiting"
    assert watch.windowed_scalar_cumulative == {"reward": 28.0}


def test_a_histogram_is_replaced_by_numbers_and_joined_by_a_number() -> None:
    watch = Watch(default_window_length=2)
    watch.log_histogram("lengths", np.ones((2, 2)))
    assert watch.hist_logs["lengths"].tolist() == [1.0, 1.0, 1.0, 1.0]
    for number in (1, 2, 3):
        watch.log_histogram("lengths", number)
    assert watch.hist_logs["lengths"] == deque([2.0, 3.0])
    watch.log_histogram("lengths", [5.0])
    assert watch.hist_logs["lengths"].tolist() == [5.0]


def test_images_and_videos_have_their_dimensions() -> None:
    watch = Watch()
    with pytest.raises(ShapeError, match=r"'x' has shape \[4, 4\]: an image is \[height, width, channels\]"):
        watch.log_image("x", torch.zeros(4, 4))
    with pytest.raises(ShapeError, match=r"'x' has shape \[2\]: a video is"):
        watch.log_video("x", (np.zeros(2), 30))
    watch.log_video("x", (np.zeros((2, 3, 4, 4), np.uint8), 30))
    assert watch.video_logs["x"][1] == 30


def test_what_is_at_hand_is_noted_when_the_log_is_read() -> None:
    class AtHand(Watch):
        asked = 0

        def gather_logs(self) -> None:
            self.asked += 1
            self.log_scalar("asked", self.asked)

    watch = AtHand()
    assert watch.asked == 0
    assert watch.scalar_logs == {"asked": 1.0}


def noted() -> Watch:
    watch = Watch(default_window_length=4)
    watch.log_scalar("loss/q", torch.tensor(0.5))
    for number in (1.0, 2.0, 4.0):
        watch.log_windowed_scalar("windowed[2]:reward", number)
    watch.log_image("image", torch.arange(12).reshape(2, 2, 3))
    watch.log_histogram("weights", torch.tensor([1.0, 2.0]))
    watch.log_histogram("lengths", 7)
    watch.log_video("video", (np.zeros((1, 2, 3, 4, 4), np.uint8), 25))
    return watch


def test_everything_comes_back_through_a_checkpoint_also_over_a_log_that_lives(tmp_path: Path) -> None:
    original, other = noted(), Watch()
    other.log_windowed_scalar("reward", 100.0)
    other.log_windowed_scalar("mine", 100.0)
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, pack_arrays(original.state_dict()))
    found = checkpoints.load()
    assert found is not None
    other.load_state_dict(unpack_arrays(found[1]))
    assert other.scalar_logs == {"loss/q": 0.5}
    assert other.windowed_scalar == {"reward": deque([2.0, 4.0])}
    assert other.windowed_scalar_cumulative == {"reward": 7.0}
    assert other.image_logs["image"].tolist() == original.image_logs["image"].tolist()
    assert other.hist_logs["weights"].tolist() == [1.0, 2.0]
    assert other.hist_logs["lengths"] == deque([7.0])
    assert other.video_logs["video"][0].shape == (1, 2, 3, 4, 4)
    assert other.video_logs["video"][1] == 25
    for watch in (original, other):
        watch.log_windowed_scalar("windowed[9]:reward", 6.0)
        watch.log_histogram("lengths", 8)
    assert other.windowed_scalar == original.windowed_scalar == {"reward": deque([4.0, 6.0])}
    assert other.hist_logs["lengths"] == original.hist_logs["lengths"]


def test_a_loaded_state_is_left_as_it_is_and_can_be_left_out() -> None:
    state = noted().state_dict()
    before = repr(state)
    first, second = Watch(), Watch()
    first.load_state_dict(state)
    first.log_windowed_scalar("reward", 1.0)
    first.log_scalar("loss/q", 9.0)
    assert repr(state) == before
    second.load_state_dict(state, load_hparams=False)
    second.load_state_dict({})
    assert second.scalar_logs == {}


def test_it_works_without_a_callback_and_hands_arguments_on() -> None:
    class Plain(LoggingMixin):
        pass

    class Named(LoggingMixin, Callback):
        def __init__(self) -> None:
            super().__init__(7, default_window_length=3)

    plain = Plain()
    plain.load_state_dict(plain.state_dict())
    assert Named().cycle == 7


def test_the_wrong_order_of_bases_is_told() -> None:
    with pytest.raises(TypeError, match=r"LoggingMixin goes before Callback: `class Wrong\(LoggingMixin, \.\.\.\)`"):

        class Wrong(Callback, LoggingMixin):
            pass
