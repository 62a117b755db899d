"""Show a running suite: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
from contextlib import closing
from typing import IO, TYPE_CHECKING, Protocol, TextIO, cast

from ci.connect.printed import one_line, without_workflow_commands
from ci.record.secrets import hide_in_text
from ci.report.screen import SafeStream
from ci.suite_run.rows import HEADINGS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from rich.live import Live
    from rich.table import Table

# In plain lines, what running nights do is printed so often.
LINE_EVERY_S = 60.0
_WORST_FIRST = {"fail": "bold red", "unknown": "bold yellow", "pass": "green", "running": "cyan"}
# The last lines of a terminal are for the summary.
_OTHER_LINES = 4
# The widest columns of the table; the last one, what a night does, has what is left.
_MOST_COLUMNS = {"night": 24, "state": 15, "hosts": 22, "time left": 10}
# On a narrower terminal the hosts are not shown: the lines above name them.
_WIDE_COLUMNS = 100


class SuiteView(Protocol):
    """A view of a running suite. No method raises if the terminal is closed."""

    def line(self, word: str, text: str) -> None:
        """Show what happened."""

    def warn(self, text: str) -> None:
        """Show a warning; the suite continues."""

    def show(self, rows: Sequence[tuple[str, ...]], summary: str, now_s: float) -> None:
        """Show the state of all nights.

        Args:
            rows: a row for each night, in the order of `HEADINGS`.
            summary: of all nights, in a line.
            now_s: monotonic seconds.
        """

    def close(self) -> None:
        """Restore the terminal."""


class PlainSuite:
    """A line for each event; each minute one for each night that runs."""

    def __init__(self, out: SafeStream) -> None:
        self._out = out
        self._shown_s: float | None = None

    def line(self, word: str, text: str) -> None:
        """See `SuiteView`."""
        shown = without_workflow_commands(hide_in_text(one_line(text)))
        self._out.write(f"{word:<6} {shown}\n")
        self._out.flush()

    def warn(self, text: str) -> None:
        """See `SuiteView`."""
        self.line("WARN", text)

    def show(self, rows: Sequence[tuple[str, ...]], summary: str, now_s: float) -> None:
        """See `SuiteView`; prints each minute."""
        if self._shown_s is None:
            self._shown_s = now_s
        if now_s - self._shown_s < LINE_EVERY_S:
            return
        self._shown_s = now_s
        self.line("state", summary)
        for name, state, hosts, left, doing in rows:
            if state.startswith("running"):
                self.line("", f"{name} on {hosts}: {left} left; {doing}")

    def close(self) -> None:
        """See `SuiteView`."""
        self._out.flush()


class LiveSuite:
    """A table of all nights that is redrawn; what happened scrolls above it."""

    def __init__(self, out: SafeStream) -> None:
        from rich.console import Console  # noqa: PLC0415 - rich is not needed to list tasks
        from rich.live import Live as Screen  # noqa: PLC0415

        self._console = Console(file=cast("IO[str]", out), highlight=False)
        self._screen: Live = Screen(
            console=self._console, auto_refresh=False, transient=True, vertical_overflow="crop"
        )
        self._screen.start()

    def line(self, word: str, text: str) -> None:
        """See `SuiteView`."""
        from rich.text import Text  # noqa: PLC0415

        from ci.report.table import fold  # noqa: PLC0415

        style = _WORST_FIRST.get(word, "dim" if word == "note" else "")
        line = fold(f"{word:<6} {hide_in_text(one_line(text))}", self._console.size.width)
        self._console.print(Text(line, style))

    def warn(self, text: str) -> None:
        """See `SuiteView`."""
        from rich.text import Text  # noqa: PLC0415

        self._console.print(Text(f"! {one_line(text)}", "bold yellow"))

    def show(self, rows: Sequence[tuple[str, ...]], summary: str, now_s: float) -> None:
        """See `SuiteView`."""
        from rich.console import Group  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        del now_s
        room = max(self._console.size.height - _OTHER_LINES, 3)
        shown = _most_telling(rows, room)
        hidden = len(rows) - len(shown)
        more = f"; {hidden} more nights" if hidden else ""
        self._screen.update(
            Group(_table(shown, self._console.size.width), Text(f"{summary}{more}", "bold")),
            refresh=True,
        )

    def close(self) -> None:
        """See `SuiteView`."""
        self._screen.stop()


def _table(rows: Sequence[tuple[str, ...]], width: int) -> Table:
    """Return a table with one line for each night; what does not fit is cut."""
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    left_out = {"hosts"} if width < _WIDE_COLUMNS else set()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), expand=True, header_style="bold")
    for heading in HEADINGS:
        if heading not in left_out:
            most = _MOST_COLUMNS.get(heading)
            ratio = None if most else 1
            table.add_column(
                heading, no_wrap=True, overflow="ellipsis", max_width=most, ratio=ratio
            )
    for row in rows:
        cells = {
            heading: Text(hide_in_text(one_line(cell)))
            for heading, cell in zip(HEADINGS, row, strict=True)
            if heading not in left_out
        }
        cells["state"].stylize(_WORST_FIRST.get(row[1].split()[0], ""))
        table.add_row(*cells.values())
    return table


def _most_telling(rows: Sequence[tuple[str, ...]], room: int) -> list[tuple[str, ...]]:
    """Return the rows that fit a terminal: those that run, failed, wait, passed; in their order."""
    urgency = ("running", "fail", "unknown", "waiting", "not")

    def place(row: tuple[str, ...]) -> int:
        word = row[1].split()[0]
        return urgency.index(word) if word in urgency else len(urgency)

    chosen = sorted(range(len(rows)), key=lambda number: place(rows[number]))[:room]
    return [rows[number] for number in sorted(chosen)]


def open_suite_view(
    stream: TextIO, env: Mapping[str, str] = os.environ
) -> AbstractContextManager[SuiteView]:
    """Open the view for a stream: live on a terminal, plain lines in a pipe or in CI."""
    live = stream.isatty() and env.get("TERM") != "dumb" and not env.get("CI")
    out = SafeStream(stream)
    return closing(LiveSuite(out) if live else PlainSuite(out))
