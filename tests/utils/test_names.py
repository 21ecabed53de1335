from __future__ import annotations

import enum
import functools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gridrl.build import Builder, Reference
from gridrl.utils.names import cut_name, default_shorthand, short_hash, valid_str, without_address


class Plain:
    pass


class ReLU:
    pass


def a_function() -> None: ...


class Color(enum.Enum):
    RED = 1


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1, "0-1"),
        (-1, "-1"),
        (1e-10, "1e-10"),
        (1e6, "1000000-0"),
        (None, "none"),
        (True, "true"),
        ("HalfCheetah-v5", "halfcheetah-v5"),
        ("a/b", "a-b"),
        ("../z", "---z"),
        ("é", "-"),
        ("", ""),
        ([64, 64], "64-64"),
        ((32,), "32"),
        ([], ""),
        ([[64, 64], [32]], "64-64-32"),
        ({"a": 1}, "--a---1-"),
        (ReLU, "relu"),
        (a_function, "a_function"),
        (lambda x: x, "-lambda-"),
        (functools.partial(a_function), "a_function"),
        (len, "len"),
        (Reference("torch.nn.ReLU"), "relu"),
        (Reference("my_module:train"), "train"),
        (Builder(ReLU, {"a": 1}), "relu"),
        (np.float64(0.1), "0-1"),
        (np.int64(3), "3"),
        (np.array([1, 2]), "1-2"),
        (np.zeros((3, 100)), "ndarray-3-100"),
        (torch.tensor([1, 2]), "1-2"),
        (torch.zeros(50), "tensor-50"),
        (np.array(0.5), "0-5"),
        ({3, 1, 2}, "1-2-3"),
        (set("hgfedcba"), "a-b-c-d-e-f-g-h"),
        (Color.RED, "color-red"),
        (Path("a/b c"), "a-b-c"),
    ],
)
def test_values_become_parts_of_file_names_by_the_documented_rule(value: Any, text: str) -> None:
    assert valid_str(value) == text


def test_no_memory_address_gets_into_a_name() -> None:
    assert valid_str(Plain()) == f"-{__name__}-plain-object-".replace(".", "-").lower()
    assert valid_str({"f": a_function}) == valid_str({"f": a_function})
    assert without_address("<f at 0x7f00DEADbeef> and <g at 0x1>") == "<f> and <g>"


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner, max_size=3)))
def test_a_part_of_a_name_holds_only_safe_characters(value: Any) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]*", valid_str(value))


@pytest.mark.parametrize(
    ("key", "shorthand"),
    [
        ("clip_ratio", "cli"),
        ("q_lr", "ql"),
        ("ac_kwargs:hidden_sizes", "ac-hid"),
        ("seed", "see"),
        ("env_name", "env"),
        ("a:b:c", "a-b-c"),
        ("_x", "x"),
        ("x", "x"),
        ("é_a", "a"),
        ("", ""),
    ],
)
def test_default_shorthands_follow_the_documented_rule(key: str, shorthand: str) -> None:
    assert default_shorthand(key) == shorthand


def test_a_short_hash_is_the_head_of_sha256() -> None:
    # printf abc | sha256sum
    assert short_hash("abc") == "ba78"
    assert short_hash("abc", 8) == "ba7816bf"
    assert len(short_hash("\udc80", 6)) == 6


def test_a_short_name_is_not_cut() -> None:
    assert cut_name("x" * 150) == "x" * 150
    assert cut_name("") == ""


def test_a_long_name_is_cut_and_ends_with_its_hash() -> None:
    name = "x" * 151
    assert cut_name(name) == "x" * 141 + "-" + short_hash(name, 8)
    assert cut_name("x" * 151) != cut_name("x" * 152)


def test_the_limit_counts_bytes_and_cuts_no_character() -> None:
    name = "é" * 76  # 152 bytes
    cut = cut_name(name)
    assert cut == "é" * 70 + "-" + short_hash(name, 8)  # 140 bytes: the 141st is half a character
    assert cut_name("é" * 75) == "é" * 75


@given(st.text(), st.integers(16, 60))
def test_a_cut_name_fits_and_stays_as_it_is_when_cut_again(name: str, limit: int) -> None:
    cut = cut_name(name, limit)
    assert len(cut.encode("utf-8", "surrogatepass")) <= limit
    assert cut_name(cut, limit) == cut


def test_a_limit_without_room_for_the_hash_is_refused() -> None:
    with pytest.raises(ValueError, match="15 bytes"):
        cut_name("abc", 15)
