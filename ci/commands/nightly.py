"""`inv nightly`, `inv up` and `inv plan`: read the cases, and plan and run their nights."""

from __future__ import annotations

import json
import os
import sys
from contextlib import nullcontext
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from ci.case import load as cases
from ci.errors import ExitCode, UserError
from ci.paths import CASES
from ci.record.text import headline_of
from ci.request import LAST_GOOD, STAGES, listed
from ci.resolve import require_datasets, resolve_case

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ci.case.benchmark import Benchmark
    from ci.case.model import Case
    from ci.record.model import Run
    from ci.record.view import View
    from ci.request import Request
    from ci.resolve import ResolvedCase
    from ci.run.allocation import Allocation
    from ci.run.interrupt import Interrupts

# After several nights the command exits with the worst code, the last of these.
BY_SEVERITY = (ExitCode.PASS, ExitCode.UNKNOWN, ExitCode.FAIL, ExitCode.USER, ExitCode.INTERRUPTED)


def nightly(request: Request) -> ExitCode:
    """Run a night for every selected case, one after another, each with its own record.

    Args:
        request: selects the cases and the hosts, and has the options of the nights.

    Returns:
        The worst exit code of all nights. An interrupt ends the running night and skips the rest.

    Raises:
        UserError: a case or the options are wrong; nothing was started.
    """
    from ci.explain.rules import own_rules  # noqa: PLC0415
    from ci.inventory.this_machine import require_device  # noqa: PLC0415

    own_rules()  # a mistake in it is reported before anything is started
    resolved = [resolve_case(_chosen_parts(case, request), request) for case in load_cases(request)]
    if request.keep and len(resolved) > 1:
        names = ", ".join(night.case.name for night in resolved)
        what = "--keep" if request.measure else "`inv up`"
        raise UserError(
            f"{request.config} has several cases: {names}; {what} needs one: --config FILE#NAME"
        )
    for night in resolved:  # report errors of all cases before contacting any host
        require_datasets(night.case, request, local=night.inputs.local)
        if night.inputs.local:
            require_device(request.device or night.case.device or "cpu")
    if request.against_itself and request.keep:
        raise UserError("--against-itself starts the servers twice; leave out --keep")
    if request.control == LAST_GOOD and request.keep:
        raise UserError("--control starts other servers on the same hosts; leave out --keep")
    if request.dry_run:
        return _show(resolved)
    return _nights(request, resolved)


def _show(resolved: Sequence[ResolvedCase]) -> ExitCode:
    from ci.report.plan.text import as_text  # noqa: PLC0415

    for night in resolved:
        sys.stdout.write(as_text(night.plan, "", night.inputs.targets))
    print("# dry run: the case and its data sets are in order; no host was contacted")
    return ExitCode.PASS


def _chosen_parts(case: Case, request: Request) -> Case:
    """Return a case with the parts that a request wants, and with what its suite sets.

    Raises:
        UserError: no benchmark has such a name.
    """
    if not request.measure:
        without: dict[str, object] = {"benchmarks": (), "startup": {}}
        return case.model_copy(update=without)
    chosen: dict[str, object] = {}
    if request.stages or request.benchmarks:
        chosen["benchmarks"] = _benchmarks(case, request)
    if request.judge:
        chosen["judge"] = case.judge.with_defaults(request.judge)
    if request.host_env:
        hosts = listed(request.on)
        chosen["nodes"] = tuple(
            node.model_copy(update={"env": node.env | dict(request.host_env.get(host, {}))})
            for node in case.nodes
            for host in hosts[node.host : node.host + 1]
        )
    return case.model_copy(update=chosen) if chosen else case


def _benchmarks(case: Case, request: Request) -> tuple[Benchmark, ...]:
    stages, patterns = listed(request.stages or ",".join(STAGES)), listed(request.benchmarks)
    named = [
        each
        for each in case.benchmarks
        if not patterns or any(fnmatchcase(each.name, pattern) for pattern in patterns)
    ]
    if case.benchmarks and not named:
        there = ", ".join(each.name for each in case.benchmarks)
        raise UserError(
            f"{case.path}: no benchmark is named {request.benchmarks}; there are: {there}"
        )
    return tuple(each for each in named if each.case_type in stages)


