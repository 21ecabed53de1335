from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridrl.errors import BadValue
from gridrl.utils import seeding
from gridrl.utils.seeding import check_seed, generator, rank_seed, seed_all, set_deterministic_cudnn, set_seed


@pytest.fixture(autouse=True)
def _global_generators_stay_as_they_were() -> Iterator[None]:
    python, numpy, finders = random.getstate(), np.random.get_state(), list(sys.meta_path)
    yield
    random.setstate(python)
    np.random.set_state(numpy)
    sys.meta_path[:] = finders


def draws(seed: int, *stream: Any) -> list[int]:
    return generator(seed, *stream).integers(0, 2**63, size=4).tolist()  # type: ignore[no-any-return]


# --- generators ---


def test_the_same_seed_and_stream_give_the_same_numbers() -> None:
    assert draws(3, "shuffle", 1) == draws(3, "shuffle", 1)
    assert draws(3, "shuffle", np.int64(1)) == draws(np.int64(3), "shuffle", 1)  # type: ignore[arg-type]


def test_these_numbers_never_change() -> None:
    # Checkpoints and published results depend on them; computed once and pinned.
    assert generator(0).integers(0, 1000, size=4).tolist() == [850, 636, 511, 269]  # numpy.random.default_rng(0)
    key = [int.from_bytes(word, "little") for word in _words("['noise', 2]")]
    expected = np.random.default_rng(np.random.SeedSequence(7, spawn_key=key)).integers(0, 2**63, size=4).tolist()
    assert draws(7, "noise", 2) == expected


def _words(text: str) -> list[bytes]:
    import hashlib

    digest = hashlib.sha256(text.encode()).digest()
    return [digest[place : place + 4] for place in range(0, 32, 4)]


def test_other_seeds_and_streams_give_other_numbers() -> None:
    streams: list[tuple[Any, ...]] = [(), ("a",), ("b",), ("a", 0), ("a", 1), (1,), ("1",), ("a", "b"), ("ab",), (1, 2)]
    seen = {tuple(draws(seed, *stream)) for seed in (0, 1) for stream in streams}
    assert len(seen) == 2 * len(streams)


def test_streams_of_one_seed_are_uncorrelated() -> None:
    a = generator(5, "env", 0).standard_normal(20_000)
    b = generator(5, "env", 1).standard_normal(20_000)
    assert abs(float(np.corrcoef(a, b)[0, 1])) < 0.03  # four standard errors


def test_a_generator_takes_any_seed_from_zero_on() -> None:
    assert draws(2**100) != draws(2**100 + 1)
    with pytest.raises(BadValue, match="-1"):
        generator(-1)


# --- seeds ---


def test_ranks_are_ten_thousand_apart() -> None:
    assert [rank_seed(3, rank) for rank in range(3)] == [3, 10003, 20003]


@given(st.integers(0, 2**32 - 1), st.integers(0, 10_000))
def test_the_seed_of_a_rank_is_a_seed(seed: int, rank: int) -> None:
    assert check_seed(rank_seed(seed, rank)) == (seed + 10_000 * rank) % 2**32


@pytest.mark.parametrize("seed", [-1, 2**32, 1.0, "3", None, True])
def test_what_is_no_seed_is_told(seed: Any) -> None:
    with pytest.raises(BadValue) as caught:
        check_seed(seed)
    assert str(caught.value) == f"seed: a whole number from 0 to 4294967295 is needed, not {seed!r}."


@pytest.mark.parametrize("seed", [0, 2**32 - 1, np.int32(5)])
def test_the_whole_range_of_seeds_is_taken(seed: Any) -> None:
    assert check_seed(seed) == int(seed)


# --- global generators ---


def test_set_seed_makes_python_numpy_and_torch_repeat() -> None:
    import torch

    def numbers() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    set_seed(4)
    first = numbers()
    second = numbers()
    set_seed(4)
    assert numbers() == first
    assert second != first
    set_seed(5)
    assert all(a != b for a, b in zip(numbers(), first, strict=True))


def test_no_seed_leaves_the_generators_alone() -> None:
    set_seed(4)
    expected = [random.random() for _ in range(2)]
    set_seed(4)
    assert random.random() == expected[0]
    set_seed(None)
    assert random.random() == expected[1]


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_bad_seed_touches_no_generator(seed: int) -> None:
    before = random.getstate()
    with pytest.raises(BadValue):
        set_seed(seed)
    assert random.getstate() == before


def run_python(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    ).stdout.strip()


def test_numpy_and_torch_are_not_imported_and_still_follow_the_seed() -> None:
    printed = run_python(
        "import sys, random\n"
        "from gridrl.utils.seeding import seed_all\n"
        "seed_all(1); seed_all(11)\n"
        "print('numpy' in sys.modules, 'torch' in sys.modules)\n"
        "import numpy, torch\n"
        "print(random.random(), numpy.random.rand(), torch.rand(()).item())\n"
        "print(any(hasattr(finder, 'awaits') for finder in sys.meta_path))\n"
    )
    import torch

    seed_all(11)
    expected = f"{random.random()} {np.random.rand()} {torch.rand(()).item()}"
    assert printed.splitlines() == ["False False", expected, "False"]


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module that nobody has imported yet."""
    (tmp_path / "awaited_module.py").write_text("value = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield "awaited_module"
    sys.modules.pop("awaited_module", None)


def test_an_action_waits_for_its_module_and_happens_once(module: str) -> None:
    actions: list[tuple[str, int]] = []
    seeding._on_import(module, lambda loaded: actions.append(("first", loaded.value)))
    seeding._on_import(module, lambda loaded: actions.append(("second", loaded.value)))
    assert actions == []
    assert importlib.util.find_spec(module) is not None  # looking is not importing
    assert actions == []
    loaded = importlib.import_module(module)
    assert actions == [("second", 1)]  # the last seed counts
    importlib.reload(loaded)
    assert actions == [("second", 1)]
    seeding._on_import(module, lambda again: actions.append(("third", again.value)))
    assert actions[1:] == [("third", 1)]


def test_a_module_that_was_awaited_keeps_its_own_loader(module: str) -> None:
    seeding._on_import(module, lambda loaded: None)
    loaded = importlib.import_module(module)
    assert type(loaded.__loader__).__name__ == "SourceFileLoader"
    assert loaded.__spec__ is not None
    assert loaded.__spec__.loader is loaded.__loader__


def test_a_loader_that_was_handed_out_earlier_does_not_act_again(module: str) -> None:
    actions: list[int] = []
    seeding._on_import(module, lambda loaded: actions.append(1))
    early = importlib.util.find_spec(module)
    seeding._on_import(module, lambda loaded: actions.append(2))
    assert early is not None
    assert early.loader is not None
    early.loader.exec_module(importlib.util.module_from_spec(early))
    assert actions == []
    importlib.import_module(module)
    assert actions == [2]


def test_a_module_that_is_awaited_in_vain_is_missing_as_ever() -> None:
    seeding._on_import("no_such_module_here", lambda loaded: None)
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("no_such_module_here")


def test_cudnn_is_left_alone_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.backends.cudnn, "deterministic", False)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    set_deterministic_cudnn()
    assert (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark) == (False, True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    set_deterministic_cudnn()
    assert (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark) == (True, False)
