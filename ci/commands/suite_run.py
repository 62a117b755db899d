"""`inv suite.run`: run the nights of a suite, or go on with a run of it."""

from __future__ import annotations

import datetime as dt
import shlex
import sys
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ci.commands.report_pages import hosts_apart
from ci.commands.suite_flags import Selection
from ci.commands.suite_flags import SuiteRun as Flags
from ci.commands.suite_plan import hosts_of, span_for
from ci.commands.suite_source import selected_nights
from ci.commands.suite_table import as_table
from ci.commands.suite_tell import tell
from ci.errors import ExitCode, UserError
from ci.history.outcomes import judged_nights
from ci.judge.unstable import why_unstable
from ci.paths import absolute
from ci.record.controller import identity, user
from ci.record.disk import make_folder
from ci.record.fields import utc, utc_now
from ci.record.secrets import hide_in_argv
from ci.record.start import run_id
from ci.report.pages.refresh import refresh_index
from ci.suite.cases import case_of
from ci.suite.events import quarantined
from ci.suite.hosts import job_of, too_few
from ci.suite.next_orders import Begin, Setting
from ci.suite.planned import plan_suite
from ci.suite.progress import VERSION, MuteState, NightState, SuiteRun, time_of
from ci.suite_run.folder import SuiteFolder, locked, named_suite_run, read_suite
from ci.suite_run.order import request_of
from ci.suite_run.quarantine import quarantined_of
from ci.suite_run.reports import write_suite_reports
from ci.suite_run.run import RunningSuite
from ci.suite_run.screen import open_suite_view

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ci.commands.suite_source import SelectedNights
    from ci.inventory.target import Target
    from ci.suite.jobs import Job
    from ci.suite.night import SuiteNight
    from ci.suite.planned import SuitePlan

LAST = "last"
# Flags of the first command, which a resumed run keeps.
_OF_THE_RUN = ("suite", "run_type", "filter", "vllm", "cluster", "workspace", "skip_doctor")


@dataclass(frozen=True)
class _Prepared:
    """A suite, ready to run.

    Attributes:
        selected: its nights.
        cluster: path of the cluster file.
        targets: its hosts.
        planned: the plan on paper.
        problems: of nights that cannot run at all.
        setting: for the run.
    """

    selected: SelectedNights
    cluster: str
    targets: Sequence[Target]
    planned: SuitePlan
    problems: Mapping[str, str]
    setting: Setting


def run(given: Flags) -> ExitCode:
    """Run a suite.

    Returns:
        The code of the worst night that counts; `ci.suite.outcome` has the order.

    Raises:
        UserError: the suite, its hosts or a flag is wrong; nothing was started.
    """
    from ci.explain.rules import own_rules  # noqa: PLC0415

    own_rules()  # a mistake in it is reported before anything is started
    runs = absolute(Path(given.runs))
    if given.resume:
        return _resume(given, runs)
    now = _now()
    prepared = _prepare(given, now)
    if given.dry_run:
        return _show(given, prepared)
    path = make_folder(runs / run_id(f"suite-{prepared.selected.suite.name}", _utc_now()))
    state = _first_state(given, prepared, path.name, runs)
    return _run(state, prepared, runs, path)


def _prepare(given: Flags, now: dt.datetime) -> _Prepared:
    selected = selected_nights(given, now.date(), given.vllm)
    cluster, targets = hosts_of(given.cluster, selected.suite)
    span = span_for(given, selected.suite, now)
    if given.now:
        span = replace(span, start=min(span.start, now))
    problems: dict[str, str] = {}
    jobs: dict[str, Job] = {}
    known: dict[object, tuple[str, ...]] = {}
    for night in selected.nights:
        try:
            case_of(night)
            job = job_of(night, targets, known)
        except UserError as error:
            problems[night.name] = str(error)
            continue
        if len(job.hosts) < job.count:
            problems[night.name] = too_few(night, targets)
        else:
            jobs[night.name] = job
    able = [night for night in selected.nights if night.name in jobs]
    planned = plan_suite(able, targets, span)
    setting = Setting({night.name: night for night in selected.nights}, jobs, targets)
    return _Prepared(selected, cluster, targets, planned, problems, setting)


