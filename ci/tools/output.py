"""Read the files that an evaluation tool wrote; what cannot be read becomes a problem. Pure."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from ci.documents.json_text import bound_values, read_json
from ci.errors import InfrastructureError
from ci.tools.model import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ci.tools.model import Job


@dataclass(frozen=True)
class Output:
    """A tool's output: exit code, path relative to `work` → content of files, log."""

    exit_code: int | None
    files: Mapping[str, str]
    log: str = ""

    def find(self, pattern: str) -> str | None:
        """Return the text of the last file that matches; None if there is none."""
        names = sorted(name for name in self.files if fnmatchcase(name, pattern))
        return self.files[names[-1]] if names else None

    def text(self, pattern: str) -> str:
        """Return the text of the last file that matches.

        Raises:
            Unreadable: no file matches.
        """
        text = self.find(pattern)
        if text is None:
            raise Unreadable(f"the tool wrote no {pattern}; see its log")
        return text

    def object(self, pattern: str) -> dict[str, Any]:
        """Read a file with one JSON object, or raise Unreadable."""
        return _object(_readable(read_json, self.text(pattern), pattern), pattern)

    def rows(self, pattern: str) -> tuple[dict[str, Any], ...]:
        """Read a file with one JSON object per line, or raise Unreadable."""
        text = self.text(pattern)
        _readable(bound_values, text, pattern)
        # Not `splitlines`: strings in JSON may contain other line ends, such as U+2028.
        lines = (line for line in text.split("\n") if line.strip())
        return tuple(_object(_readable(read_json, line, pattern), pattern) for line in lines)


class Unreadable(InfrastructureError):  # noqa: N818 - describes the file
    """A tool's file is missing or invalid; the message names it."""


def _readable(reader: Callable[[str], object], text: str, name: str) -> object:
    try:
        return reader(text)
    except ValueError as error:
        raise Unreadable(f"{name} is not JSON ({error}); see the tool's log") from error


def _object(value: object, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Unreadable(
            f"{name}: expected a JSON object, found {type(value).__name__}; see the tool's log"
        )
    return value


def number(value: object, what: str) -> float:
    """Convert a finite number, or raise Unreadable."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > MAX_EXACT_INT:
        raise Unreadable(
            f"{what} is a whole number of {value.bit_length()} bits; no real figure is that large"
        )
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Unreadable(f"{what} is {shortened(value)}, not a number")
    return float(value)


def shortened(value: object) -> str:
    """Write a value of a tool's file for a message, shortened."""
    text = repr(value)
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]} …"


# Larger whole numbers are not exact as floats, and no real count is that large.
MAX_EXACT_INT = 1 << 53
SHOWN_CHARS = 100
# Errors that parsing an invalid file may raise.
UNREADABLE = (ArithmeticError, LookupError, TypeError, ValueError, RecursionError, csv.Error)


def read(
    job: Job,
    output: Output,
    reader: Callable[[Job, Output, list[str]], Result],
) -> Result:
    """Parse a tool's output with `reader`; errors become problems of the result.

    Args:
        job: the tool's job.
        output: its output.
        reader: appends problems to the list that it gets, and may raise Unreadable.
    """
    problems: list[str] = []
    if output.exit_code != 0:
        end = "was killed" if output.exit_code is None else f"exited with {output.exit_code}"
        last = next((line for line in reversed(output.log.splitlines()) if line.strip()), "no log")
        problems.append(f"{job.benchmark.tool} {end}: {last.strip()[:300]}")
    try:
        result = reader(job, output, problems)
    except Unreadable as error:
        return Result(problems=(*problems, str(error)))
    # Whatever the tool wrote: only this benchmark is unknown, the others continue.
    except UNREADABLE as error:
        problem = f"its output cannot be parsed: {type(error).__name__}: {error}"
        return Result(problems=(*problems, problem))
    return Result(result.measurements, result.items, (*problems, *result.problems))
