"""Find the first error of a run in its logs, with the lines around it. Reads only those."""

from __future__ import annotations

import re
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

from ci.explain.lines import read_line
from ci.explain.quote import shown
from ci.record.below import path_below
from ci.record.page import FirstError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import TextIO

    from ci.record.model import Run

AROUND = 12
MOST_LINES = 2_000_000
# A longer line is read in parts: it may never end.
PART_CHARS = 64 << 10
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
        cause=_without_place(found.cause, found.process, found.host),
        line=1,
        lines=tuple(_short(hide(line)) for line in found.line.splitlines()[: 2 * AROUND]),
    )
    name = f"logs/{found.host}/{found.process}.log"
    wanted = next(iter(found.line.splitlines()), "").strip()
    try:
        path = path_below(folder, name)
        if not wanted or not path.is_file():
            return error
        with path.open(encoding="utf-8", errors="replace") as file:
            around = _around(_parts(file), _finder(wanted, hide))
    except OSError:
        return error
    if around is None:
        return error
    first, line, lines = around
    return error.model_copy(
        update={
            "file": name,
            "first_line": first,
            "line": line,
            "lines": tuple(_short(hide(each)) for each in lines),
        }
    )


def _of_cause(run: Run, hide: Callable[[str], str]) -> FirstError | None:
    cause = run.cause
    if cause is None or not cause.tail:
        return None
    process = cause.process or ""
    named = re.match(rf"{re.escape(process)} on (\S+): ", cause.message) if process else None
    host = {each.name: each.host for each in run.processes}.get(process, "")
    host = host or (named[1] if named else "")
    return FirstError(
        process=process,
        host=host,
        cause=_without_place(cause.message, process, host),
        lines=tuple(_short(hide(line)) for line in cause.tail),
    )


def _without_place(cause: str, process: str, host: str) -> str:
    """Return a cause without the process and the host, which are shown before it."""
    return cause.removeprefix(f"{process} on {host}: ")


def _finder(wanted: str, hide: Callable[[str], str]) -> Callable[[str], bool]:
    """Return what tells whether a line is the one that the record has.

    The record has it without its prefixes, its colours and its secrets. Only lines with the longest
    word of it are looked at so closely.
    """
    words = re.findall(r"\w+", wanted.replace("***", " "))
    needle = max(words, key=len, default="")

    def is_wanted(line: str) -> bool:
        if needle not in line and "\x1b" not in line:
            return False
        return wanted in hide(line) or wanted == hide(shown(read_line(line).text.strip()))

    return is_wanted


def _parts(file: TextIO) -> Iterator[tuple[int, str]]:
    """Yield the lines of a log with their numbers; of a very long one its parts."""
    number = 1
    while part := file.readline(PART_CHARS):
        yield number, part.rstrip("\r\n")
        number += part.endswith("\n")


def _around(
    parts: Iterator[tuple[int, str]], is_wanted: Callable[[str], bool]
) -> tuple[int, int, list[str]] | None:
    """Return the number of the first line, of the wanted one, and the lines around it."""
    before: deque[tuple[int, str]] = deque(maxlen=AROUND)
    numbered = islice(parts, MOST_LINES)
    for number, line in numbered:
        if is_wanted(line):
            after = [part for _, part in islice(numbered, AROUND)]
            first = before[0][0] if before else number
            return first, number, [*(part for _, part in before), line, *after]
        before.append((number, line))
    return None


def _short(line: str) -> str:
    return line if len(line) <= LINE_CHARS else f"{line[:LINE_CHARS]} […]"
