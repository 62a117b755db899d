"""What the plain and the live view share: a stream that survives its reader, rows, the ending."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from ci.connect.printed import one_line
from ci.record.text import check_row, headline, next_step, without_baseline

if TYPE_CHECKING:
    from pathlib import Path

    from ci.judge.verdict import Verdict


HEADINGS = ("check", "value", "baseline", "tolerance", "outcome", "reason")


class Steadfast:
    """A stream that goes quiet when its reader is gone: teardown must not die of a closed pipe."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.encoding = stream.encoding or "utf-8"

    def write(self, text: str) -> int:
        """Write what the stream can hold; a character that it cannot encode becomes `?`."""
        # RuntimeError: a signal's note came in the middle of another write.
        with suppress(OSError, ValueError, RuntimeError):
            self._stream.write(text.encode(self.encoding, "replace").decode(self.encoding))
        return len(text)

    def flush(self) -> None:
        """Flush, if there is still somebody to read."""
        with suppress(OSError, ValueError, RuntimeError):
            self._stream.flush()

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        with suppress(ValueError):
            return self._stream.isatty()
        return False

    def fileno(self) -> int:
        """Give the descriptor, for the terminal's size."""
        return self._stream.fileno()


def rows(verdict: Verdict) -> list[tuple[str, ...]]:
    """Lay a verdict's checks out, one row each, in the order of `HEADINGS`.

    The metric and the bound are left to the report: the unit tells the one, and a row has to fit
    a terminal.
    """
    laid_out = [check_row(vars(check)) for check in verdict.checks]
    return [
        (name, value, baseline, tolerance, outcome, reason)
        for name, _, value, baseline, tolerance, _, outcome, reason in laid_out
    ]


def ending(verdict: Verdict, report: Path, cause: str) -> list[str]:
    """Say how the night ended in words: outcome, cause, what to do next, report."""
    checks = [vars(check) for check in verdict.checks]
    outcomes = [check.outcome for check in verdict.checks]
    lines = [headline(verdict.outcome, outcomes, new=len(without_baseline(checks)))]
    if cause:
        lines.append(f"cause  {one_line(cause)}")
    if step := next_step(checks):
        lines.append(f"next   {step}")
    return [*lines, f"report {report}"]
