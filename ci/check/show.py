"""Findings → text, JSON or GitHub's workflow commands. Pure."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

from ci.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ci.check.finding import Finding


def shown(findings: Sequence[Finding], files: int, form: str) -> str:
    """Write findings in one of the forms.

    Args:
        findings: in the order in which they are shown.
        files: how many were checked.
        form: `text`, `json` or `github`.

    Raises:
        UserError: there is no such form.
    """
    if form not in _FORMS:
        raise UserError(f"--format {form}: there are {', '.join(_FORMS)}")
    return _FORMS[form](findings, files)


def summary(findings: Sequence[Finding], files: int) -> str:
    """Count them: `47 files: 2 errors, 5 warnings`."""
    counts = Counter(finding.severity for finding in findings)
    parts = (
        _count(files, "file"),
        _count(counts["error"], "error"),
        _count(counts["warning"], "warning"),
    )
    return "{}: {}, {}".format(*parts)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _text(findings: Sequence[Finding], files: int) -> str:
    return "".join(f"{line}\n" for line in [*map(_line, findings), summary(findings, files)])


def _line(finding: Finding) -> str:
    problem = finding.problem
    where = f"{problem.file}:{problem.line}:{problem.column}"
    return _one_line(f"{where}: {finding.severity}: {_said(finding)} [{finding.rule}]")


def _said(finding: Finding) -> str:
    problem = finding.problem
    return f"{problem.key}: {problem.message}" if problem.key else problem.message


def _json(findings: Sequence[Finding], _files: int) -> str:
    return json.dumps([_values(finding) for finding in findings], indent=2) + "\n"


def _values(finding: Finding) -> dict[str, object]:
    problem = finding.problem
    return {
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "severity": finding.severity,
        "key": problem.key,
        "message": problem.message,
        "rule": finding.rule,
    }


def _github(findings: Sequence[Finding], files: int) -> str:
    return "".join(f"{line}\n" for line in [*map(_command, findings), summary(findings, files)])


def _command(finding: Finding) -> str:
    """A workflow command, escaped as GitHub's own toolkit does.

    https://github.com/actions/toolkit/blob/main/packages/core/src/command.ts
    """
    problem = finding.problem
    properties = {
        "file": problem.file,
        "line": problem.line,
        "col": problem.column,
        "title": finding.rule,
    }
    written = ",".join(f"{name}={_property(str(value))}" for name, value in properties.items())
    return f"::{finding.severity} {written}::{_data(_said(finding))}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _one_line(text: str) -> str:
    """Write what a terminal would take for a line's end or a command as an escape."""
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


_FORMS: dict[str, Callable[[Sequence[Finding], int], str]] = {
    "text": _text,
    "json": _json,
    "github": _github,
}
