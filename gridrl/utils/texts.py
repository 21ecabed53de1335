"""Names, numbers and durations as people read them, in few characters."""

from __future__ import annotations


def one_line(text: object) -> str:
    """Text without line ends and control characters: they are shown, not printed."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in str(text))


def shortened(text: str, width: int) -> str:
    """Text that is at most so long: its middle goes, since names of runs differ at their ends.

    >>> shortened("ppo_hid64-64_lr0-001", 12)
    'ppo_hi…0-001'
    """
    if len(text) <= width:
        return text
    kept = max(0, width - 1)
    return f"{text[: kept - kept // 2]}…{text[len(text) - kept // 2 :]}"[:width]


def cut(text: str, width: int) -> str:
    """Text that is at most so long: its end goes."""
    return text if len(text) <= width else f"{text[: max(0, width - 1)]}…"


def duration(seconds: float | None) -> str:
    """`4.2 s`, `0:12:34`; empty for None.

    >>> duration(4.21), duration(754), duration(None)
    ('4.2 s', '0:12:34', '')
    """
    if seconds is None:
        return ""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def number(value: float | None) -> str:
    """A score in few characters; empty for None."""
    if value is None:
        return ""
    return f"{value:.4g}" if abs(value) < 1000 or abs(value) >= 1e7 else f"{value:.0f}"
