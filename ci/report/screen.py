"""Define the common parts of the plain and the live view: safe stream, rows, last lines."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from ci.connect.printed import one_line
from ci.judge.metrics import title_of
from ci.record.text import check_row, duration, headline_of, kept_servers, next_step
from ci.report.since_good import changes, summary

if TYPE_CHECKING:
    from pathlib import Path

    from ci.record.model import Run


HEADINGS_OF_CASES = ("case", "outcome", "run folder")
HEADINGS = ("check", "value", "baseline", "tolerance", "outcome", "reason")


class SafeStream:
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


def expectation(seconds: float, nights: int) -> str:
    """Say how long a night will probably take."""
    before = "the last night did" if nights == 1 else f"the last {nights} nights did"
    return f"about {duration(seconds)}, as {before}"


def rows(run: Run) -> list[tuple[str, ...]]:
    """Return a row for each check of a run, in the order of `HEADINGS`.

    The bound is only in the report, because a row must fit a terminal, and so is a main metric.
    """
    complete = [check_row(vars(check)) for check in run.checks]
    return [
        (title_of(name, metric), value, baseline, tolerance, outcome, reason)
        for name, metric, value, baseline, tolerance, _, outcome, reason in complete
    ]


def ending(run: Run, report: Path) -> list[str]:
    """Write the last lines of a night: outcome, cause, what changed, next steps, report."""
    lines = [headline_of(run)]
    if run.cause:
        lines.append(f"cause  {one_line(run.cause.message)}")
    if run.since_good:
        lines.append(f"since  {one_line(summary(run.since_good))}")
        lines += [f"       {one_line(each)}" for each in changes(run.since_good)]
    steps = (kept_servers(run), next_step([vars(check) for check in run.checks]))
    return [*lines, *(f"next   {step}" for step in steps if step), f"report {report}"]
