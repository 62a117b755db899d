"""Define the common parts of the plain and the live view: safe stream, rows, last lines."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from ci.record.text import check_row, headline, next_step, one_line, without_baseline

if TYPE_CHECKING:
    from pathlib import Path

    from ci.judge.verdict import Verdict


HEADINGS = ("check", "value", "baseline", "tolerance", "outcome", "reason")


class Steadfast:
    """A stream that ignores a closed pipe, because teardown must continue."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.encoding = stream.encoding or "utf-8"

    def write(self, text: str) -> int:
        """Write text; a character that the stream cannot encode becomes `?`."""
        # RuntimeError: a signal handler wrote a note during another write.
        with suppress(OSError, ValueError, RuntimeError):
            self._stream.write(text.encode(self.encoding, "replace").decode(self.encoding))
        return len(text)

    def flush(self) -> None:
        """Flush; ignore a closed pipe."""
        with suppress(OSError, ValueError, RuntimeError):
            self._stream.flush()

    def isatty(self) -> bool:
        """Return whether the stream is a terminal."""
        with suppress(ValueError):
            return self._stream.isatty()
        return False

    def fileno(self) -> int:
        """Return the descriptor, for the terminal's size."""
        return self._stream.fileno()


def rows(verdict: Verdict) -> list[tuple[str, ...]]:
    """Return a row for each check of a verdict, in the order of `HEADINGS`.

    The metric and the bound are only in the report, because a row must fit a terminal.
    """
    complete = [check_row(vars(check)) for check in verdict.checks]
    return [
        (name, value, baseline, tolerance, outcome, reason)
        for name, _, value, baseline, tolerance, _, outcome, reason in complete
    ]


def ending(verdict: Verdict, report: Path, cause: str) -> list[str]:
    """Write the last lines of a night: outcome, cause, next step, report."""
    checks = [vars(check) for check in verdict.checks]
    outcomes = [check.outcome for check in verdict.checks]
    lines = [headline(verdict.outcome, outcomes, new=len(without_baseline(checks)))]
    if cause:
        lines.append(f"cause  {one_line(cause)}")
    if step := next_step(checks):
        lines.append(f"next   {step}")
    return [*lines, f"report {report}"]
