"""`inv check`: case files read, checked, planned on made-up hosts → findings and an exit code."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from ci.case.load import cases_of, find
from ci.check.finding import Finding, Server, Subject
from ci.check.places import Places, places_of
from ci.check.rules import remarks
from ci.check.show import shown
from ci.check.surroundings import site_of
from ci.documents.source import MAX_BYTES, read
from ci.errors import CaseError, ExitCode, Problem, UserError
from ci.paths import CASES
from ci.plan.build import build

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ci.case.model import Case
    from ci.plan.model import Plan

_SUFFIXES = (".yaml", ".yml")
_COMMANDS = ("server_cmd_template", "server_cmd")
_FLAG_OR_VARIABLE = re.compile(r"(?<!\S)(?:--[a-z][\w-]*|\$\w+)")


def check(paths: Sequence[str], form: str = "text") -> tuple[str, ExitCode]:
    """Check case files.

    Args:
        paths: files, folders, or names of cases in configs/cases; none means all of those.
        form: how findings are written: `text`, `json` or `github`.

    Returns:
        What to print, and 2 where there is an error, else 0.

    Raises:
        UserError: a path that is not there, or an unknown form.
    """
    files = files_of(paths or [str(CASES)])
    findings = [finding for file in files for finding in findings_of(file)]
    has_errors = any(finding.severity == "error" for finding in findings)
    text = shown(findings, len(files), form)
    return text, ExitCode.USER if has_errors else ExitCode.PASS


def files_of(paths: Sequence[str]) -> list[Path]:
    """Find the case files that paths stand for, each once.

    Raises:
        UserError: one is not there, or is a folder without a case file.
    """
    found: dict[Path, None] = {}
    for path in paths:
        found |= dict.fromkeys(_below(Path(path)) if _is_folder(path) else [find(path, CASES)])
    return list(found)


def findings_of(file: Path) -> tuple[Finding, ...]:
    """Check one file: its reading, the rules, and a plan of each of its cases."""
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        message = f"cannot be read: {reason}; check the path"
        return (Finding("error", Problem(str(file), 1, 1, "", message), "file"),)
    return examine(data, str(file))


def examine(data: bytes, file: str) -> tuple[Finding, ...]:
    """Check a case file's bytes. Asks no host; reads the project's own lists and nothing else."""
    try:
        source = read(data, file)
        cases = cases_of(source)
    except CaseError as error:
        found = [Finding("error", problem, "case") for problem in error.problems]
    except UserError as error:
        found = [Finding("error", Problem(file, 1, 1, "", str(error)), "case")]
    else:
        places = places_of(source, data.decode("utf-8-sig"))
        found = [finding for case in cases for finding in _of_case(case, places)]
    return _in_order(found)


def _of_case(case: Case, places: Places) -> Iterator[Finding]:
    for problem in case.warnings:
        yield Finding("warning", problem, "reading")
    section = _section(case)
    plan, refusals = _planned(case, places, section)
    for rule, remark in remarks(Subject(case, _servers(case, plan, places), section)):
        problem = places.problem(remark.key, remark.message, remark.near)
        if rule.severity == "error" and ".benchmarks." in f".{problem.key}":
            # The rule says it better than planning, which names no more than the benchmark.
            refusals = [one for one in refusals if not problem.key.startswith(one.key or ".")]
        yield Finding(rule.severity, problem, rule.name)
    yield from (Finding("error", problem, "plan") for problem in refusals)


def _section(case: Case) -> str:
    """What stands before the keys of a case where its file has several."""
    found = re.match(r"test_cases\[\d+\]", case.nodes[0].key_path if case.nodes else "")
    return f"{found.group()}." if found else ""


def _planned(case: Case, places: Places, section: str) -> tuple[Plan | None, list[Problem]]:
    """Plan a case on made-up hosts; without a plan, say why there is none."""
    try:
        return build(case, site_of(case)), []
    except CaseError as error:
        said = [(problem.key, problem.message) for problem in error.problems]
    except UserError as error:
        text = re.sub(rf"^{re.escape(case.path)}(:\d+:\d+)?: ", "", str(error))
        if text.startswith("benchmarks."):
            text = section + text
        said = [places.split(text)]
    return None, [places.problem(key, text, _flag_of(text)) for key, text in said]


def _flag_of(message: str) -> str:
    """The first flag or variable that a message is about."""
    found = _FLAG_OR_VARIABLE.search(message)
    return found.group().removeprefix("$") if found else ""


def _servers(case: Case, plan: Plan | None, places: Places) -> tuple[Server, ...]:
    planned = {process.name: process for process in plan.servers} if plan else {}
    return tuple(
        Server(
            name=node.name,
            where=node.key_path,
            command=_command_key(node.key_path, places),
            host=node.host,
            argv=planned[node.name].argv if node.name in planned else node.argv,
            env=planned[node.name].env if node.name in planned else node.env,
            headless=node.headless,
            planned=node.name in planned,
        )
        for node in case.nodes
    )


def _command_key(where: str, places: Places) -> str:
    named = (f"{where}.{key}" for key in _COMMANDS)
    return next((key for key in named if places.has(key)), where)


def _in_order(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Sort by place, and keep each once: cases of one file, and servers of one template, repeat."""
    ordered = sorted(findings, key=lambda one: (one.problem.line, one.problem.column))
    once = {(one.problem.line, one.problem.column, one.problem.message): one for one in ordered}
    return tuple(once.values())


def _is_folder(path: str) -> bool:
    try:
        return Path(path).is_dir()
    except (OSError, ValueError):
        return False


def _below(folder: Path) -> list[Path]:
    if not os.access(folder, os.R_OK | os.X_OK):
        raise UserError(f"{folder}: may not be read by this user; see its permissions")
    files = sorted(one for one in folder.rglob("*") if one.suffix in _SUFFIXES and one.is_file())
    if not files:
        raise UserError(
            f"{folder}: no case file in it, which would end in {' or '.join(_SUFFIXES)}"
        )
    return files
