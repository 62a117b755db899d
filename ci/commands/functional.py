"""`inv functional`: run a functional suite against any endpoint."""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ci.documents.counted import counted
from ci.documents.files import is_file
from ci.documents.nearest import nearest
from ci.errors import ExitCode, UserError
from ci.functional.capabilities import KNOWN, VARIABLE, of_variable, unknown_capability
from ci.functional.client import Endpoint, root_of
from ci.functional.find import DEFAULT, FOLDER, find_suite, named_suite
from ci.functional.known import Known, known_of, load_known
from ci.functional.load import load_suite
from ci.functional.report import as_json, curl, junit, printable, summary
from ci.functional.run import Options, run_suite

if TYPE_CHECKING:
    from ci.functional.case import FunctionalCase
    from ci.functional.load import Suite
    from ci.functional.run import Report, Result

SHOWN_FAILURES = 4
LINE_CHARS = 400


@dataclass(frozen=True)
class FunctionalRequest:
    """What `inv functional` was asked to do; the fields are its flags."""

    base_url: str
    model: str = ""
    suite: str = ""
    filter: str = ""
    fail_fast: bool = False
    repeat: int = 1
    probe: bool = False
    capabilities: str = ""
    api_key_env: str = ""
    compare_with: str = ""
    dead_base_url: str = ""
    ca_file: str = ""
    known: str = ""
    parallel: int = 8
    timeout: int = 120
    output: str = ""
    junit: str = ""
    curl: str = ""
    list: bool = False
    json: bool = False


def functional(request: FunctionalRequest) -> ExitCode:
    """Run a suite and print its results.

    Raises:
        UserError: a flag is wrong.
        CaseError: the suite is not valid.
        InfrastructureError: the endpoint does not answer.
    """
    suite = load_suite(find_suite(named_suite(request.suite) or DEFAULT))
    cases = chosen(suite, request.filter)
    if request.list:
        for case in cases:
            sys.stdout.write(f"{case.id}\n")
        return ExitCode.PASS
    endpoint = endpoint_of(request)
    if request.curl:
        return _print_curl(request, suite, endpoint)
    if not suite.enabled:
        raise UserError(
            f"{suite.file}: runs nothing, since `enabled` or `suite` is false; set both to true, "
            "or choose another file with --suite"
        )
    options = options_of(request)
    progress = _Progress(len(cases) * options.repeat, quiet=request.json)
    report = run_suite(suite, cases, endpoint, options, progress)
    text = json.dumps(as_json(report), ensure_ascii=False, indent=1) + "\n"
    if request.output:
        _write(Path(request.output), text)
    if request.junit:
        _write(Path(request.junit), junit(report, "functional"))
    sys.stdout.write(text if request.json else described(report, request))
    return exit_code(report)


def chosen(suite: Suite, pattern: str) -> list[FunctionalCase]:
    """Return the cases whose name or tag matches a pattern; all without one.

    Raises:
        UserError: it is no pattern, or no case matches.
    """
    try:
        wanted = re.compile(pattern)
    except re.error as error:
        raise UserError(f"--filter {pattern!r} is not a regular expression: {error}") from error
    cases = [
        case
        for case in suite.cases
        if not pattern or wanted.search(case.id) or pattern in case.tags
    ]
    if not cases and pattern:
        near = nearest(pattern, [case.id for case in suite.cases])
        guess = f"; did you mean {near!r}?" if near else "; list them with --list"
        raise UserError(f"--filter {pattern!r}: no case of {suite.file} has this name{guess}")
    return cases


def endpoint_of(request: FunctionalRequest) -> Endpoint:
    """Return the endpoint of the flags.

    Raises:
        UserError: the URL, the key's variable or the file of authorities is wrong.
    """
    if not request.base_url:
        raise UserError("--base-url is missing; write e.g. --base-url http://10.0.0.1:8000")
    key = ""
    if request.api_key_env:
        key = os.environ.get(request.api_key_env, "")
        if not key:
            raise UserError(
                f"--api-key-env {request.api_key_env}: this environment variable is not set; "
                "export it with the key"
            )
    if request.ca_file and not is_file(Path(request.ca_file)):
        raise UserError(f"--ca-file {request.ca_file}: no such file")
    return Endpoint(
        root_of(request.base_url),
        request.model,
        key,
        ca_file=request.ca_file,
        timeout_s=float(request.timeout),
    )


def options_of(request: FunctionalRequest) -> Options:
    """Return how to run, from the flags and the environment.

    Raises:
        UserError: a number or a capability is wrong.
    """
    for flag, number in (
        ("repeat", request.repeat),
        ("parallel", request.parallel),
        ("timeout", request.timeout),
    ):
        if number < 1:
            raise UserError(f"--{flag} {number}: write a number from 1")
    names = (*of_variable(request.capabilities), *of_variable(os.environ.get(VARIABLE, "")))
    for name in names:
        if name not in KNOWN:
            raise UserError(unknown_capability(name))
    dead = None
    if request.dead_base_url:
        dead = Endpoint(root_of(request.dead_base_url), request.model, ca_file=request.ca_file)
    reference = None
    if request.compare_with:
        given = replace(request, base_url=request.compare_with)
        reference = endpoint_of(given)
    return Options(
        parallel=request.parallel,
        repeat=request.repeat,
        fail_fast=request.fail_fast,
        probe=request.probe,
        capabilities=names,
        known=lambda version: known_deviations(request.known, version),
        dead=dead,
        reference=reference,
    )


