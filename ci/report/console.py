"""The live view of a night: `open_view` picks the terminal's or the plain one.

Cheap to import: rich is loaded only once a terminal is there to draw on.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol, TextIO

from ci.report.text import check_row, duration, headline, next_step, one_line, without_baseline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from ci.judge import Verdict

    Logs = Callable[[], Mapping[str, str]]

HEADINGS = ("check", "value", "baseline", "tolerance", "outcome", "reason")
WAITING_LINE_EVERY_S = 30


class View(Protocol):
    """What a night tells while it runs. None of it raises when the terminal goes away."""

    def step(self, name: str) -> None:
        """Say that a step starts."""

    def waiting(self, what: str, seconds: float, logs: Logs) -> None:
        """Say what is waited for, for how long, and each process's last log line.

        Args:
            what: is waited for.
            seconds: that it has been so far.
            logs: gives process → line; asked only where it is shown, since hosts are asked for it.
        """

    def done(self, name: str, seconds: float, detail: str = "", *, ok: bool = True) -> None:
        """Say that a step has ended."""

    def note(self, text: str) -> None:
        """Say something worth knowing."""

    def warn(self, text: str) -> None:
        """Say that something went wrong that the night survives."""

    def table(self, verdict: Verdict) -> None:
        """Show the checks."""

    def outcome(self, verdict: Verdict, report: Path, cause: str = "") -> None:
        """Say how the night ended, and where the report is."""

    def close(self) -> None:
        """Give the terminal back."""


def open_view(stream: TextIO, env: Mapping[str, str] = os.environ) -> AbstractContextManager[View]:
    """Open the view that suits a stream: live on a terminal, plain lines in a pipe or in CI."""
    from contextlib import closing  # noqa: PLC0415

    live = stream.isatty() and env.get("TERM") != "dumb" and not env.get("CI")
    out = Steadfast(stream)
    if not live:
        return closing(Plain(out))
    from ci.report.live import Live  # noqa: PLC0415 - rich is not needed to list tasks

    return closing(Live(out))


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
        for line in columns([HEADINGS, *rows(verdict)]):
            self._out.write(line + "\n")

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


def columns(table: list[tuple[str, ...]]) -> Iterator[str]:
    """Align a table's columns with spaces."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(padded).rstrip()
