"""What a run's configuration says of the code that it was made by."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gridrl.log.code_record import CodeRecord, mixes_code

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)


def test_a_record_is_read_as_it_was_written() -> None:
    record = CodeRecord("c", ("a", "b", "c"), ("x",))
    assert CodeRecord.of({"code": record.within()}) == record
    assert record.within({"hash": "old", "snapshot": 1}) == {
        "hash": "c", "ran_under": ["a", "b", "c"], "accepted": ["x"], "snapshot": 1,
    }  # fmt: skip
    assert CodeRecord("c").within() == {"hash": "c"}


@given(code=ANYTHING, ran_under=ANYTHING, accepted=ANYTHING)
def test_any_configuration_can_be_read(code: Any, ran_under: Any, accepted: Any) -> None:
    assert isinstance(CodeRecord.of({"code": code}).hash, str)
    found = CodeRecord.of({"code": {"hash": "a", "ran_under": ran_under, "accepted": accepted}})
    assert found.hash == "a"
    assert all(isinstance(text, str) for text in (*found.ran_under, *found.accepted))


def test_unknown_code_is_not_other_code() -> None:
    assert not CodeRecord.of({}).is_other("a")
    assert not CodeRecord("a").is_other("a")
    assert CodeRecord("b").is_other("a")


def test_going_on_notes_each_code_once_the_oldest_first() -> None:
    record = CodeRecord("a").going_on("b").going_on("a").going_on("c")
    assert record == CodeRecord("c", ("a", "b", "c"))
    assert record.hashes == ("a", "b", "c")
    assert CodeRecord("a").going_on("a") == CodeRecord("a")
    assert CodeRecord().going_on("a") == CodeRecord("a")


def test_accepting_leaves_one_code_and_keeps_the_former_ones() -> None:
    assert CodeRecord("b", ("a", "b"), ("x",)).accepting("c") == CodeRecord("c", (), ("x", "a", "b"))
    assert CodeRecord("b").accepting("c").accepting("b") == CodeRecord("b", (), ("c",))


def config(seed: int, *hashes: str, variant: str = "v") -> dict[str, Any]:
    record = CodeRecord(hashes[-1], hashes if len(hashes) > 1 else ()) if hashes else CodeRecord()
    return {"grid": "g", "variant_id": variant, "seed": seed, "code": record.within()}


def test_seeds_by_different_code_mix_code_and_variants_do_not() -> None:
    assert not mixes_code([])
    assert not mixes_code([config(0, "a"), config(1, "a")])
    assert mixes_code([config(0, "a"), config(1, "b")])
    assert not mixes_code([config(0, "a"), config(0, "b", variant="w")])
    assert mixes_code([config(0, "a", "b")])
    assert not mixes_code([config(0, "a"), config(1), {"seed": 2}, {"code": 3}])
