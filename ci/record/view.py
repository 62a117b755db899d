"""Define the interface through which a night shows its progress."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from ci.record.model import Run

    # Returns process → last log line. It contacts hosts, so views call it only to show the lines.
    Logs = Callable[[], Mapping[str, str]]

# What `View.so_far` is about, besides benchmarks: what is measured again, and why.
AGAIN, WHY = "again", "why"


class View(Protocol):
    """A view of a running night. No method raises if the terminal is closed."""

    def case(self, name: str, number: int, total: int) -> None:
        """Show that the night of a case starts, one of several."""

    def expected(self, seconds: float, nights: int) -> None:
        """Show how long the night will probably take, as so many nights before it did."""

    def step(self, name: str) -> None:
        """Show that a step starts."""

    def waiting(self, what: str, seconds: float, logs: Logs, so_far: Sequence[str] = ()) -> None:
        """Show what the night waits for, the time so far, and the last log line of each process.

        Args:
            what: a name or a condition.
            seconds: the time so far.
            logs: see `Logs`.
            so_far: what is known of its progress, the most important first.
        """

    def so_far(self, about: str, parts: Sequence[str]) -> None:
        """Show what is known so far of something, in place of what was shown of it before.

        Args:
            about: a word for it, e.g. the name of a benchmark.
            parts: what is known, the most important first: a narrow terminal leaves out the last
                ones. Nothing any more if there are none.
        """

    def done(self, name: str, seconds: float, detail: str = "", *, ok: bool = True) -> None:
        """Show that a step has ended."""

    def note(self, text: str) -> None:
        """Show a note."""

    def warn(self, text: str) -> None:
        """Show a warning; the night continues."""

    def table(self, run: Run) -> None:
        """Show the checks."""

    def outcome(self, run: Run, report: Path) -> None:
        """Show the outcome of the night, and the path of the report."""

    def cases(self, rows: Sequence[tuple[str, str, str]]) -> None:
        """Show each case of several with its outcome and the folder of its run."""

    def close(self) -> None:
        """Restore the terminal."""


class HiddenView:
    """A view that is given every text without secrets."""

    def __init__(self, view: View, hide: Callable[[str], str]) -> None:
        self._view = view
        self._hide = hide

    def case(self, name: str, number: int, total: int) -> None:
        """Pass on, hidden."""
        self._view.case(self._hide(name), number, total)

    def expected(self, seconds: float, nights: int) -> None:
        """Pass on."""
        self._view.expected(seconds, nights)

    def step(self, name: str) -> None:
        """Pass on."""
        self._view.step(name)

    def waiting(self, what: str, seconds: float, logs: Logs, so_far: Sequence[str] = ()) -> None:
        """Pass on, with the log lines hidden."""
        self._view.waiting(
            self._hide(what),
            seconds,
            lambda: {process: self._hide(line) for process, line in logs().items()},
            so_far,
        )

    def so_far(self, about: str, parts: Sequence[str]) -> None:
        """Pass on, hidden."""
        self._view.so_far(self._hide(about), [self._hide(part) for part in parts])

    def done(self, name: str, seconds: float, detail: str = "", *, ok: bool = True) -> None:
        """Pass on, with the detail hidden."""
        self._view.done(name, seconds, self._hide(detail), ok=ok)

    def note(self, text: str) -> None:
        """Pass on, hidden."""
        self._view.note(self._hide(text))

    def warn(self, text: str) -> None:
        """Pass on, hidden."""
        self._view.warn(self._hide(text))

    def table(self, run: Run) -> None:
        """Pass on; a record has no secrets."""
        self._view.table(run)

    def outcome(self, run: Run, report: Path) -> None:
        """Pass on; a record has no secrets."""
        self._view.outcome(run, report)

    def cases(self, rows: Sequence[tuple[str, str, str]]) -> None:
        """Pass on."""
        self._view.cases(rows)

    def close(self) -> None:
        """Pass on."""
        self._view.close()
