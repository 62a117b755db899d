"""Show a night as plain lines, for pipes and CI."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.record.text import duration, one_line
from ci.report.screen import HEADINGS, Steadfast, ending, rows

if TYPE_CHECKING:
    from pathlib import Path

    from ci.judge.verdict import Verdict
    from ci.record.view import Logs

WAITING_LINE_EVERY_S = 30


class Plain:
    """A line when a step starts, when it ends, and for each half minute of waiting."""

    def __init__(self, out: Steadfast) -> None:
        self._out = out
        self._printed_s: dict[str, float] = {}

    def step(self, name: str) -> None:
        """See `View`."""
        self._printed_s.clear()
        self._line("start", name)

    def waiting(self, what: str, seconds: float, logs: Logs) -> None:
        """See `View`; prints each half minute."""
        printed_s = self._printed_s.get(what, 0.0)
        # A smaller number than the last one: a new wait for the same thing.
        if seconds < printed_s:
            printed_s = self._printed_s[what] = 0.0
        if seconds - printed_s < WAITING_LINE_EVERY_S:
            return
        self._printed_s[what] = seconds
        self._line("wait", f"{what}: {duration(seconds)}")
        for process, line in logs().items():
            self._line("", f"{process}: {one_line(line)}")

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

    def table(self, verdict: Verdict) -> None:
        """See `View`."""
        from ci.report.table import as_text  # noqa: PLC0415 - rich takes long to import

        self._out.write(as_text(HEADINGS, rows(verdict)))

    def outcome(self, verdict: Verdict, report: Path, cause: str = "") -> None:
        """See `View`."""
        for line in ending(verdict, report, cause):
            self._out.write(line + "\n")

    def close(self) -> None:
        """See `View`."""
        self._out.flush()

    def _line(self, word: str, text: str) -> None:
        self._out.write(f"{word:<6} {one_line(text)}\n")
        self._out.flush()
