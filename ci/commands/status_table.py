"""What is on the hosts, as a table for a person and as values for a program. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ci.commands.overview import LEASE
from ci.record.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.commands.overview import Overview, Row

HEADINGS = ("host", "run", "owner", "process", "state", "since", "pid")
MOST_COMMAND = 100


def as_text(overview: Overview) -> str:
    """Lay out who holds which host, what runs there, and what is not ours."""
    return "\n".join(_lines(overview)) + "\n"


def as_values(overview: Overview) -> dict[str, Any]:
    """The same as JSON-ready values."""
    return asdict(overview)


def _lines(overview: Overview) -> Iterator[str]:
    table: list[tuple[str, ...]] = [HEADINGS]
    for host in overview.hosts:
        shown = [row for row in overview.rows if row.host == host and row.process != LEASE]
        if host in overview.silent:
            table.append((host, "", "", "", f"cannot be asked: {overview.silent[host]}", "", ""))
        elif not shown:
            table.append((host, *_holder(overview, host), "", ""))
        table += [_cells(row) for row in shown]
    # What hosts say stays in its cell: no line breaks, nothing that a terminal obeys.
    table = [tuple(map(one_line, row)) for row in table]
    widths = [max(len(row[column]) for row in table) for column in range(len(HEADINGS) - 1)]
    for row in table:
        padded = (cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True))
        yield "  ".join(padded).rstrip()
    for one in overview.strangers:
        yield one_line(
            f"{one.host}: not of any run here: {one.what} is used by pid {one.pid} of {one.user}: "
            f"{one.command[:MOST_COMMAND]}"
        )
    if any(row.alive for row in overview.rows):
        yield "End a run with `inv down --run RUN`; its log: `inv logs --run RUN --follow`."


def _holder(overview: Overview, host: str) -> tuple[str, str, str, str]:
    holder = overview.holders.get(host)
    if holder is None:
        return "", "", "", "free"
    return str(holder.get("run")), str(holder.get("owner")), "", "held"


def _cells(row: Row) -> tuple[str, ...]:
    state = row.state if row.alive or row.state != "lost" else "lost, nothing of it is left"
    pid = str(row.pid or "") if row.alive else ""
    return row.host, row.run, row.owner, row.process, state, row.started_at[:19], pid
