"""Write diagnostics as text, JSON or GitHub's workflow commands. Pure."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

from ci.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ci.check.diagnostic import Diagnostic


def shown(diagnostics: Sequence[Diagnostic], files: int, form: str) -> str:
    """Write diagnostics in one of the formats.

    Args:
        diagnostics: in the order in which they are shown.
        files: how many files were checked.
        form: `text`, `json` or `github`.

    Raises:
        UserError: the format is unknown.
    """
    if form not in _FORMS:
        raise UserError(f"--format {form}: unknown format; choose one of {', '.join(_FORMS)}")
    return _FORMS[form](diagnostics, files)


def summary(diagnostics: Sequence[Diagnostic], files: int) -> str:
    """Count the diagnostics: `47 files: 2 errors, 5 warnings`."""
    counts = Counter(diagnostic.severity for diagnostic in diagnostics)
    parts = (
        _count(files, "file"),
        _count(counts["error"], "error"),
        _count(counts["warning"], "warning"),
    )
    return "{}: {}, {}".format(*parts)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _text(diagnostics: Sequence[Diagnostic], files: int) -> str:
    return "".join(f"{line}\n" for line in [*map(_line, diagnostics), summary(diagnostics, files)])


def _line(diagnostic: Diagnostic) -> str:
    problem = diagnostic.problem
    location = f"{problem.file}:{problem.line}:{problem.column}"
    text = f"{diagnostic.severity}: {_text_of(diagnostic)} [{diagnostic.rule}]"
    return _escaped(f"{location}: {text}")


def _text_of(diagnostic: Diagnostic) -> str:
    problem = diagnostic.problem
    return f"{problem.key}: {problem.message}" if problem.key else problem.message


def _json(diagnostics: Sequence[Diagnostic], _files: int) -> str:
    return json.dumps([_values(diagnostic) for diagnostic in diagnostics], indent=2) + "\n"


def _values(diagnostic: Diagnostic) -> dict[str, object]:
    problem = diagnostic.problem
    return {
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "severity": diagnostic.severity,
        "key": problem.key,
        "message": problem.message,
        "rule": diagnostic.rule,
    }


def _github(diagnostics: Sequence[Diagnostic], files: int) -> str:
    lines = [*map(_command, diagnostics), summary(diagnostics, files)]
    return "".join(f"{line}\n" for line in lines)


def _command(diagnostic: Diagnostic) -> str:
    """Write a workflow command, escaped as GitHub's own toolkit does.

    https://github.com/actions/toolkit/blob/main/packages/core/src/command.ts
    """
    problem = diagnostic.problem
    properties = {
        "file": problem.file,
        "line": problem.line,
        "col": problem.column,
        "title": diagnostic.rule,
    }
    written = ",".join(f"{name}={_property(str(value))}" for name, value in properties.items())
    return f"::{diagnostic.severity} {written}::{_data(_text_of(diagnostic))}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _escaped(text: str) -> str:
    """Escape line ends and control characters, which a terminal would obey."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


_FORMS: dict[str, Callable[[Sequence[Diagnostic], int], str]] = {
    "text": _text,
    "json": _json,
    "github": _github,
}
