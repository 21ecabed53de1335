"""Names of experiments and of their directories, by the documented rules."""

from __future__ import annotations

import functools
import hashlib
import math
import re
from typing import Any

from gridrl.build import Builder, Reference

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")
_NOT_IN_SHORTHANDS = re.compile(r"[^A-Za-z0-9]")
_HASH_LENGTH_OF_A_CUT = 8
_MOST_NUMBERS_OF_AN_ARRAY = 16


def valid_str(value: Any) -> str:
    """A value as a part of a file name: letters, digits, `-` and `_` only.

    Functions and classes give their name, a `Reference` its last part, a list or tuple its items joined by `-`,
    anything else its lower-case text with every other character turned to `-`. Many values can give one text: whoever
    makes names has to look for that.

    >>> valid_str([64, 64]), valid_str(0.1), valid_str(None), valid_str("HalfCheetah-v5")
    ('64-64', '0-1', 'none', 'halfcheetah-v5')
    """
    if isinstance(value, Builder):
        return valid_str(value.class_type)
    if isinstance(value, Reference):
        return valid_str(value.last)
    if isinstance(value, functools.partial):
        return valid_str(value.func)
    name = getattr(value, "__name__", None)
    if isinstance(name, str):
        return valid_str(name)
    if isinstance(value, (list, tuple)):
        return "-".join(valid_str(item) for item in value)
    if isinstance(value, (set, frozenset)):  # their own order changes from process to process
        return "-".join(sorted(valid_str(item) for item in value))
    return _NOT_IN_NAMES.sub("-", _text(value).lower())


def _text(value: Any) -> str:
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and shape and hasattr(value, "tolist"):
        small = math.prod(shape) <= _MOST_NUMBERS_OF_AN_ARRAY
        return valid_str(value.tolist()) if small else f"{type(value).__name__}-{valid_str(shape)}"
    return without_address(str(value))


def without_address(text: str) -> str:
    """`text` without the memory addresses that Python's default texts hold; they differ in every process.

    >>> without_address("<function f at 0x7f5b1c2d3e40>")
    '<function f>'
    """
    return _ADDRESS.sub("", text)


def default_shorthand(key: str) -> str:
    """The documented short form of a key: of each part between colons its first three characters, letters and digits.

    >>> default_shorthand("ac_kwargs:hidden_sizes"), default_shorthand("q_lr")
    ('ac-hid', 'ql')
    """
    return "-".join(_NOT_IN_SHORTHANDS.sub("", part[:3]) for part in key.split(":"))


def short_hash(text: str, n: int = 4) -> str:
    """The first `n` hexadecimal digits of the text's SHA-256; the same in every process."""
    return hashlib.sha256(_bytes(text)).hexdigest()[:n]


def cut_name(name: str, limit: int = 150) -> str:
    """A name that file systems take: one of more than `limit` bytes is cut, and ends with a hash of all of it.

    Args:
        name: any text.
        limit: bytes in UTF-8, at least 16; file systems allow 255 for a directory's name, and ours get a seed and
            perhaps a date and time on top.
    """
    if limit < 2 * _HASH_LENGTH_OF_A_CUT:
        raise ValueError(f"cut_name: a limit of {limit} bytes leaves no room for a name and its hash.")
    encoded = _bytes(name)
    if len(encoded) <= limit:
        return name
    kept = encoded[: limit - _HASH_LENGTH_OF_A_CUT - 1].decode("utf-8", errors="ignore")
    return f"{kept}-{short_hash(name, _HASH_LENGTH_OF_A_CUT)}"


def _bytes(text: str) -> bytes:
    # A name typed in another encoding reaches Python with lone surrogates in it.
    return text.encode("utf-8", errors="surrogatepass")
