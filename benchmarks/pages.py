"""The page of the documents that the benchmarks share: each writes its own section and leaves the others alone."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Protocol, TypeVar

from gridrl.errors import did_you_mean

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
HEAD = "# Benchmarks\n\nWritten by `make bench`, which fails where a target is missed."


class Named(Protocol):
    """What is chosen on the command line by its name."""

    @property
    def name(self) -> str:
        """Stands once among its like."""
        ...


Entry = TypeVar("Entry", bound=Named)


def chosen(names: Sequence[str], entries: Iterable[Entry], kind: str) -> list[Entry]:
    """The entries of these names, all where none is given.

    Args:
        names: as they were typed.
        entries: what there is.
        kind: what an entry is called.

    Raises:
        SystemExit: there is none of such a name.
    """
    known = {entry.name: entry for entry in entries}
    for name in names:
        if name not in known:
            raise SystemExit(f"{name}: no such {kind}; there are {', '.join(known)}.{did_you_mean(name, known)}")
    return [known[name] for name in names or known]


def write_section(title: str, paragraphs: Iterable[str], page: Path = PAGE, head: str = HEAD) -> str:
    """Puts a section into the page, in the place of its last version or at the end; gives its text."""
    section = "\n\n".join([f"## {title}", *paragraphs])
    old = page.read_text().rstrip("\n").split("\n\n## ")[1:] if page.exists() else []
    sections = [f"## {text}" for text in old]
    places = [place for place, text in enumerate(sections) if text.partition("\n")[0] == f"## {title}"]
    if places:
        sections[places[0]] = section
    else:
        sections.append(section)
    page.write_text("\n\n".join([head, *sections]) + "\n")
    return section


def machine(*packages: str) -> str:
    """What it was measured on: the processor, Python, and the versions of packages, those that are installed."""
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as info:
        model = next((line.partition(":")[2].strip() for line in info if line.startswith("model name")), model)
    versions = [f"Python {platform.python_version()}"]
    for package in packages:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions.append(f"{package} {metadata.version(package)}")
    return f"{model}; {', '.join(versions)}"
