"""Write the cells of the grid as HTML: thousands of them, so without a template. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from markupsafe import Markup, escape

from ci.record.text import duration
from ci.report.style.outcomes import SYMBOLS, tone_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ci.report.pages.grid import Cell

_EMPTY = "<td></td>"


def night_cells(
    days: Sequence[str], cells: Sequence[Cell], link_of: Callable[[str], str]
) -> Markup:
    """Write the nights of a case.

    Args:
        days: of the columns.
        cells: of the case.
        link_of: folder of a run → the address of its report; empty if it has none.
    """
    written = (_night(day, cell, link_of) for day, cell in zip(days, cells, strict=True))
    return Markup("".join(written))  # noqa: S704 - `_cell` escapes


def _night(day: str, cell: Cell, link_of: Callable[[str], str]) -> str:
    if cell.night is None:
        return _EMPTY
    more = f", {cell.more + 1} runs" if cell.more else ""
    title = f"{day}: {cell.outcome}, {duration(cell.night.seconds)}{more}"
    label, symbol = f"{cell.outcome}{more}", SYMBOLS.get(cell.outcome, "•")
    return _cell(cell.outcome, link_of(cell.night.folder), title, label, symbol)


def week_cells(weeks: Sequence[str], cells: Sequence[Cell], slug: str) -> Markup:
    """Write the weeks of a case; each links to its nights in the case's details.

    Args:
        weeks: the Mondays of the columns.
        cells: of the case.
        slug: of the case.
    """
    written = (_week(week, cell, slug) for week, cell in zip(weeks, cells, strict=True))
    return Markup("".join(written))  # noqa: S704 - `_cell` escapes


def _week(week: str, cell: Cell, slug: str) -> str:
    if not cell.counts:
        return _EMPTY
    label = ", ".join(f"{count} {outcome}" for outcome, count in cell.counts)
    count = cell.counts[0][1]
    symbol = SYMBOLS.get(cell.outcome, "•") + (str(count) if cell.outcome != "pass" else "")
    link = f"#case={quote(slug)}&night={week}"
    title = f"week of {week}: {label}"
    return _cell(cell.outcome, link, title, label, symbol)


def _cell(outcome: str, link: str, title: str, label: str, symbol: str) -> str:
    """Write a cell: a link if there is something to link to."""
    title, label = escape(title), escape(label)
    if link:
        content = f'<a href="{escape(link)}" title="{title}" aria-label="{label}">{symbol}</a>'
    else:
        content = (
            f'<span class="cell" title="{title}" role="img" aria-label="{label}">{symbol}</span>'
        )
    return f'<td class="{tone_of(outcome)}">{content}</td>'
