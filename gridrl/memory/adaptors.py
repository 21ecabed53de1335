"""What is done to a whole sample before it is handed out: tensors in, tensors out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from gridrl.errors import ColumnError, did_you_mean
from gridrl.typing import SampleResult


class DictObsAdaptor:
    """Puts several columns together into one dict, as networks of dict observations take them.

    `result["observation"]` holds the columns `keys`, `result["next_observation"]` the columns `next_{key}`, both under
    their output names; the columns themselves are taken out of the sample.

    >>> DictObsAdaptor(["obs"], with_next=False)({"obs": torch.zeros(2, 3)}, 2, 1)["observation"]["obs"].shape
    torch.Size([2, 3])
    """

    def __init__(self, keys: Sequence[str], output_keys: Sequence[str] | None = None, with_next: bool = True) -> None:
        """Chooses the columns.

        Args:
            keys: of the observation.
            output_keys: their names in the dicts; None: the same.
            with_next: whether there are next observations.

        Raises:
            ColumnError: other names than columns, by number.
        """
        self.keys, self.output_keys = list(keys), list(keys if output_keys is None else output_keys)
        self.with_next = with_next
        if len(self.keys) != len(self.output_keys):
            raise ColumnError(f"output_keys: one for each of {self.keys} is needed, not {self.output_keys}.")

    def __call__(self, result: SampleResult, count: int, sequence_length: int) -> SampleResult:
        """Puts the columns together."""
        pairs = list(zip(self.keys, self.output_keys, strict=True))
        result["observation"] = {out: _taken(result, key) for key, out in pairs}
        if self.with_next:
            result["next_observation"] = {out: _taken(result, f"next_{key}") for key, out in pairs}
        return result


class KeyScaleAdaptor:
    """Multiplies a column by a number.

    >>> KeyScaleAdaptor(0.5, "reward")({"reward": torch.ones(2)}, 2, 1)["reward"].tolist()
    [0.5, 0.5]
    """

    def __init__(self, scale: float, key: str) -> None:
        self.scale, self.key = scale, key

    def __call__(self, result: SampleResult, count: int, sequence_length: int) -> SampleResult:
        """Scales the column."""
        result[self.key] = _found(result, self.key) * self.scale
        return result


class KeyCastAdaptor:
    """Gives a column another dtype.

    >>> KeyCastAdaptor(torch.int64, "action")({"action": torch.ones(2)}, 2, 1)["action"].tolist()
    [1, 1]
    """

    def __init__(self, dtype: torch.dtype, key: str) -> None:
        self.dtype, self.key = dtype, key

    def __call__(self, result: SampleResult, count: int, sequence_length: int) -> SampleResult:
        """Casts the column."""
        result[self.key] = _found(result, self.key).to(self.dtype)
        return result


class TerminalAdaptor:
    """Tells a time limit from a death: where an episode was cut off, its last step may be bootstrapped.

    The tag column `target_key` holds 1 for episodes that were cut off. It becomes the mask of each sequence's last
    step: 1 where the tag is 1, else what `value_key` says. The same is written into `value_key` itself, so that who
    bootstraps step by step is right as well.

    >>> sample = {"terminal": torch.tensor([1.0, 0.0]), "masks": torch.zeros(2, 1)}
    >>> TerminalAdaptor("terminal", "masks")(sample, 2, 1)["masks"].tolist()
    [[1.0], [0.0]]
    """

    def __init__(self, target_key: str, value_key: str) -> None:
        """Chooses the columns.

        Args:
            target_key: the tag column, [count].
            value_key: the column of masks, [count * sequence_length, ...].
        """
        self.target_key, self.value_key = target_key, value_key

    def __call__(self, result: SampleResult, count: int, sequence_length: int) -> SampleResult:
        """Corrects the masks."""
        tag = _found(result, self.target_key).reshape(count)
        masks = _found(result, self.value_key)
        last = masks.view(count, sequence_length, -1)[:, -1]
        last.masked_fill_((tag == 1)[:, None], 1)  # a view: what was cut off has a mask of 1 at its last step
        result[self.target_key] = last[:, 0].to(tag.dtype)
        return result


def _found(result: SampleResult, key: str) -> Any:
    if key not in result:
        raise ColumnError(f"The sample has no column {key!r}, only {sorted(result)}.{did_you_mean(key, result)}")
    return result[key]


def _taken(result: SampleResult, key: str) -> Any:
    found = _found(result, key)
    del result[key]
    return found
