"""Define the interface through which a night shows its progress."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ci.judge.verdict import Verdict

    # Returns process → last log line. It contacts hosts, so views call it only to show the lines.
    Logs = Callable[[], Mapping[str, str]]


class View(Protocol):
    """A view of a running night. No method raises if the terminal is closed."""

    def step(self, name: str) -> None:
        """Show that a step starts."""

    def waiting(self, what: str, seconds: float, logs: Logs) -> None:
        """Show what the night waits for, the time so far, and the last log line of each process.

        Args:
            what: a name or a condition.
            seconds: the time so far.
            logs: see `Logs`.
        """

    def done(self, name: str, seconds: float, detail: str = "", *, ok: bool = True) -> None:
        """Show that a step has ended."""

    def note(self, text: str) -> None:
        """Show a note."""

    def warn(self, text: str) -> None:
        """Show a warning; the night continues."""

    def table(self, verdict: Verdict) -> None:
        """Show the checks."""

    def outcome(self, verdict: Verdict, report: Path, cause: str = "") -> None:
        """Show the outcome of the night, and the path of the report."""

    def close(self) -> None:
        """Restore the terminal."""
