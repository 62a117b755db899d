"""Read, check and plan case files on made-up hosts, for `inv check`."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ci.case import foreign
from ci.case.load import cases_of, find
from ci.case.load_levels import expanded
from ci.catalog.vllm_flags import options_for
from ci.check.copies import copies
from ci.check.diagnostic import Diagnostic, Server, Subject
from ci.check.key_index import KeyIndex, index_of
from ci.check.places import OF_COMMAND, command_key, env_keys, flag_of, flags_of, nearer, placed
from ci.check.rules import remarks
from ci.check.sample_inputs import sample_inputs
from ci.check.show import shown
from ci.check.suite_rules import suite_diagnostics
from ci.documents.nearest import nearest
from ci.documents.override import overridden
from ci.documents.source import MAX_BYTES, read
from ci.errors import CaseError, ExitCode, Problem, UserError
from ci.functional.load import is_suite, parse_suite
from ci.paths import CASES, SUITES
from ci.plan.build import build
from ci.suite.load import find_night_suite, is_night_suite
from ci.vllm.options import rejoined

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ci.case.model import Case
    from ci.check.diagnostic import Remark
    from ci.documents.source import Source
    from ci.plan.model import Plan

_SUFFIXES = (".yaml", ".yml")


def check_files(
    paths: Sequence[str], form: str = "text", settings: Sequence[str] = ()
) -> tuple[str, ExitCode]:
    """Check case files.

    Args:
        paths: files, folders, or names of cases in configs/cases; empty means all of configs/cases.
        form: the output format: `text`, `json` or `github`.
        settings: `KEY=VALUE` that replace values of every file.

    Returns:
        The text to print, and the exit code: 2 if there is an error, else 0.

    Raises:
        UserError: no path exists, or the format is unknown.
    """
    files, missing = _files_and_missing(paths or [str(CASES)])
    seen: dict[str, str] = {}
    diagnostics = [
        diagnostic for file in files for diagnostic in diagnostics_of(file, seen, settings)
    ]
    diagnostics += missing
    has_errors = any(diagnostic.severity == "error" for diagnostic in diagnostics)
    text = shown(diagnostics, len(files), form)
    return text, ExitCode.USER if has_errors else ExitCode.PASS


def files_of(paths: Sequence[str]) -> list[Path]:
    """Find the case files that paths name, each once.

    Raises:
        UserError: a path does not exist, or is a folder without a case file.
    """
    files: dict[Path, None] = {}
    for path in paths:
        files |= dict.fromkeys(_below(Path(path)) if _is_folder(path) else [_named(path)])
    return list(files)


def _files_and_missing(paths: Sequence[str]) -> tuple[list[Path], list[Diagnostic]]:
    """Find the files that paths name, and an error for each path that names none.

    Raises:
        UserError: no path names a file.
    """
    files: dict[Path, None] = {}
    refusals: dict[str, UserError] = {}
    for path in paths:
        try:
            files |= dict.fromkeys(files_of([path]))
        except UserError as error:
            refusals[path] = error
    if not files:
        raise UserError("\n".join(map(str, refusals.values())))
    return list(files), [
        Diagnostic("error", Problem(path, 1, 1, "", str(error)), "file")
        for path, error in refusals.items()
    ]


def _named(name: str) -> Path:
    """Find the case or the suite that a path or a name means.

    Raises:
        UserError: there is neither.
    """
    try:
        return find(name, CASES)
    except UserError as error:
        with suppress(UserError):
            return find_night_suite(name)
        suites = sorted(path.stem for path in SUITES.glob("*.yaml"))
        near = nearest(name.removesuffix(".yaml"), suites)
        guess = f" Did you mean the suite {near!r}?" if near else ""
        there = ", ".join(suites) or "there are none"
        raise UserError(f"{error} Suites, in {SUITES}: {there}.{guess}") from None


def diagnostics_of(
    file: Path, seen: dict[str, str] | None = None, settings: Sequence[str] = ()
) -> tuple[Diagnostic, ...]:
    """Check one file: read it, apply the rules, and plan each of its cases.

    Args:
        file: its path.
        seen: content of the cases of the files before → where they are; the file's are added.
        settings: as for `check_files`.
    """
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        message = f"cannot be read: {reason}; check the path"
        return (Diagnostic("error", Problem(str(file), 1, 1, "", message), "file"),)
    return examine(data, str(file), seen, settings)


def examine(
    data: bytes,
    file: str,
    seen: dict[str, str] | None = None,
    settings: Sequence[str] = (),
) -> tuple[Diagnostic, ...]:
    """Check a case file's bytes. Connects to no host; reads only the project's own lists.

    Args:
        data: the file's content.
        file: its path, for messages.
        seen: as for `diagnostics_of`.
        settings: as for `check_files`.

    Returns:
        The diagnostics, ordered by position.
    """
    index: KeyIndex | None = None
    source: Source | None = None
    try:
        foreign.refuse(data, file)
        source = overridden(read(data, file), settings)
        if is_suite(source.value):
            parse_suite(source)
            return ()
        if is_night_suite(source.value):
            return _in_order(list(suite_diagnostics(source)))
        index = index_of(source, data.decode("utf-8-sig"))
        cases = cases_of(source)
        index = index_of(expanded(source), data.decode("utf-8-sig"))
    except CaseError as error:
        document = source.value if source else None
        problems = [nearer(problem, index, document) for problem in error.problems]
        diagnostics = [Diagnostic("error", problem, "case") for problem in problems]
    except UserError as error:
        diagnostics = [Diagnostic("error", Problem(file, 1, 1, "", str(error)), "case")]
    else:
        seen = {} if seen is None else seen
        diagnostics = [diagnostic for case in cases for diagnostic in _of_case(case, index)]
        for case in cases:
            diagnostics += copies(case, _section(case).rstrip("."), index, seen)
    return _in_order(_once(diagnostics))


def _once(diagnostics: Sequence[Diagnostic]) -> list[Diagnostic]:
    """Keep one error about the devices of all hosts; other servers and cases only repeat it."""
    of_devices = [item for item in diagnostics if item.rule == "too-few-devices"]
    of_all = [item for item in of_devices if item.problem.key == "npu_per_node"]
    left_out = [item for item in of_devices if item not in of_all[:1]] if of_all else []
    return [item for item in diagnostics if item not in left_out]


def _of_case(case: Case, index: KeyIndex) -> Iterator[Diagnostic]:
    section = _section(case)
    case, splits = _with_whole_flags(case)
    plan, refusals = _planned(case, index, section)
    subject = Subject(case, _servers(case, plan, index, splits), section)
    found = list(_of_rules(subject, index))
    yield from (diagnostic for diagnostic, _ in found)
    errors = [(item.problem, remark) for item, remark in found if item.severity == "error"]
    for problem in refusals:
        if not _is_consequence(problem, errors):
            yield Diagnostic("error", problem, "plan")
    wrong = {problem.key for problem, _ in errors if OF_COMMAND.search(problem.key)}
    for problem in case.warnings:
        if problem.key not in wrong:
            yield Diagnostic("warning", problem, "reading")


def _of_rules(subject: Subject, index: KeyIndex) -> Iterator[tuple[Diagnostic, Remark]]:
    """Apply the rules, but not those whose remarks follow from an error in a command line."""
    command_is_wrong = False
    for rule, remark in remarks(subject):
        if rule.derived and command_is_wrong:
            continue
        problem = index.problem(remark.key, remark.message, remark.near, remark.then, remark.into)
        severity = remark.severity or rule.severity
        command_is_wrong |= severity == "error" and bool(OF_COMMAND.search(problem.key))
        yield Diagnostic(severity, problem, rule.name), remark


def _is_consequence(refusal: Problem, errors: Sequence[tuple[Problem, Remark]]) -> bool:
    """Return whether a rule's error causes a refusal of planning, or says the same better."""
    flags = flags_of(refusal.message)
    for problem, remark in errors:
        if ".benchmarks." in f".{refusal.key}" and problem.key.startswith(refusal.key):
            return True
        same = problem.line == refusal.line or flags & flags_of(remark.message)
        if remark.near and same and flag_of(refusal.message):
            return True
    return False


