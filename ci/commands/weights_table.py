"""Show the results of a copy as a table, and choose the exit code. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.commands.weights_copy import MB
from ci.errors import ExitCode
from ci.report import table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci.commands.weights_copy import Synced

HEADINGS = ("host", "copied", "skipped", "sent", "seconds", "outcome")


def exit_code(outcomes: Mapping[str, Synced]) -> ExitCode:
    """Return the exit code: 0 if all files are on all hosts, else 3."""
    failed = any(outcome.failed for outcome in outcomes.values())
    return ExitCode.UNKNOWN if failed else ExitCode.PASS


def as_text(outcomes: Mapping[str, Synced], width: int | None = None) -> str:
    """Format a table of the hosts, and below it the errors.

    Args:
        outcomes: host → result.
        width: width of the terminal in columns; None for no limit.
    """
    rows = [
        (
            host,
            str(len(outcome.copied)),
            str(len(outcome.skipped)),
            f"{outcome.sent / MB:.1f} MB",
            f"{outcome.seconds:.1f}",
            "failed" if outcome.failed else "verified",
        )
        for host, outcome in outcomes.items()
    ]
    failures = [f"✗ {outcome.failed}\n" for outcome in outcomes.values() if outcome.failed]
    return table.as_text(HEADINGS, rows, width) + "".join(failures)