def known_deviations(chosen_file: str, version: str) -> Known:
    """Return what is known: in the file, nothing for `none`, else about the version."""
    if chosen_file == "none":
        return Known()
    return load_known(Path(chosen_file)) if chosen_file else known_of(version, FOLDER / "known")


def exit_code(report: Report) -> ExitCode:
    """Return the exit code: nothing passes because nothing ran."""
    if report.interrupted:
        return ExitCode.INTERRUPTED
    counts = summary(report.results)
    if counts["failed"]:
        return ExitCode.FAIL
    return ExitCode.PASS if counts["passed"] + counts["known"] else ExitCode.UNKNOWN


def described(report: Report, request: FunctionalRequest) -> str:
    """Return the text for a terminal: failures with what to do next, skips, and the counts."""
    lines = []
    for result in report.results:
        if result.outcome == "failed":
            lines += [*_failure(result), ""]
    skipped = [result for result in report.results if result.outcome == "skipped"]
    for reason in dict.fromkeys(result.reason for result in skipped):
        count = sum(result.reason == reason for result in skipped)
        lines.append(f"skipped {count}: {reason}")
    lines += [
        f"known: {result.case.id}: {result.known.does}"
        for result in report.results
        if result.outcome == "known" and result.known
    ]
    counts = summary(report.results)
    server = report.server
    version = f", vLLM {server.version}" if server.version else ""
    lines.append(
        f"{counted(counts['total'], 'case')} against {server.model}{version}: "
        f"{counts['passed']} passed, {counts['failed']} failed, {counts['known']} known, "
        f"{counts['skipped']} skipped"
    )
    first = next((each for each in report.results if each.outcome == "failed"), None)
    if first:
        url = f"--base-url {request.base_url} --curl '{first.case.id}'"
        lines.append(f"Repeat a request by hand: inv functional {url}")
    if skipped and not request.probe:
        lines.append(
            "Find out what the server supports with --probe, or declare it: --capabilities"
        )
    if report.interrupted:
        lines.append("Interrupted: the other cases did not run.")
    if report.died:
        lines.append(
            f"The server died: {report.died}. The other cases did not run. It has to survive every "
            "request: find the cause in its log, and the request by --filter, --parallel 1"
        )
    if not counts["passed"] + counts["known"] + counts["failed"]:
        lines.append("Nothing ran, so nothing is proven.")
    return "\n".join(lines) + "\n"


def _failure(result: Result) -> list[str]:
    lines = [f"FAILED {printable(result.case.id)}  ({result.case.location})"]
    if result.case.description:
        lines.append(f"  {result.case.description}")
    failed = result.ran.failed if result.ran else []
    if not failed:
        return [*lines, f"  {printable(result.reason)}"]
    lines += [f"  {printable(str(each))[:LINE_CHARS]}" for each in failed[:SHOWN_FAILURES]]
    if len(failed) > SHOWN_FAILURES:
        lines.append(f"  and {len(failed) - SHOWN_FAILURES} more")
    exchange = result.ran.exchanges[-1] if result.ran and result.ran.exchanges else None
    if exchange:
        request = json.dumps(exchange.call.body, ensure_ascii=False)
        reply = printable(exchange.reply.body.decode("utf-8", "replace"))
        lines.append(
            f"  request: {exchange.call.method} {exchange.call.path} {request}"[:LINE_CHARS]
        )
        lines.append(f"  reply: {exchange.reply.status} {reply}"[:LINE_CHARS])
    return lines


def _print_curl(request: FunctionalRequest, suite: Suite, endpoint: Endpoint) -> ExitCode:
    """Print the request of one case, with the references filled in by the server."""
    from ci.functional.preview import requests_of  # noqa: PLC0415 - asks the server

    cases = [case for case in suite.cases if case.id == request.curl]
    if not cases:
        near = nearest(request.curl, [case.id for case in suite.cases])
        guess = f"; did you mean {near!r}?" if near else "; list them with --list"
        raise UserError(f"--curl {request.curl!r}: {suite.file} has no such case{guess}")
    for call in requests_of(replace(cases[0]), endpoint):
        sys.stdout.write(curl(endpoint.root, call, request.ca_file) + "\n")
    return ExitCode.PASS


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}; check the path") from error


class _Progress:
    """Says on standard error how far it is: a line that changes, or one every 50 cases."""

    def __init__(self, total: int, *, quiet: bool) -> None:
        self.total, self.done, self.failed, self.quiet = total, 0, 0, quiet

    def __call__(self, result: Result) -> None:
        self.done += 1
        self.failed += result.outcome == "failed"
        text = f"{self.done} of {self.total} cases, {self.failed} failed"
        if self.quiet:
            return
        if sys.stderr.isatty():
            end = "\n" if self.done == self.total else ""
            sys.stderr.write(f"\r\033[K{text}: {printable(result.case.id)[:50]}{end}")
        elif self.done % 50 == 0 or self.done == self.total:
            sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
