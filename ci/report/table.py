"""Write the tables of all commands: in full width in a pipe, folded on a terminal."""

from __future__ import annotations

import re
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

# Columns between cells: if the table fits, and if its cells are folded.
GAP, NARROW_GAP = 2, 1
# Wider than any cell: in a pipe nothing is folded.
_UNBOUNDED = 1_000_000
# An indent, and a label or a mark of a list, before a text.
_BEFORE_TEXT = re.compile(r" *(?:[a-z]+ {2,}|[a-z]{6} |[→-] )?")
# On a narrower terminal no line is folded.
_NARROWEST = 15
# A command in backticks is one word.
_WORD = re.compile(r"\s*(?:`[^`]*`|\S)+")


def rich_table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str | Text]],
    *,
    width: int = 0,
    numbers: Collection[str] = (),
    framed: bool = False,
) -> Table:
    """Build a table for a rich console, which folds the cells if it is too narrow.

    Args:
        headings: one per column; of them and of plain cells, line breaks and control characters
            are removed.
        rows: cells.
        width: the console's width. If it is enough for every word, columns of single words, such
            as names, are not folded.
        numbers: headings of columns that are aligned to the right.
        framed: draw lines around the cells.
    """
    headings = [one_line(heading) for heading in headings]
    cells = [
        [each if isinstance(each, Text) else Text(one_line(each)) for each in row] for row in rows
    ]
    columns = [[heading, *(row[i].plain for row in cells)] for i, heading in enumerate(headings)]
    gap = GAP if _total_width(columns, GAP) <= width else NARROW_GAP
    words = [[word for cell in column for word in cell.split()] for column in columns]
    has_room = _total_width(words, gap) <= width
    table = Table(
        box=HEAVY_HEAD if framed else None,
        pad_edge=framed,
        padding=(0, 1) if framed else (0, gap, 0, 0),
        header_style="bold",
    )
    for heading, column in zip(headings, columns, strict=True):
        table.add_column(
            Text(heading),  # brackets in it are no style
            justify="right" if heading in numbers else "left",
            no_wrap=has_room and not any(" " in cell for cell in column[1:]),
            overflow="fold",
        )
    for row in cells:
        table.add_row(*row)
    return table


def _total_width(columns: Sequence[Sequence[str]], gap: int) -> int:
    """Return the width of a table whose columns have the width of their longest text."""
    return sum(max(map(cell_len, texts), default=0) + gap for texts in columns) - gap


def as_text(
    headings: Sequence[str], rows: Iterable[Sequence[str]], width: int | None = None
) -> str:
    """Write a table as plain text, without colours and without spaces at the end of a line.

    Args:
        headings: one per column.
        rows: cells; line breaks and control characters are removed.
        width: width of the terminal; None for full width.
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
    console.print(rich_table(headings, rows, width=console.width))
    return "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())


def fold(text: str, width: int | None) -> str:
    """Fold the lines of a text that are wider than a terminal, at words; a command stays whole.

    Args:
        text: lines, each perhaps with an indent and a label, such as `note   `, below whose text
            it goes on.
        width: of the terminal; None for full width.
    """
    if width is None or width < _NARROWEST:
        return text
    lines = text.split("\n")
    return "\n".join(_folded(line, width) if cell_len(line) > width else line for line in lines)


def _folded(line: str, width: int) -> str:
    begin = _BEFORE_TEXT.match(line)
    indent = " " * len(begin[0]) if begin and len(begin[0]) < width // 2 else ""
    parts = [""]
    for word in _WORD.findall(line):
        further = indent + word.lstrip()
        # A path that is longer than a line stays behind the word before it.
        if parts[-1].strip() and cell_len(parts[-1] + word) > width >= cell_len(further):
            parts.append(further)
        else:
            parts[-1] += word
    return "\n".join(parts)


def width_of(stream: TextIO) -> int | None:
    """Return the width of a terminal; None if the stream is not a terminal."""
    return Console(file=stream).width if stream.isatty() else None
