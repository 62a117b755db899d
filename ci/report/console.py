"""Show a night as plain lines, for pipes and CI."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.connect.printed import one_line
from ci.record.text import duration, headline_of
from ci.record.view import AGAIN, WHY
from ci.report.screen import HEADINGS, HEADINGS_OF_CASES, SafeStream, ending, expectation, rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ci.record.model import Run
    from ci.record.view import Logs

WAITING_LINE_EVERY_S = 30


class Plain:
    """A line when a step starts, when it ends, and for each half minute of waiting."""

    def __init__(self, out: SafeStream) -> None:
        self._out = out
        self._printed_s: dict[str, float] = {}

    def case(self, name: str, number: int, total: int) -> None:
        """See `View`."""
        self._line("case", f"{name} ({number} of {total})")

    def expected(self, seconds: float, nights: int) -> None:
        """See `View`."""
        self._line("expect", expectation(seconds, nights))

    def step(self, name: str) -> None:
        """See `View`."""
        self._printed_s.clear()
        self._line("start", name)

    def waiting(self, what: str, seconds: float, logs: Logs, so_far: Sequence[str] = ()) -> None:
        """See `View`; prints each half minute."""
        printed_s = self._printed_s.get(what, 0.0)
        # A smaller number than the last one: a new wait for the same thing.
        if seconds < printed_s:
            printed_s = self._printed_s[what] = 0.0
        if seconds - printed_s < WAITING_LINE_EVERY_S:
            return
        self._printed_s[what] = seconds
        self._line("wait", ", ".join((f"{what}: {duration(seconds)}", *so_far)))
        for process, line in logs().items():
            self._line("", f"{process}: {one_line(line)}")

    def so_far(self, about: str, parts: Sequence[str]) -> None:
        """See `View`."""
        if parts and about in {AGAIN, WHY}:
            self._line(about, ", ".join(parts))
        elif parts:
            self._line("so far", f"{about}: {', '.join(parts)}")

    def done(self, name: str, seconds: float, detail: str = "", *, ok: bool = True) -> None:
        """See `View`."""
        words = f"{name} ({duration(seconds)})" + (f": {detail}" if detail else "")
        self._line("done" if ok else "FAILED", words)

    def note(self, text: str) -> None:
        """See `View`."""
        self._line("note", text)

    def warn(self, text: str) -> None:
        """See `View`."""
        self._line("WARN", text)

    def table(self, run: Run) -> None:
        """See `View`."""
        self._table(HEADINGS, rows(run))

    def outcome(self, run: Run, report: Path) -> None:
        """See `View`."""
        self._out.write(headline_of(run) + "\n")
        for word, text, _ in ending(run, report):
            self._line(word, text)

    def cases(self, rows: Sequence[tuple[str, str, str]]) -> None:
        """See `View`."""
        self._table(HEADINGS_OF_CASES, rows)

    def close(self) -> None:
        """See `View`."""
        self._out.flush()

    def _table(self, headings: Sequence[str], rows: Sequence[tuple[str, ...]]) -> None:
        from ci.report.table import as_text  # noqa: PLC0415 - rich takes long to import

        self._out.write(as_text(headings, rows))

    def _line(self, word: str, text: str) -> None:
        self._out.write(f"{word:<6} {one_line(text)}\n")
        self._out.flush()
