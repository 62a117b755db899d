"""Show a night on a terminal, with rich. Touches only the terminal."""

from __future__ import annotations

import time
from typing import IO, TYPE_CHECKING, cast

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.live import Live as Screen
from rich.padding import Padding
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from ci.connect.printed import one_line
from ci.record.text import duration, headline_of, void_without_baseline
from ci.record.view import AGAIN
from ci.report.screen import HEADINGS, HEADINGS_OF_CASES, SafeStream, ending, expectation, rows
from ci.report.table import rich_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from rich.console import ConsoleOptions, RenderResult

    from ci.record.model import Run
    from ci.record.view import Logs

COLOURS = {"pass": "bold green", "fail": "bold red", "unknown": "bold yellow"}
# A higher rate takes time from the server, which is often on the same machine.
FRAMES_PER_S = 4
NUMBERS = {"value", "baseline", "tolerance"}
MAX_LOGS, MAX_SO_FAR = 12, 6
# Lines of steps that have ended stay in sight above what is redrawn.
ENDED_ROWS = 2
# A table with the reasons beside the figures needs so many columns.
WIDE = 120
BETWEEN = " · "


class Live:
    """Steps that have ended, with the running steps below them, which are redrawn.

    A step within a step is shown below it, indented.
    """

    def __init__(self, out: SafeStream) -> None:
        self._console = Console(file=cast("IO[str]", out), highlight=False)
        self._running: list[tuple[str, float, Spinner]] = []
        self._wait: tuple[str, float, dict[str, str], Sequence[str]] | None = None
        self._so_far: dict[str, Sequence[str]] = {}
        self._ends_s: float | None = None
        self._screen = Screen(
            get_renderable=self.__rich__,
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

    def waiting(self, what: str, seconds: float, logs: Logs, so_far: Sequence[str] = ()) -> None:
        """See `View`."""
        self._wait = (what, seconds, dict(logs()), so_far)

    def so_far(self, about: str, parts: Sequence[str]) -> None:
        """See `View`."""
        others = {name: shown for name, shown in self._so_far.items() if name != about}
        # Another thread draws: it sees the old mapping or the new one.
        self._so_far = {**others, about: parts} if parts else others

    def done(self, name: str, seconds: float, detail: str = "", *, ok: bool = True) -> None:
        """See `View`."""
        names = [running for running, _, _ in self._running]
        self._wait = None
        if name in names:
            last = len(names) - 1 - names[::-1].index(name)
            self._running = self._running[:last] + self._running[last + 1 :]
        mark = Text("✓ ", "green") if ok else Text("✗ ", "bold red")
        first = Text("  " * len(self._running)).append_text(mark)
        words = Text.assemble(one_line(name), (f"  {duration(seconds)}", "dim"))
        self._print(_hanging(first, words.append(f"  {one_line(detail)}" if detail else "")))

    def note(self, text: str) -> None:
        """See `View`."""
        self._print(_indented(Text(one_line(text), "dim")))

    def warn(self, text: str) -> None:
        """See `View`."""
        self._print(_hanging(Text("! ", "bold yellow"), Text(one_line(text), "bold yellow")))

    def table(self, run: Run) -> None:
        """See `View`."""
        self._so_far = {}
        cells: list[tuple[str | Text, ...]] = [
            (*figures, Text(outcome, COLOURS[check.outcome]), reason)
            for (*figures, outcome, reason), check in zip(rows(run), run.checks, strict=True)
        ]
        if cells and self._console.width >= WIDE:
            self._print(rich_table(HEADINGS, cells, numbers=NUMBERS, framed=True))
        elif cells:
            shown = [row[:-1] for row in cells]
            self._print(rich_table(HEADINGS[:-1], shown, numbers=NUMBERS, framed=True))
            for name, *_, outcome, reason in rows(run):
                if reason:
                    words = Text.assemble((name, "bold"), f" {outcome}: {reason}")
                    self._print(_hanging(Text("  "), words))

    def outcome(self, run: Run, report: Path) -> None:
        """See `View`."""
        void = void_without_baseline([vars(check) for check in run.checks])
        colour = COLOURS["unknown" if void and run.outcome == "pass" else run.outcome]
        self._print(Text(headline_of(run), colour))
        for word, text, is_whole in ending(run, report):
            if is_whole:  # a path or a command on two lines cannot be clicked or copied
                self._console.print(Text(f"{word:<6} {text}"), soft_wrap=True)
            else:
                self._print(_hanging(Text(f"{word:<6} "), Text(text)))

    def cases(self, rows: Sequence[tuple[str, str, str]]) -> None:
        """See `View`."""
        self._print(rich_table(HEADINGS_OF_CASES, rows, framed=True))

    def close(self) -> None:
        """See `View`."""
        self._screen.stop()

    def _print(self, what: RenderableType) -> None:
        # Else what is over would stand below it until the next frame.
        self._screen.refresh()
        self._console.print(what)

    def __rich__(self) -> RenderableType:
        """Return what is redrawn: the running steps, and what is known so far."""
        now_s = time.monotonic()
        steps: list[RenderableType] = []
        for depth, (name, since_s, spinner) in enumerate(self._running):
            words = Text.assemble(one_line(name), (f"  {duration(now_s - since_s)}", "dim"))
            steps.append(_step(spinner, words, depth))
        so_far = _lines_so_far(self._so_far)
        left = [_cut(f"  {self._left(now_s)}", "dim")] if self._running and self._ends_s else []
        if self._wait is None:
            return Group(*steps, *so_far, *left)
        what, seconds, logs, parts = self._wait
        wait = _Parts(f"  waiting for {one_line(what)}, {duration(seconds)}", parts, "cyan")
        # Where a terminal has too few rows, log lines are the least important.
        rows = self._console.height - ENDED_ROWS - len(steps) - len(so_far) - len(left) - 1
        return Group(*steps, wait, *_last_lines(logs, max(rows, 0)), *so_far, *left)

    def _left(self, now_s: float) -> str:
        left_s = (self._ends_s or now_s) - now_s
        if left_s > 0:
            return f"about {duration(left_s)} left of the night"
        why = ", as a suspect is measured again" if AGAIN in self._so_far else ""
        return f"longer than usual{why}"


class _Parts:
    """A line of parts, of which the last ones are left out where the terminal is too narrow."""

    def __init__(self, first: str, parts: Sequence[str], style: str = "") -> None:
        """Clean all but the first part, which is clean and may begin with spaces."""
        self._parts, self._style = (first, *map(one_line, parts)), style

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> RenderResult:
        line, *others = self._parts
        for part in others:
            if cell_len(longer := f"{line}{BETWEEN}{part}") > options.max_width:
                break
            line = longer
        yield Text(line, self._style, no_wrap=True, overflow="ellipsis")


def _step(spinner: Spinner, words: Text, depth: int) -> Padding:
    words.no_wrap, words.overflow = True, "ellipsis"
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_row(spinner, words)
    return Padding(grid, (0, 0, 0, 2 * depth))


def _indented(words: Text) -> Padding:
    return Padding(words, (0, 0, 0, 2))


def _hanging(first: Text, words: Text) -> Table:
    """Put words behind a first one, and their further lines below themselves."""
    grid = Table.grid(padding=0)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(first, words)
    return grid


def _lines_so_far(so_far: Mapping[str, Sequence[str]]) -> list[RenderableType]:
    """Write the latest figures, their names in a column of their own."""
    shown = list(so_far.items())[-MAX_SO_FAR:]
    column = max((cell_len(one_line(about)) for about, _ in shown), default=0)
    lines: list[RenderableType] = []
    for about, (first, *others) in shown:
        name = one_line(about)
        space = " " * (column - cell_len(name) + 2)
        lines.append(_Parts(f"  {name}{space}{one_line(first)}", others))
    return lines


def _last_lines(logs: Mapping[str, str], rows: int) -> list[Text]:
    """Write the last line of each process, as far as there are rows for them."""
    fit = min(rows, MAX_LOGS)
    if len(logs) > fit:
        fit = max(fit - 1, 0)
    lines = [
        _cut(f"  {process}: {one_line(line)}", "dim") for process, line in list(logs.items())[:fit]
    ]
    if len(logs) > fit and rows:
        lines.append(_cut(f"  and {len(logs) - fit} more processes", "dim"))
    return lines


def _cut(text: str, style: str) -> Text:
    """Make a line that rich shortens to the terminal's width."""
    indent = text[: len(text) - len(text.lstrip())]
    return Text(indent + one_line(text), style, no_wrap=True, overflow="ellipsis")
