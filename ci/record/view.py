"""Define the interface through which a night shows its progress."""

from __future__ import annotations

from dataclasses import replace
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


class HiddenView:
    """A view that is given every text without secrets."""

    def __init__(self, view: View, hide: Callable[[str], str]) -> None:
        self._view = view
        self._hide = hide

    def step(self, name: str) -> None:
        """Pass on."""
        self._view.step(name)

    def waiting(self, what: str, seconds: float, logs: Logs) -> None:
        """Pass on, with the log lines hidden."""
        self._view.waiting(
            self._hide(what),
            seconds,
            lambda: {process: self._hide(line) for process, line in logs().items()},
        )

    def done(self, name: str, seconds: float, detail: str = "", *, ok: bool = True) -> None:
        """Pass on, with the detail hidden."""
        self._view.done(name, seconds, self._hide(detail), ok=ok)

    def note(self, text: str) -> None:
        """Pass on, hidden."""
        self._view.note(self._hide(text))

    def warn(self, text: str) -> None:
        """Pass on, hidden."""
        self._view.warn(self._hide(text))

    def table(self, verdict: Verdict) -> None:
        """Pass on, with the reasons hidden."""
        checks = tuple(replace(check, reason=self._hide(check.reason)) for check in verdict.checks)
        self._view.table(replace(verdict, checks=checks))

    def outcome(self, verdict: Verdict, report: Path, cause: str = "") -> None:
        """Pass on, with the cause hidden."""
        self._view.outcome(verdict, report, self._hide(cause))

    def close(self) -> None:
        """Pass on."""
        self._view.close()
