"""Format the runs on hosts as a table and as JSON-ready values. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ci.connect.printed import one_line
from ci.record.secrets import hide_in_text
from ci.remote.names import LEASE
from ci.report import table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.commands.overview import Overview, RunProcess

HEADINGS = ("host", "run", "owner", "process", "state", "since", "pid")
MAX_COMMAND_CHARS = 100


def as_text(overview: Overview, width: int | None = None) -> str:
    """Format the holder and the processes of each host, and the foreign processes.

    Args:
        overview: the runs on the hosts.
        width: width of the terminal in columns; None for no limit.
    """
    notes = "".join(f"{line}\n" for line in _notes(overview))
    return table.as_text(HEADINGS, _rows(overview), width) + notes


def as_values(overview: Overview) -> dict[str, Any]:
    """Return the overview as JSON-ready values."""
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
    for process in overview.foreign:
        yield one_line(
            f"{process.host}: foreign process: {process.what} is used by pid {process.pid} of "
            f"{process.user}: {hide_in_text(process.command)[:MAX_COMMAND_CHARS]}"
        )
    if any(row.alive for row in overview.rows):
        yield "End a run with `inv down --run RUN`; its log: `inv logs --run RUN --follow`."


def _holder(overview: Overview, host: str) -> tuple[str, str, str, str]:
    holder = overview.holders.get(host)
    if holder is None:
        return "", "", "", "free"
    return str(holder.get("run")), str(holder.get("owner")), "", "held"


def _cells(row: RunProcess) -> tuple[str, ...]:
    state = row.state if row.alive or row.state != "lost" else "lost, no longer running"
    pid = str(row.pid or "") if row.alive else ""
    return row.host, row.run, row.owner, row.process, state, row.started_at[:19], pid
