"""Prepare a run of a suite: its nights, its hosts, and how far it is before it goes on."""

from __future__ import annotations

import datetime as dt
import shlex
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ci.commands.suite_plan import hosts_of, on_known_hosts, span_for, without_quarantined
from ci.commands.suite_source import selected_nights, unstable_of
from ci.errors import UserError
from ci.record.controller import identity, user
from ci.record.fields import utc, utc_now
from ci.record.secrets import hide_in_argv
from ci.suite.cases import case_of
from ci.suite.events import quarantined
from ci.suite.given_hosts import largest, setting_on
from ci.suite.hosts import job_of, too_few
from ci.suite.next_orders import Setting
from ci.suite.planned import plan_suite
from ci.suite.progress import VERSION, MuteState, NightState, SuiteRun, time_of
from ci.suite.resume import problem_of
from ci.suite_run import job_state
from ci.suite_run.quarantine import quarantined_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ci.commands.suite_flags import SuiteRun as Flags
    from ci.commands.suite_source import SelectedNights
    from ci.inventory.slurm_hosts import SlurmHosts
    from ci.inventory.target import Target
    from ci.suite.jobs import Job
    from ci.suite.night import SuiteNight
    from ci.suite.planned import SuitePlan


@dataclass(frozen=True)
class Prepared:
    """A suite, ready to run.

    Attributes:
        selected: its nights.
        cluster: path of the cluster file.
        targets: its hosts; stand-ins, if Slurm has them.
        planned: the plan on paper.
        problems: of nights that cannot run at all.
        setting: for the run; without hosts, if Slurm has them.
        notes: of the plan on paper.
        slurm: what to ask Slurm for; None if the hosts are known.
    """

    selected: SelectedNights
    cluster: str
    targets: Sequence[Target]
    planned: SuitePlan
    problems: Mapping[str, str]
    setting: Setting
    notes: tuple[str, ...]
    slurm: SlurmHosts | None = None

    @property
    def able(self) -> dict[str, SuiteNight]:
        """Return the nights that can run, by name."""
        return {
            name: night
            for name, night in self.setting.nights.items()
            if name in self.setting.jobs and name not in self.problems
        }

    @property
    def needed(self) -> int:
        """Return the number of hosts of the largest night."""
        return largest(self.selected.nights)


def prepare(given: Flags, now: dt.datetime) -> Prepared:
    """Read a suite, and plan it; contacts no host.

    Args:
        given: the flags.
        now: the present, local.

    Raises:
        UserError: the suite, its hosts or a flag is wrong.
    """
    selected = selected_nights(given, now.date(), given.vllm)
    cluster, hosts = hosts_of(given.cluster, selected.suite)
    on_hosts, targets = on_known_hosts(selected, hosts)
    span = span_for(given, selected.suite, now)
    if given.now:
        span = replace(span, start=min(span.start, now))
    problems: dict[str, str] = {}
    jobs: dict[str, Job] = {}
    known: dict[object, tuple[str, ...]] = {}
    for night in on_hosts.nights:
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
    able = [night for night in on_hosts.nights if night.name in jobs]
    taking, apart = without_quarantined(targets)
    planned = plan_suite(able, taking, span)
    nights = {night.name: night for night in selected.nights}
    setting = setting_on(nights, ()) if hosts.slurm else Setting(nights, jobs, targets)
    return Prepared(
        selected=selected,
        cluster=cluster,
        targets=targets,
        planned=planned,
        problems=problems,
        setting=setting,
        notes=(*on_hosts.notes, *apart),
        slurm=hosts.slurm,
    )


def first_state(given: Flags, prepared: Prepared, name: str, runs: Path) -> SuiteRun:
    """Return the state of a suite before its first night.

    Args:
        given: the flags.
        prepared: the suite.
        name: id of its run.
        runs: the folder of all runs.
    """
    selected, span = prepared.selected, prepared.planned.span
    nights = [_state_of(night, prepared.problems, runs) for night in selected.nights]
    broken = prepared.problems
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
        "slurm": job_state.first_state(prepared.slurm) if prepared.slurm else None,
        "nights": tuple(each.model_dump() for each in nights),
        "problems": (
            *map(str, selected.problems),
            *(problem_of(name, prepared.problems[name]) for name in sorted(broken)),
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
        canary=night.canary,
        retry_reasons=tuple(night.retry.reasons),
        state="left-out" if problem else "waiting",
        note=problem,
        unstable=unstable_of(runs, night.case.name, night.vllm),
    )


def going_on(state: SuiteRun, prepared: Prepared, given: Flags) -> SuiteRun:
    """Return the state with which a controller goes on.

    Args:
        state: of the controller before, in which the nights that are left wait again.
        prepared: the suite, as it is now.
        given: the flags.
    """
    span = prepared.planned.span
    open_still = state.until is None or time_of(state.until) > present()
    slurm = prepared.slurm
    changed: dict[str, Any] = {
        "slurm": job_state.again(state.slurm, slurm) if slurm else None,
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


def local_now() -> dt.datetime:
    """Return the present: local, without a zone, as windows are written."""
    return dt.datetime.now().astimezone().replace(tzinfo=None, microsecond=0)


def present() -> dt.datetime:
    """Return the present, with its zone."""
    return dt.datetime.now(dt.UTC)
