"""Draws the pictures of docs/plotting.md again: runs every command of the page that saves into docs/images/.

    python benchmarks/gallery.py

A picture and the command that stands above it can so never say different things.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "plotting.md"
COLORS = 256
_PICTURE = re.compile(
    r"```sh\n(?P<command>python -m gridrl\.run plot [^\n]*--save docs/(?P<written>images/[\w.-]+)[^\n]*)\n```"
    r"\n\n!\[[^\]]*\]\((?P<shown>[^)]*)\)"
)


def pictures(text: str) -> dict[str, list[str]]:
    """The words behind `gridrl.run`, by picture, of a page.

    Raises:
        ValueError: a picture stands below a command that writes another one.
    """
    found = {}
    for match in _PICTURE.finditer(text):
        if match["written"] != match["shown"]:
            raise ValueError(f"the command writes {match['written']}, below it stands {match['shown']}")
        found[match["shown"]] = shlex.split(match["command"])[3:]
    return found


def shrink(picture: Path) -> None:
    """Leaves a picture the colours that it needs: a third of the bytes, nothing to be seen of it."""
    from PIL import Image

    with Image.open(picture) as full:
        few = full.convert("RGB").quantize(COLORS)
    few.save(picture, optimize=True, dpi=(160, 160))


def main() -> int:
    """Draws them all; gives the exit status."""
    from gridrl.run import main as run

    os.chdir(ROOT)
    statuses = []
    for picture, words in pictures(PAGE.read_text()).items():
        statuses.append(run(words))
        shrink(PAGE.parent / picture)
    return max(statuses, default=2)


if __name__ == "__main__":
    sys.exit(main())
