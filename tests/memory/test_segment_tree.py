from __future__ import annotations

import operator

import numpy as np
import pytest

from gridrl.errors import BadValue
from gridrl.memory.segment_tree import MinSegmentTree, SegmentTree, SumSegmentTree


def test_every_stretch_is_reduced_as_by_hand() -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 10, 16).astype(float)
    sums, least = SumSegmentTree(16), MinSegmentTree(16)
    joined = SegmentTree(16, lambda left, right: left + right, "")
    for i in range(16):
        sums[i] = least[i] = values[i]
        joined[i] = "abcdefghijklmnop"[i]
    for start in range(17):
        for end in range(start, 17):
            assert sums.sum(start, end) == values[start:end].sum()
            assert least.min(start, end) == min(values[start:end], default=np.inf)
            assert joined.reduce(start, end) == "abcdefghijklmnop"[start:end]
    assert sums.sum() == sums.total == values.sum()
    assert sums.sum(3, -2) == values[3:-2].sum()
    assert SegmentTree(4, operator.add, 0).reduce() == 0


def test_batches_are_written_like_one_after_the_other() -> None:
    rng = np.random.default_rng(1)
    batched, single = SumSegmentTree(64), SumSegmentTree(64)
    for _ in range(30):
        index, value = rng.integers(0, 64, 20), rng.random(20)
        batched[index] = value
        for i, v in zip(index, value, strict=True):
            single[int(i)] = v
    assert np.array_equal(batched._values, single._values)
    assert batched[[3, 5]].tolist() == [batched[3], batched[5]]
    batched[np.zeros(0, np.int64)] = np.zeros(0)


def test_prefix_sums_are_found_as_by_searching() -> None:
    rng = np.random.default_rng(2)
    values = rng.random(32) * (rng.random(32) < 0.5)
    tree = SumSegmentTree(32)
    tree[np.arange(32)] = values
    wanted = np.append(rng.random(2000) * tree.total, [0.0])
    assert tree.find_prefixsum_idx(wanted).tolist() == np.searchsorted(np.cumsum(values), wanted, "right").tolist()
    assert tree.find_prefixsum_idx(float(wanted[7])) == np.searchsorted(np.cumsum(values), wanted[7], "right")
    assert values[tree.find_prefixsum_idx(tree.total)] > 0, "rounding up to the whole sum finds nothing that is 0"


def test_what_is_not_in_the_tree_is_told() -> None:
    with pytest.raises(BadValue, match="a power of two is needed, not 12"):
        SumSegmentTree(12)
    tree = SumSegmentTree(4)
    with pytest.raises(IndexError, match="0 to 3 are in the tree, not 4"):
        tree[4] = 1.0
    with pytest.raises(IndexError, match="not -1"):
        tree[-1]
    tree[0] = 2.0
    with pytest.raises(BadValue, match=r"0 to 2.0 is in the tree, not 2.5"):
        tree.find_prefixsum_idx(2.5)
    assert (len(tree), tree.sum(), MinSegmentTree(4).min()) == (4, 2.0, np.inf)