def _show(given: Flags, prepared: _Prepared) -> ExitCode:
    """Print what would run, with the command line of each night."""
    selected, planned = prepared.selected, prepared.planned
    sys.stdout.write(as_table(selected, planned, given.run_type, prepared.cluster))
    state = _first_state(given, prepared, "RUN", Path(given.runs))
    targets = {target.name: target for target in prepared.targets}
    print("\neach night is a process with its own record, as of these commands:")
    for each in planned.nights:
        begin = Begin(each.night.name, each.hosts)
        request = request_of(state, each.night, begin, given.runs, "", targets)
        print(shlex.join(map(str, hide_in_argv(list(request.argv)))))
    for name, problem in prepared.problems.items():
        print(f"left out: {name}: {problem}", file=sys.stderr)
    for missing in selected.problems:
        print(f"left out: {missing}", file=sys.stderr)
    print("dry run: nothing was started, and no host was contacted")
    return ExitCode.USER if prepared.problems or selected.problems else ExitCode.PASS


def _first_state(given: Flags, prepared: _Prepared, name: str, runs: Path) -> SuiteRun:
    """Return the state of a suite before its first night."""
    selected, span = prepared.selected, prepared.planned.span
    nights = [_state_of(night, prepared.problems, runs) for night in selected.nights]
    broken = {name for name in prepared.problems if name not in prepared.setting.jobs}
    state: dict[str, Any] = {
        "schema": VERSION,
        "id": name,
        "suite": selected.suite.file,
        "name": selected.suite.name,
        "title": selected.suite.document.title,
        "run_type": given.run_type,
        "filter": given.filter,
        "vllm": given.vllm,
        "cluster": prepared.cluster,
        "workspace": given.workspace,
        "skip_doctor": given.skip_doctor,
        "command": shlex.join(map(str, hide_in_argv(["inv", *sys.argv[1:]]))),
        "folder": str(Path.cwd()),
        "user": user(),
        "controller": identity(),
        "started_at": utc_now(),
        "begins_at": utc(span.start.astimezone()),
        "until": utc(span.until.astimezone()) if span.until else None,
        "bound_s": prepared.planned.bound_s,
        "hosts": len(prepared.targets),
        "nights": tuple(each.model_dump() for each in nights),
        "problems": (
            *map(str, selected.problems),
            *(f"{name}: {prepared.problems[name]}" for name in sorted(broken)),
        ),
        "notes": selected.notes,
    }
    made = SuiteRun.model_validate(state)
    for entry in quarantined_of(prepared.targets):
        made = quarantined(made, entry)
    return made


def _state_of(night: SuiteNight, problems: Mapping[str, str], runs: Path) -> NightState:
    mute = night.mute
    problem = problems.get(night.name, "")
    return NightState(
        name=night.name,
        case=night.case.name,
        config=night.config,
        vllm=night.vllm,
        owner=night.owner,
        expected_s=night.expected_s,
        mute=MuteState(owner=mute.owner, until=str(mute.until), because=mute.because)
        if mute
        else None,
        state="left-out" if problem else "waiting",
        note=problem,
        unstable=why_unstable(judged_nights(runs, night.case.name, night.vllm)),
    )


