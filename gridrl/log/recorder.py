"""`LoggingMixin`: what an object wants to be known about it, kept until a logger asks."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from gridrl.errors import BadValue, ColumnError, ShapeError
from gridrl.log.floats import as_floats, is_tensor

_WINDOWED = re.compile(r"windowed\[(.*?)\]:(.*)", re.DOTALL)
_NUMBER = (float, int)


class LoggingMixin:
    """Gives a class methods that note numbers, images, videos and histograms by key; loggers of `gridrl.train.logging`
    write them.

    Noting costs little: a number on the CPU is read at once, one on a GPU is copied there and read when somebody asks.
    What an object has at hand anyway need not be noted at each update: see `gather_logs`.

    It goes before the other bases: `class Mine(LoggingMixin, Callback)`.

    >>> class Watch(LoggingMixin):
    ...     pass
    >>> watch = Watch(default_window_length=100)
    >>> watch.log_scalar("train/temperature", 0.2)
    >>> for reward in (1.0, 2.0, 6.0):
    ...     watch.log_windowed_scalar("windowed[2]:episode/reward", reward)
    >>> watch.scalar_logs, watch.windowed_means(), watch.windowed_scalar_cumulative
    ({'train/temperature': 0.2}, {'episode/reward': 4.0}, {'episode/reward': 9.0})
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Refuses an order of bases in which the logs would not be made or saved."""
        super().__init_subclass__(**kwargs)
        before = cls.__mro__[: cls.__mro__.index(LoggingMixin)]
        others = [base for base in before if not issubclass(base, LoggingMixin) and "state_dict" in vars(base)]
        if others:
            raise TypeError(
                f"LoggingMixin goes before {others[0].__name__}: `class {cls.__name__}(LoggingMixin, ...)`."
            )

    def __init__(self, *args: Any, default_window_length: int = 250, **kwargs: Any) -> None:
        """Starts with empty logs.

        Args:
            args: for the next base.
            default_window_length: how many of the newest numbers a window holds, where its key does not say.
            kwargs: for the next base.

        Raises:
            BadValue: a length below 1.
        """
        super().__init__(*args, **kwargs)
        if default_window_length < 1:
            raise BadValue(f"default_window_length={default_window_length}: a window holds 1 number or more.")
        self._default_window_length = default_window_length
        self._scalars: dict[str, Any] = {}
        self._windows: dict[str, deque[float]] = {}
        self._cumulative: dict[str, float] = {}
        # key with its prefix -> name of its window
        self._names: dict[str, str] = {}
        # numbers of windows that are still on a GPU
        self._unread: dict[str, list[Any]] = {}
        self._images: dict[str, Any] = {}
        self._histograms: dict[str, Any] = {}
        self._videos: dict[str, tuple[Any, int]] = {}

    def log_scalar(self, key: str, value: Any) -> None:
        """Notes a number, in place of the one before it.

        Args:
            key: such as "loss/policy".
            value: a number, or a tensor or array with one element.

        Raises:
            ColumnError: it is no number, or several.
        """
        self._scalars[key] = _one_number(key, value)

    def log_windowed_scalar(self, key: str, value: Any) -> None:
        """Notes numbers of which loggers write the mean over the newest ones, and the sum of all.

        Args:
            key: such as "episode/reward"; `windowed[LENGTH]:episode/reward` sets the length of its window. The first
                length stays: the window's name is what stands behind the prefix.
            value: a number or numbers in any form, also tensors on a GPU, and what can only be gone through.

        Raises:
            BadValue: the length is no whole number of 1 or more.
            ColumnError: `value` holds something else than numbers.
        """
        name = self._window(key)
        if _is_away(value):
            unread = self._unread.setdefault(name, [])
            unread.append(value.detach().clone())
            if len(unread) >= self._default_window_length:
                self._read_window(name)
            return
        self._read_window(name)
        if isinstance(value, _NUMBER) or (is_tensor(value) and value.numel() == 1):
            self._extend(name, (_one_number(key, value),))
        else:
            self._extend(name, as_floats(_listed(value)).tolist())

    def log_image(self, key: str, value: Any) -> None:
        """Notes an image, in place of the one before it.

        Args:
            key: its name.
            value: tensor or array [height, width, channels], of 0-255 (uint8) or 0-1 (float).

        Raises:
            ShapeError: it has another number of dimensions.
        """
        _check_dimensions(key, value, (3,), "an image is [height, width, channels]")
        self._images[key] = value.detach().clone() if is_tensor(value) else np.array(value)

    def log_video(self, key: str, value: tuple[Any, int]) -> None:
        """Notes a video, in place of the one before it.

        Args:
            key: its name.
            value: frames, an array or tensor [frames, channels, height, width] or several such videos
                [N, frames, channels, height, width]; and how many of them are shown a second.

        Raises:
            ShapeError: the frames have another number of dimensions.
        """
        frames, per_second = value
        _check_dimensions(key, frames, (4, 5), "a video is [frames, channels, height, width], or a batch of these")
        self._videos[key] = (frames.detach().clone() if is_tensor(frames) else np.array(frames), per_second)

    def log_histogram(self, key: str, value: Any) -> None:
        """Notes numbers of which loggers write the distribution.

        Args:
            key: its name.
            value: numbers in any form, in place of those before them; or one number, which joins the newest ones.
        """
        if _is_away(value):
            self._histograms[key] = value.detach().clone()
        elif is_tensor(value) or isinstance(value, Iterable):
            self._histograms[key] = np.array(as_floats(_listed(value)))
        else:
            newest = self._histograms.get(key)
            if not isinstance(newest, deque):
                newest = self._histograms[key] = deque(maxlen=self._default_window_length)
            newest.append(_one_number(key, value))

    def gather_logs(self) -> None:
        """Called before the logs are read: a subclass that has values at hand anyway notes them here, which costs
        nothing while nobody reads."""

    @property
    def scalar_logs(self) -> dict[str, float]:
        """The newest numbers."""
        self.gather_logs()
        for key, value in list(self._scalars.items()):  # a collector's thread may be noting
            if is_tensor(value):
                self._scalars[key] = float(value.item())
        return self._scalars

    @property
    def windowed_scalar(self) -> dict[str, deque[float]]:
        """The newest numbers of each window, the oldest first; their keys have no prefix."""
        self.gather_logs()
        for name in list(self._unread):
            self._read_window(name)
        return self._windows

    @property
    def windowed_scalar_cumulative(self) -> dict[str, float]:
        """The sum of all numbers that ever went into each window."""
        _ = self.windowed_scalar  # reads what is still on a GPU
        return self._cumulative

    @property
    def image_logs(self) -> dict[str, Any]:
        """The newest images, [height, width, channels]."""
        self.gather_logs()
        return self._images

    @property
    def hist_logs(self) -> dict[str, Any]:
        """The newest numbers of each histogram: an array [N], or a deque of single ones."""
        self.gather_logs()
        for key, value in list(self._histograms.items()):
            if is_tensor(value):
                self._histograms[key] = np.array(as_floats(value))
        return self._histograms

    @property
    def video_logs(self) -> dict[str, tuple[Any, int]]:
        """The newest videos, and their frames a second."""
        self.gather_logs()
        return self._videos

    def windowed_means(self) -> dict[str, float]:
        """The mean of each window that holds a number."""
        windows = {name: list(window) for name, window in list(self.windowed_scalar.items())}
        return {name: sum(window) / len(window) for name, window in windows.items() if window}

    def state_dict(self) -> dict[str, Any]:
        """What the next base gives, and under "logs" everything that was noted, as arrays and plain values."""
        inherited: dict[str, Any] = getattr(super(), "state_dict", dict)()
        windows = self.windowed_scalar
        logs = {
            "scalar": dict(self.scalar_logs),
            "windowed": {
                name: [window.maxlen, list(window), self._cumulative[name]] for name, window in list(windows.items())
            },
            "image": {key: _as_array(image) for key, image in self.image_logs.items()},
            "histogram": {
                key: [values.maxlen, list(values)] if isinstance(values, deque) else [None, values.copy()]
                for key, values in self.hist_logs.items()
            },
            "video": {key: [_as_array(frames), rate] for key, (frames, rate) in self.video_logs.items()},
        }
        return {**inherited, "logs": logs}

    def load_state_dict(
        self,
        state_dict: Mapping[str, Any],
        load_network: bool = True,
        load_optimizer: bool = True,
        load_hparams: bool = True,
    ) -> None:
        """Takes up what `state_dict` gave, which is left as it is; the logs count as hyperparameters.

        Args:
            state_dict: from an object of the same class; one without logs leaves these here as they are.
            load_network: for the next base.
            load_optimizer: for the next base.
            load_hparams: whether to take the logs.
        """
        load = getattr(super(), "load_state_dict", None)
        if load is not None:
            load(state_dict, load_network, load_optimizer, load_hparams)
        logs = state_dict.get("logs")
        if logs is None or not load_hparams:
            return
        self._scalars, self._unread, self._names = dict(logs["scalar"]), {}, {}
        self._windows = {name: deque(values, maxlen=length) for name, (length, values, _) in logs["windowed"].items()}
        self._cumulative = {name: total for name, (_, _, total) in logs["windowed"].items()}
        self._images = {key: _as_array(image) for key, image in logs["image"].items()}
        self._histograms = {
            key: np.array(as_floats(values)) if length is None else deque(values, maxlen=length)
            for key, (length, values) in logs["histogram"].items()
        }
        self._videos = {key: (_as_array(frames), rate) for key, (frames, rate) in logs["video"].items()}

    def _window(self, key: str) -> str:
        """The name of a key's window, which is made if there is none."""
        if key in self._windows:
            return key
        if key in self._names:
            return self._names[key]
        prefixed = _WINDOWED.fullmatch(key)
        name = prefixed[2] if prefixed else key
        if name not in self._windows:
            length = self._default_window_length
            if prefixed:
                if not prefixed[1].isdecimal() or int(prefixed[1]) < 1:
                    raise BadValue(f"{key!r}: windowed[LENGTH]:KEY takes a whole number of 1 or more.")
                length = int(prefixed[1])
            self._cumulative[name], self._windows[name] = 0.0, deque(maxlen=length)
        self._names[key] = name
        return name

    def _read_window(self, name: str) -> None:
        """Fetches the numbers of a window that are still on a GPU, all at once."""
        unread = self._unread.pop(name, None)
        if unread:
            import torch

            together = torch.cat([value.reshape(-1).to(unread[0].device) for value in unread])
            self._extend(name, as_floats(together).tolist())

    def _extend(self, name: str, numbers: Iterable[float]) -> None:
        for number in numbers:
            self._windows[name].append(number)
            self._cumulative[name] += number


