"""Show a night on a terminal, with rich. Touches only the terminal."""

from __future__ import annotations

import time
from typing import IO, TYPE_CHECKING, cast

from rich.console import Console, Group, RenderableType
from rich.live import Live as Screen
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from ci.connect.printed import one_line
from ci.record.text import duration
from ci.report.screen import HEADINGS, HEADINGS_OF_CASES, SafeStream, ending, expectation, rows
from ci.report.table import rich_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ci.record.model import Run
    from ci.record.view import Logs

COLOURS = {"pass": "bold green", "fail": "bold red", "unknown": "bold yellow"}
# A higher rate takes time from the server, which is often on the same machine.
FRAMES_PER_S = 4
NUMBERS = {"value", "baseline", "tolerance"}
MAX_LOGS = 12


class Live:
    """Steps that have ended, with the running steps below them, which are redrawn.

    A step within a step is shown below it, indented.
    """

    def __init__(self, out: SafeStream) -> None:
        self._console = Console(file=cast("IO[str]", out), highlight=False)
        self._running: list[tuple[str, float, Spinner]] = []
        self._wait: tuple[str, float, dict[str, str]] | None = None
        self._ends_s: float | None = None
        self._screen = Screen(
            get_renderable=self._draw,
            console=self._console,
            refresh_per_second=FRAMES_PER_S,
            transient=True,
        )
        self._screen.start()

    def case(self, name: str, number: int, total: int) -> None:
        """See `View`."""
        self._print(Text(f"case {one_line(name)} ({number} of {total})", "bold"))

    def expected(self, seconds: float, nights: int) -> None:
        """See `View`."""
        self._ends_s = time.monotonic() + seconds
        self._print(Text(f"  {expectation(seconds, nights)}", "dim"))

    def step(self, name: str) -> None:
        """See `View`."""
        self._wait = None
        self._running = [*self._running, (name, time.monotonic(), Spinner("dots"))]

    def waiting(self, what: str, seconds: float, logs: Logs) -> None:
        """See `View`."""
        self._wait = (what, seconds, dict(logs()))

    def done(self, name: str, seconds: float, detail: str = "", *, ok: bool = True) -> None:
        """See `View`."""
        names = [running for running, _, _ in self._running]
        self._wait = None
        if name in names:
            last = len(names) - 1 - names[::-1].index(name)
            self._running = self._running[:last] + self._running[last + 1 :]
        mark = Text("✓ ", "green") if ok else Text("✗ ", "bold red")
        depth = Text("  " * len(self._running))
        words = Text.assemble(depth, mark, one_line(name), (f"  {duration(seconds)}", "dim"))
        self._print(words.append(f"  {one_line(detail)}" if detail else ""))

    def note(self, text: str) -> None:
        """See `View`."""
        self._print(Text(f"  {one_line(text)}", "dim"))

    def warn(self, text: str) -> None:
        """See `View`."""
        self._print(Text(f"! {one_line(text)}", "bold yellow"))

    def table(self, run: Run) -> None:
        """See `View`."""
        cells: list[tuple[str | Text, ...]] = [
            (*figures, Text(outcome, COLOURS[check.outcome]), reason)
            for (*figures, outcome, reason), check in zip(rows(run), run.checks, strict=True)
        ]
        if cells:
            self._print(rich_table(HEADINGS, cells, numbers=NUMBERS, framed=True))

    def outcome(self, run: Run, report: Path) -> None:
        """See `View`."""
        first, *others = ending(run, report)
        self._print(Text(first, COLOURS[run.outcome]))
        for line in others:
            # A path on two lines cannot be clicked or copied.
            self._console.print(Text(line), soft_wrap=True)

    def cases(self, rows: Sequence[tuple[str, str, str]]) -> None:
        """See `View`."""
        self._print(rich_table(HEADINGS_OF_CASES, rows, framed=True))

    def close(self) -> None:
        """See `View`."""
        self._screen.stop()

    def _print(self, what: RenderableType) -> None:
        self._console.print(what)

    def _draw(self) -> RenderableType:
        now_s = time.monotonic()
        lines: list[RenderableType] = []
        for depth, (name, since_s, spinner) in enumerate(self._running):
            words = Text.assemble(one_line(name), (f"  {duration(now_s - since_s)}", "dim"))
            lines.append(_indented(spinner, words, depth))
        if self._wait is not None:
            lines.extend(_waiting(*self._wait))
        if self._running and self._ends_s is not None:
            left_s = self._ends_s - now_s
            left = f"about {duration(left_s)} left" if left_s > 0 else "longer than usual"
            lines.append(_cut(f"  {left}", "dim"))
        return Group(*lines)


def _indented(spinner: Spinner, words: Text, depth: int) -> RenderableType:
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_row(*([""] * depth), spinner, words)
    return grid


def _waiting(what: str, seconds: float, logs: dict[str, str]) -> list[Text]:
    lines = [_cut(f"  waiting for {what}, {duration(seconds)}", "cyan")]
    lines += [
        _cut(f"  {process}: {one_line(line)}", "dim")
        for process, line in list(logs.items())[:MAX_LOGS]
    ]
    if len(logs) > MAX_LOGS:
        lines.append(_cut(f"  and {len(logs) - MAX_LOGS} more", "dim"))
    return lines


def _cut(text: str, style: str) -> Text:
    """Make a line that rich shortens to the terminal's width."""
    indent = text[: len(text) - len(text.lstrip())]
    return Text(indent + one_line(text), style, no_wrap=True, overflow="ellipsis")