def _nights(request: Request, resolved: Sequence[ResolvedCase]) -> ExitCode:
    """Run nights one after another in one view; a signal ends the running night and the loop."""
    from ci.report.open_view import open_view  # noqa: PLC0415
    from ci.run.allocation import allocation_for  # noqa: PLC0415
    from ci.run.interrupt import interrupts  # noqa: PLC0415

    codes: list[ExitCode] = []
    rows: list[tuple[str, str, str]] = []
    twice: list[tuple[Path, Path]] = []
    several = len(resolved) > 1
    hosts = max(night.case.num_hosts for night in resolved)
    # What is run against itself has a second night on the same hosts.
    allocation = allocation_for(request, hosts, len(resolved) * (1 + request.against_itself))
    late = ""
    with (
        open_view(sys.stdout) as view,
        interrupts(view.warn) as received,
        allocation or nullcontext(),
    ):
        for number, night in enumerate(resolved, 1):
            if several:
                view.case(night.case.name, number, len(resolved))
            late = allocation.too_late(0, night.case.name) if allocation else ""
            if late:
                break
            code, run, folder = _night(request, night, view, received, allocation)
            if request.against_itself and code in {ExitCode.PASS, ExitCode.FAIL}:
                view.note("the same night once more, to see what judging says of it")
                second, _, other = _night(request, night, view, received, allocation, of=run.id)
                twice.append((folder, other))
                # What judging says of it is told, and is no outcome of the version.
                code = code if second is ExitCode.FAIL else max(code, second, key=_severity)
            codes.append(code)
            rows.append((run.case, headline_of(run).partition(":")[0], str(folder)))
            if received.first:  # also while the hosts were handed back
                break
        if others := [night.case.name for night in resolved[len(codes) :]]:
            view.note(": ".join(filter(None, [f"not run: {', '.join(others)}", late])))
            codes.append(ExitCode.UNKNOWN if late else ExitCode.INTERRUPTED)
        if several:
            view.cases(rows)
    for first, other in twice:
        from ci.commands.against_itself import against_itself  # noqa: PLC0415

        sys.stdout.write(against_itself(first, other))
    return max(codes, key=_severity)


def _severity(code: ExitCode) -> int:
    return BY_SEVERITY.index(code)


def _night(  # noqa: PLR0913 - the parts of a night
    request: Request,
    night: ResolvedCase,
    view: View,
    received: Interrupts,
    allocation: Allocation | None,
    *,
    of: str = "",
) -> tuple[ExitCode, Run, Path]:
    """Run a night; return its exit code, its record and the folder of its run.

    Args:
        request: how to run it.
        night: its case and hosts.
        view: shows it.
        received: signals.
        allocation: asks Slurm for the hosts; None if they are known.
        of: id of the night that it is the second run of; empty for a night.
    """
    from ci.nightly import begin, run_night  # noqa: PLC0415

    argv = ["inv", *request.argv[1:]]
    with begin(request, night, view, argv) as record:
        if of:
            record.update(purpose="against-itself", night=of)
        code = run_night(request, night, record, record.view, received, allocation=allocation)
    if request.run_type:
        from ci.metrics.publish import publish_night  # noqa: PLC0415 - only where it is asked for

        stopped = lambda: bool(received.first)  # noqa: E731
        publish_night(record.path, record.run, os.environ, record.note, stopped)
    return code, record.run, record.path


def describe(request: Request, host: str = "", *, as_json: bool) -> str:
    """Return what a night would do, as text or as JSON.

    Args:
        request: selects the case and the hosts.
        host: name or index of a host; shows its part only. Empty for all hosts.
        as_json: return JSON instead of text.

    Raises:
        UserError: the case or the options are wrong.
    """
    from ci.report.plan.text import as_text, as_values  # noqa: PLC0415

    found = find_case(request)
    if as_json:
        return json.dumps(as_values(found.plan, host), indent=2) + "\n"
    return as_text(found.plan, host, found.inputs.targets)


def find_case(request: Request) -> ResolvedCase:
    """Read the selected case and plan it for the selected hosts; contacts no host.

    Raises:
        UserError: the case or the options are wrong, or the file has several cases and the request
            selects none of them.
    """
    _require_config(request)
    return resolve_case(cases.load_one(request.config, CASES, request.set), request)


def load_cases(request: Request) -> tuple[Case, ...]:
    """Read the selected cases: all cases of a file, or only the one named by `FILE#NAME`.

    Raises:
        UserError: the case or the options are wrong.
    """
    _require_config(request)
    if "#" in request.config:
        return (cases.load_one(request.config, CASES, request.set),)
    return cases.load(cases.find(request.config, CASES), request.set)


def _require_config(request: Request) -> None:
    if not request.config:
        known = ", ".join(sorted(path.name for path in CASES.glob("*.yaml")))
        raise UserError(f"--config is missing; give a path, or one of {known} of {CASES}")
