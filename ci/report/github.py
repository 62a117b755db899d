"""Show a night in the log of a GitHub workflow: a group to fold per step, an annotation at the end.

The commands are those of
https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands; the runner also
obeys `##[…]` anywhere in a line, so no text of others has that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from ci.connect.printed import one_line, without_workflow_commands
from ci.record.text import duration, headline_of
from ci.report.console import Plain
from ci.report.screen import SafeStream

if TYPE_CHECKING:
    from pathlib import Path

    from ci.record.model import Run


class Grouped(Plain):
    """Plain lines; those of a step, and of the steps within it, are folded when it has ended."""

    def __init__(self, out: TextIO) -> None:
        super().__init__(_Guarded(out))
        self._raw = SafeStream(out)
        self._depth = 0

    def step(self, name: str) -> None:
        """See `View`."""
        if not self._depth:
            self._command("group", name)
        self._depth += 1
        super().step(name)

    def done(self, name: str, seconds: float, detail: str = "", *, ok: bool = True) -> None:
        """See `View`; the end of a step stands outside its group, to be seen while it is folded."""
        self._depth = max(0, self._depth - 1)
        if not self._depth:
            self._command("endgroup")
        super().done(name, seconds, detail, ok=ok)

    def outcome(self, run: Run, report: Path) -> None:
        """See `View`."""
        super().outcome(run, report)
        if run.outcome in {"fail", "unknown"}:
            cause = f": {run.cause.message}" if run.cause else ""
            level = "error" if run.outcome == "fail" else "warning"
            title = _property(f"{run.case} ({duration(run.seconds)})")
            self._command(f"{level} title={title}", f"{headline_of(run)}{cause}")

    def close(self) -> None:
        """See `View`."""
        if self._depth:
            self._command("endgroup")
        super().close()

    def _command(self, command: str, text: str = "") -> None:
        self._raw.write(f"::{command}::{_data(text)}\n")
        self._raw.flush()


class _Guarded(SafeStream):
    """A stream in which no text is a command for the runner."""

    def write(self, text: str) -> int:
        """Write whole lines."""
        return super().write(without_workflow_commands(text))


def _data(text: str) -> str:
    """Escape the text of a command."""
    return one_line(text).replace("##[", "# #[").replace("%", "%25")


def _property(text: str) -> str:
    """Escape the value of a property of a command."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")