def _is_away(value: Any) -> bool:
    """Whether reading the value would wait for another device."""
    return is_tensor(value) and not value.is_cpu


def _listed(value: Any) -> Any:
    """What numpy does not look into, generators, sets and views of dicts, as a list."""
    known = isinstance(value, str | bytes | Sequence | Mapping) or hasattr(value, "shape")
    return list(value) if isinstance(value, Iterable) and not known else value


def _one_number(key: str, value: Any) -> Any:
    """A number as float; a tensor on another device as a copy there."""
    if isinstance(value, _NUMBER):
        return float(value)
    if is_tensor(value) and value.numel() == 1:
        return value.detach().reshape(()).clone() if _is_away(value) else float(value.item())
    numbers = as_floats(value)
    if len(numbers) != 1:
        raise ColumnError(f"{key!r}: one number is wanted, {len(numbers)} were given; log_windowed_scalar takes many.")
    return float(numbers[0])


def _check_dimensions(key: str, value: Any, allowed: tuple[int, ...], meant: str) -> None:
    shape = tuple(value.shape) if hasattr(value, "shape") else np.shape(value)
    if len(shape) not in allowed:
        raise ShapeError(f"{key!r} has shape {list(shape)}: {meant}.")


def _as_array(value: Any) -> Any:
    return value.detach().cpu().numpy() if is_tensor(value) else np.asarray(value)
