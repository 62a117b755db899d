"""What is on the hosts, as a table for a person and as values for a program. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ci.commands.overview import LEASE
from ci.record.text import one_line
from ci.report import table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.commands.overview import Overview, RunProcess

HEADINGS = ("host", "run", "owner", "process", "state", "since", "pid")
MOST_COMMAND = 100


def as_text(overview: Overview, width: int | None = None) -> str:
    """Lay out who holds which host, what runs there, and what is not ours.

    Args:
        overview: what is on the hosts.
        width: columns of the terminal that the table has to fit; None for full width.
    """
    notes = "".join(f"{line}\n" for line in _notes(overview))
    return table.as_text(HEADINGS, _rows(overview), width) + notes


def as_values(overview: Overview) -> dict[str, Any]:
    """The same as JSON-ready values."""
    return asdict(overview)


def _rows(overview: Overview) -> Iterator[tuple[str, ...]]:
    for host in overview.hosts:
        shown = [row for row in overview.rows if row.host == host and row.process != LEASE]
        if host in overview.silent:
            yield (host, "", "", "", f"cannot be asked: {overview.silent[host]}", "", "")
        elif not shown:
            yield (host, *_holder(overview, host), "", "")
        yield from map(_cells, shown)


def _notes(overview: Overview) -> Iterator[str]:
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


def _cells(row: RunProcess) -> tuple[str, ...]:
    state = row.state if row.alive or row.state != "lost" else "lost, nothing of it is left"
    pid = str(row.pid or "") if row.alive else ""
    return row.host, row.run, row.owner, row.process, state, row.started_at[:19], pid
