"""HTML that cannot be broken by what is put into it: text is escaped unless it is HTML of our own making."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

_EMPTY = ("br", "col", "hr", "input", "meta")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


Content = str | Iterable["Content"] | None
"""Text, which is escaped; `Html`, which is not; nothing; or several of these."""


def escaped(content: Content) -> Html:
    """Content as HTML.

    >>> escaped(["a < b & ", Html("<br>"), None])
    'a &lt; b &amp; <br>'
    """
    if content is None:
        return Html()
    if isinstance(content, Html):
        return content
    if isinstance(content, str):
        return Html(html.escape(printable(content)))
    return Html("".join(map(escaped, content)))


def element(name: str, *content: Content, **attributes: str | float | bool | None) -> Html:
    """An element; its attributes and its text are escaped.

    >>> element("p", "1 < 2", element("b", "!"), class_="note", hidden=False, data_v=1.5)
    '<p class="note" data-v="1.5">1 &lt; 2<b>!</b></p>'

    Args:
        name: of the element.
        content: what is in it.
        attributes: `class_` is class and `data_v` data-v. True: without a value; False and None: not there.
    """
    told = "".join(_attribute(key, value) for key, value in attributes.items())
    return Html(f"<{name}{told}>" + ("" if name in _EMPTY else f"{escaped(content)}</{name}>"))


def _attribute(key: str, value: str | float | bool | None) -> str:
    name = key.rstrip("_").replace("_", "-")
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{escaped(str(value))}"'


def printable(text: str) -> str:
    """Text without the codes of terminals; other characters that no page may hold show as a replacement mark.

    >>> printable("\\x1b[31mred\\x1b[0m\\x00")
    'red\\ufffd'
    """
    return _CONTROLS.sub("\ufffd", _ANSI.sub("", text.replace("\r\n", "\n").replace("\r", "\n")))


def json_in_script(value: Any) -> Html:
    """JSON that can stand within a `<script>`: nothing in it ends the element or begins a comment.

    >>> json_in_script({"</script>": "<!--"})
    '{"\\\\u003c/script\\\\u003e":"\\\\u003c!--"}'

    Args:
        value: of dicts, lists, texts, finite numbers, booleans and None.
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)  # non-ASCII letters become \u escapes
    return Html(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def filled(template: str, parts: Mapping[str, str]) -> str:
    """A template with its `{{name}}` replaced; what is put in is not looked at again.

    Raises:
        KeyError: a name that has no part.
    """
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)