def _run(state: SuiteRun, prepared: _Prepared, runs: Path, path: Path) -> ExitCode:
    """Run a suite in its folder, on one screen, and write its reports."""
    from ci.run.interrupt import interrupts  # noqa: PLC0415

    with ExitStack() as ending:
        ending.enter_context(locked(path))
        view = ending.enter_context(open_suite_view(sys.stdout))
        received = ending.enter_context(interrupts(view.warn))
        folder = SuiteFolder(path, view.warn)
        folder.save(state)
        view.line("suite", f"{state.name}, run type {state.run_type}: {path}")
        for problem in state.problems:
            view.warn(f"left out: {problem}")
        for note in state.notes:
            view.line("note", note)
        suite = RunningSuite(state, prepared.setting, runs, folder, view)
        done = suite.run_all(received)
        folder.release()
        done = _with_tonight(done, runs)
        folder.save(done)
        text = write_suite_reports(folder, done, runs)
        refresh_index(runs, view.warn, hosts_apart())
        wanted = prepared.selected.suite.document.notify
        for note in tell(done, wanted, runs, prepared.selected.suite.file) if wanted else ():
            view.line("notify", note)
    sys.stdout.write(text)
    print(f"report {path / 'report.md'}")
    return ExitCode(done.exit_code or 0)


def _with_tonight(run: SuiteRun, runs: Path) -> SuiteRun:
    """Return a run with the unstable cases as of now: tonight's nights are in the history."""
    nights = tuple(
        each.model_copy(
            update={"unstable": why_unstable(judged_nights(runs, each.case, each.vllm))}
        )
        for each in run.nights
    )
    return run.model_copy(update={"nights": nights})


def _resume(given: Flags, runs: Path) -> ExitCode:
    """Go on with a run whose controller has ended; the nights that still run are taken over."""
    chosen = [name for name in _OF_THE_RUN if getattr(given, name) != getattr(Flags(), name)]
    if chosen:
        flag = chosen[0].replace("_", "-")
        raise UserError(f"--{flag}: a run that is resumed has its own; leave it out")
    path = named_suite_run(runs, "" if given.resume == LAST else given.resume)
    state = read_suite(path)
    runs = path.absolute().parent
    selection = Selection(
        runs=str(runs), suite=state.suite, run_type=state.run_type, filter=state.filter
    )
    flags = replace(
        given,
        **{item: getattr(selection, item) for item in ("runs", "suite", "run_type", "filter")},
        vllm=state.vllm,
        cluster=state.cluster,
        workspace=state.workspace,
        skip_doctor=state.skip_doctor,
    )
    now = _now()
    prepared = _prepare(flags, now)
    state = _going_on(state, prepared, given)
    if given.dry_run:
        left = [each.name for each in state.nights if each.state in {"waiting", "running"}]
        print(f"{state.id}: would go on with {', '.join(left) or 'no night'}")
        return ExitCode.PASS
    if not any(each.state in {"waiting", "running"} for each in state.nights):
        raise UserError(f"{state.id}: nothing is left to run; `inv suite.report {state.id}`")
    return _run(state, prepared, runs, path)


def _going_on(state: SuiteRun, prepared: _Prepared, given: Flags) -> SuiteRun:
    """Return a state in which the nights that were not done wait again."""
    nights = tuple(_waiting_again(each, prepared) for each in state.nights)
    span = prepared.planned.span
    open_still = state.until is None or time_of(state.until) > _utc_now()
    changed: dict[str, Any] = {
        "nights": nights,
        "outcome": "running",
        "exit_code": None,
        "ended_at": None,
        "interrupted": "",
        "controller": type(state.controller).model_validate(identity()),
    }
    if given.until or given.now or not open_still:
        changed["begins_at"] = utc(span.start.astimezone())
        changed["until"] = utc(span.until.astimezone()) if span.until else None
    state = state.model_copy(update=changed | {"quarantined": ()})
    for entry in quarantined_of(prepared.targets):
        state = quarantined(state, entry)
    return state


def _waiting_again(night: NightState, prepared: _Prepared) -> NightState:
    interrupted = night.last is not None and night.last.exit_code == ExitCode.INTERRUPTED
    if night.state == "running" or (night.state == "ended" and not interrupted):
        return night
    if night.name not in prepared.setting.jobs:
        gone = prepared.problems.get(night.name, "it is no longer in the suite")
        return night.model_copy(update={"state": "left-out", "note": gone})
    return night.model_copy(update={"state": "waiting", "note": ""})


def _now() -> dt.datetime:
    return dt.datetime.now().astimezone().replace(tzinfo=None, microsecond=0)


def _utc_now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
