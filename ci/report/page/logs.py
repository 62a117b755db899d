"""Find the first error of a run in its logs, with the lines around it. Reads only those."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

from ci.record.below import path_below
from ci.record.page import FirstError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from ci.record.model import Run

AROUND = 12
MOST_LINES = 2_000_000
LINE_CHARS = 400


def first_error(folder: Path, run: Run, hide: Callable[[str], str]) -> FirstError | None:
    """Find the first error, as the night found it, in its log.

    Args:
        folder: the run's folder.
        run: the record.
        hide: hides secrets in a text.

    Returns:
        None if the night found none.
    """
    found = run.explanation
    if found is None:
        return _of_cause(run, hide)
    error = FirstError(
        process=found.process,
        host=found.host,
        kind=found.kind,
        side=found.side,
        cause=found.cause,
        line=1,
        lines=tuple(_short(hide(line)) for line in found.line.splitlines()[: 2 * AROUND]),
    )
    name = f"logs/{found.host}/{found.process}.log"
    wanted = next(iter(found.line.splitlines()), "").strip()
    try:
        path = path_below(folder, name)
        if not wanted or not path.is_file():
            return error
        # Hidden line by line: the record has the line without its secrets.
        with path.open(encoding="utf-8", errors="replace") as file:
            around = _around((hide(line.rstrip("\r\n")) for line in file), wanted)
    except OSError:
        return error
    if around is None:
        return error
    first, line, lines = around
    return error.model_copy(
        update={"file": name, "first_line": first, "line": line, "lines": tuple(map(_short, lines))}
    )


def _of_cause(run: Run, hide: Callable[[str], str]) -> FirstError | None:
    cause = run.cause
    if cause is None or not cause.tail:
        return None
    hosts = {process.name: process.host for process in run.processes}
    return FirstError(
        process=cause.process or "",
        host=hosts.get(cause.process or "", ""),
        cause=cause.message,
        lines=tuple(_short(hide(line)) for line in cause.tail),
    )


def _around(lines: Iterable[str], wanted: str) -> tuple[int, int, list[str]] | None:
    """Return the number of the first line, of the wanted one, and the lines around it."""
    before: deque[str] = deque(maxlen=AROUND)
    numbered = enumerate(islice(lines, MOST_LINES), 1)
    for number, line in numbered:
        if wanted in line:
            after = [line for _, line in islice(numbered, AROUND)]
            return number - len(before), number, [*before, line, *after]
        before.append(line)
    return None


def _short(line: str) -> str:
    return line if len(line) <= LINE_CHARS else f"{line[:LINE_CHARS]} […]"