def _section(case: Case) -> str:
    """Return the prefix of a case's key paths if its file has several cases; else empty."""
    match = re.match(r"test_cases\[\d+\]", case.nodes[0].key_path if case.nodes else "")
    return f"{match.group()}." if match else ""


def _planned(case: Case, index: KeyIndex, section: str) -> tuple[Plan | None, list[Problem]]:
    """Plan a case on made-up hosts; return the plan, or None and the problems."""
    try:
        return build(case, sample_inputs(case)), []
    except CaseError as error:
        messages = [(problem.key, problem.message) for problem in error.problems]
    except UserError as error:
        text = re.sub(rf"^{re.escape(case.path)}(:\d+:\d+)?: ", "", str(error))
        if text.startswith("benchmarks."):
            text = section + text
        messages = [index.split(text)]
    return None, [placed(key, message, case, index) for key, message in messages]


def _with_whole_flags(case: Case) -> tuple[Case, dict[str, tuple[tuple[str, str], ...]]]:
    """Join flags that a space splits, so that they are one error; return the parts by server."""
    options = options_for(case.vllm)
    joined = {node.name: rejoined(node.argv, options) for node in case.nodes}
    splits = {name: parts for name, (_, parts) in joined.items() if parts}
    nodes = tuple(node.model_copy(update={"argv": joined[node.name][0]}) for node in case.nodes)
    return (case.model_copy(update={"nodes": nodes}), splits) if splits else (case, splits)


def _servers(
    case: Case,
    plan: Plan | None,
    index: KeyIndex,
    splits: Mapping[str, tuple[tuple[str, str], ...]],
) -> tuple[Server, ...]:
    planned = {process.name: process for process in plan.servers} if plan else {}
    return tuple(
        Server(
            name=node.name,
            key=node.key_path,
            command_key=command_key(node.key_path, index),
            host=node.host,
            argv=planned[node.name].argv if node.name in planned else node.argv,
            env=planned[node.name].env if node.name in planned else node.env,
            headless=node.headless,
            planned=node.name in planned,
            role=node.role,
            env_keys=env_keys(node, index),
            split=splits.get(node.name, ()),
        )
        for node in case.nodes
    )


def _in_order(diagnostics: Sequence[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Sort by position and drop duplicates, which cases and servers that share text give."""

    def position(diagnostic: Diagnostic) -> tuple[int, int]:
        return diagnostic.problem.line, diagnostic.problem.column

    ordered = sorted(diagnostics, key=position)
    unique = {
        (position(diagnostic), diagnostic.problem.message): diagnostic for diagnostic in ordered
    }
    return tuple(unique.values())


def _is_folder(path: str) -> bool:
    try:
        return Path(path).is_dir()
    except (OSError, ValueError):
        return False


def _below(folder: Path) -> list[Path]:
    if not os.access(folder, os.R_OK | os.X_OK):
        raise UserError(f"{folder}: this user may not read it; check its permissions")
    files = sorted(
        path for path in folder.rglob("*") if path.suffix in _SUFFIXES and path.is_file()
    )
    if not files:
        raise UserError(f"{folder}: no case file in it; case files end in {' or '.join(_SUFFIXES)}")
    return files
