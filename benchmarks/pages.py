"""The page of the documents that the benchmarks share: each writes its own section and leaves the others alone."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
HEAD = "# Benchmarks\n\nWritten by `make bench`, which fails where a target is missed."


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
