"""A report as one HTML file that fetches nothing: sections, style, program, data and the plotting library in one."""

from __future__ import annotations

import base64
import gzip
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

import gridrl
from gridrl.results.markup import Html, element, escaped, filled, json_in_script
from gridrl.results.page_again import reproduce_section
from gridrl.results.page_charts import chart_columns, chart_data
from gridrl.results.page_details import configs_section, failed_section, runs_section
from gridrl.results.page_parts import counted
from gridrl.results.page_sections import curves_section, heatmap_section, summary_section
from gridrl.results.page_table import variants_section
from gridrl.results.table import Table
from gridrl.utils.optional import import_optional

MARK = '<meta name="generator" content="gridrl report'
"""Stands near the start of every report: a file without it is none of ours."""

_SECTIONS = {
    "summary": "Summary",
    "variants": "Variants",
    "curves": "Curves",
    "heatmap": "Heatmap",
    "failed": "Failed runs",
    "configs": "Configurations",
    "runs": "Runs",
    "reproduce": "How to do it again",
}


@dataclass(frozen=True)
class PageRequest:
    """What a page is made of.

    Attributes:
        table: the variants.
        title: the page's headline.
        left_out: what was left out, and why.
        columns: those that have curves; none: those that are worth it.
        smooth: rows that go into a curve's moving mean.
    """

    table: Table
    title: str
    left_out: Sequence[str] = ()
    columns: Sequence[str] = ()
    smooth: int = 1


def page(request: PageRequest) -> str:
    """The whole file.

    Raises:
        BadValue: plotly is not installed.
    """
    library = plotly_source()
    table = request.table
    runs = [member.run for row in table.rows for member in row.members if member.steps is not None]
    columns = list(request.columns) or chart_columns(runs, table.asked)
    data = chart_data(table.rows, table.asked, columns, request.smooth)
    sections = [
        summary_section(table, request.left_out),
        variants_section(table),
        curves_section(table, data, request.smooth),
        heatmap_section(data),
        failed_section(table),
        configs_section(table),
        runs_section(table),
        reproduce_section(table),
    ]
    made = time.strftime("%Y-%m-%d %H:%M")
    lead = f"{counted(len(table.rows), 'variant')}, {counted(sum(len(row.members) for row in table.rows), 'run')}"
    program = _asset("report.js")
    links = [element("li", element("a", title, href=f"#{name}")) for name, title in _SECTIONS.items()]
    return filled(
        _asset("report.html"),
        {
            "version": escaped(gridrl.__version__),
            "policy": escaped(_policy(program, library)),
            "title": escaped(request.title),
            "css": _asset("report.css"),
            "lead": escaped(f"{lead}. Made by gridrl {gridrl.__version__} on {made}."),
            "nav": Html("".join(links)),
            "sections": Html("\n".join(sections)),
            "footer": escaped("This file holds everything that it shows, and asks no other computer for anything."),
            "data": json_in_script(data),
            "plotly": packed(library),
            "js": program,
        },
    )


def _asset(name: str) -> str:
    return resources.files("gridrl.results").joinpath("pages", name).read_text(encoding="utf-8")


def plotly_source() -> str:
    """The plotting library's own program, as its package brings it.

    Raises:
        BadValue: the package is not installed.
    """
    import_optional("plotly", extra="report", purpose="report")
    return resources.files("plotly").joinpath("package_data", "plotly.min.js").read_text(encoding="utf-8")


def packed(text: str) -> str:
    """Text as base64 of its gzip form, which browsers can undo: 2 MB instead of 5 for the plotting library."""
    return base64.b64encode(gzip.compress(text.encode(), compresslevel=9, mtime=0)).decode()


def _policy(*programs: str) -> str:
    """What a browser may do with the page: run these programs and no other, and fetch nothing."""
    hashes = [base64.b64encode(hashlib.sha256(program.encode()).digest()).decode() for program in programs]
    scripts = " ".join(f"'sha256-{one}'" for one in hashes)
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
