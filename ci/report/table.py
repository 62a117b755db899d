"""A table, for every command: plain and in full width in a pipe, folded to a terminal's width."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING, TextIO

from rich.box import HEAVY_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ci.connect.printed import one_line

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

# Between columns: where a table fits, and where its cells are folded.
GAP, NARROW_GAP = 2, 1
# Wider than any cell: in a pipe nothing is folded.
_UNBOUNDED = 1_000_000


def drawn(
    headings: Sequence[str],
    rows: Iterable[Sequence[str | Text]],
    *,
    width: int = 0,
    numbers: Collection[str] = (),
    framed: bool = False,
) -> Table:
    """Lay a table out for a rich console, which folds cells where it is narrower than they are.

    Args:
        headings: one per column.
        rows: cells; of plain text, line breaks and what a terminal obeys are taken out.
        width: the console's. Where it is wide enough for every word, columns of single words, such
            as names, are not folded.
        numbers: headings of columns that are aligned to the right.
        framed: draw lines around the cells.
    """
    cells = [[one if isinstance(one, Text) else Text(one_line(one)) for one in row] for row in rows]
    columns = [[heading, *(row[at].plain for row in cells)] for at, heading in enumerate(headings)]
    gap = GAP if _needed(columns, GAP) <= width else NARROW_GAP
    words = [[word for cell in column for word in cell.split()] for column in columns]
    has_room = _needed(words, gap) <= width
    table = Table(
        box=HEAVY_HEAD if framed else None,
        pad_edge=framed,
        padding=(0, 1) if framed else (0, gap, 0, 0),
        header_style="bold",
    )
    for heading, column in zip(headings, columns, strict=True):
        table.add_column(
            heading,
            justify="right" if heading in numbers else "left",
            no_wrap=has_room and not any(" " in cell for cell in column[1:]),
            overflow="fold",
        )
    for row in cells:
        table.add_row(*row)
    return table


def _needed(columns: Sequence[Sequence[str]], gap: int) -> int:
    """How wide a table is whose columns are as wide as the widest of these texts."""
    return sum(max(map(cell_len, texts), default=0) + gap for texts in columns) - gap


def as_text(
    headings: Sequence[str], rows: Iterable[Sequence[str]], width: int | None = None
) -> str:
    """Write a table as plain text, without colours and without spaces at the end of a line.

    Args:
        headings: one per column.
        rows: cells; line breaks and what a terminal obeys are taken out.
        width: columns of the terminal that it has to fit; None for full width.
    """
    out = StringIO()
    console = Console(
        file=out,
        width=width or _UNBOUNDED,
        color_system=None,
        force_terminal=False,
        force_jupyter=False,
        _environ={},
    )
    console.print(drawn(headings, rows, width=console.width))
    return "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())


def width_of(stream: TextIO) -> int | None:
    """Give a terminal's columns; None where a stream is none."""
    return Console(file=stream).width if stream.isatty() else None
