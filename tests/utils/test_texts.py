"""Names, numbers and durations in few characters."""

from __future__ import annotations

from gridrl.utils.texts import cut, duration, number, one_line, shortened


def test_shortened_names_keep_both_ends() -> None:
    assert shortened("ppo_hid64-64_lr0-001", 12) == "ppo_hi…0-001"
    assert [len(shortened("abcdefgh", width)) for width in range(1, 10)] == [1, 2, 3, 4, 5, 6, 7, 8, 8]
    assert (cut("abc", 3), cut("abcd", 3)) == ("abc", "ab…")


def test_control_characters_are_shown_not_printed() -> None:
    assert one_line("a\x1b[2Jb\nc\tü日") == r"a\x1b[2Jb\nc\tü日"


def test_numbers_are_short() -> None:
    assert [number(value) for value in (None, 0.0, 1.23456, -200.5, 1234.5, -99999.0, 3.2e9)] == [
        "", "0", "1.235", "-200.5", "1234", "-99999", "3.2e+09",
    ]  # fmt: skip
    assert [duration(s) for s in (None, 0.0, 59.94, 59.95, 3599.6, 360000.0)] == [
        "", "0.0 s", "59.9 s", "0:01:00", "1:00:00", "100:00:00",
    ]  # fmt: skip
