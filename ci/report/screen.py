"""Define the common parts of the plain and the live view: safe stream, rows, last lines."""

from __future__ import annotations

import shlex
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TextIO

from ci.connect.printed import one_line
from ci.judge.metrics import title_of
from ci.record.text import check_row, duration
from ci.report.page.actions import actions_of
from ci.report.since_good import changes, summary

if TYPE_CHECKING:
    from collections.abc import Iterator

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


class LastLine(NamedTuple):
    """A line at the end of a night.

    Attributes:
        word: what it is; empty if it goes on with the line before.
        text: on one line.
        is_whole: whether it is a path or a command, which nothing may break.
    """

    word: str
    text: str
    is_whole: bool = False


def ending(run: Run, report: Path) -> list[LastLine]:
    """Write the lines below the outcome of a night: cause, what changed, next steps, report."""
    return [*_lines(run), LastLine("report", near(report), is_whole=True)]


def _lines(run: Run) -> Iterator[LastLine]:
    actions = actions_of(run)
    if run.cause:
        yield LastLine("cause", one_line(run.cause.message))
    if run.since_good:
        yield LastLine("since", one_line(summary(run.since_good)))
        changed = changes(run.since_good)
        if run.since_good.compare in {each.command for each in actions}:
            changed = changed[:-1]  # the same command
        yield from (LastLine("", one_line(each)) for each in changed)
    for action in actions:
        yield LastLine("next", one_line(action.text))
        for line in action.command.splitlines():
            if line != f"cd {shlex.quote(str(_here()))}":
                yield LastLine("", line, is_whole=True)


def report_in(folder: Path) -> Path:
    """Return the report of a run that a person opens; the one for terminals if it is missing."""
    page = folder / "report.html"
    return page if page.is_file() else folder / "report.md"


def near(path: Path) -> str:
    """Write a path from the current folder, if it is in it: the shortest one to paste."""
    here = _here()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _here() -> Path:
    """Return the current folder; a folder that nothing is in if it was deleted meanwhile."""
    try:
        return Path.cwd()
    except OSError:
        return Path("/dev/null")
