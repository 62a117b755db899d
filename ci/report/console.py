"""The plain view of a night, for pipes and CI: lines that stand by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.connect.printed import one_line
from ci.record.text import duration
from ci.report.screen import HEADINGS, Steadfast, ending, rows

if TYPE_CHECKING:
    from pathlib import Path

    from ci.judge.verdict import Verdict
    from ci.record.view import Logs

WAITING_LINE_EVERY_S = 30


class Plain:
    """One line when a step starts, one when it ends, and one each half minute of waiting."""

    def __init__(self, out: Steadfast) -> None:
        self._out = out
        self._told_s: dict[str, float] = {}

    def step(self, name: str) -> None:
        """See `View`."""
        self._told_s.clear()
        self._line("start", name)

    def waiting(self, what: str, seconds: float, logs: Logs) -> None:
        """See `View`; says it each half minute."""
        told_s = self._told_s.get(what, 0.0)
        # Less than was told before: a new wait for the same thing.
        if seconds < told_s:
            told_s = self._told_s[what] = 0.0
        if seconds - told_s < WAITING_LINE_EVERY_S:
            return
        self._told_s[what] = seconds
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
