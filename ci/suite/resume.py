"""Decide what `inv suite.run --resume` runs of a suite. Pure.

Of a suite whose controller died it is what was not done. Of one that has ended, it is also what is
unknown by a reason that `retry` allows, or by a mistake in a file: a person who resumes it says
that the cause is mended, so that the failures before do not count for `retry` any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.errors import ExitCode
from ci.suite.rerun import is_unknown, not_a_reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci.suite.night import SuiteNight
    from ci.suite.progress import NightState, SuiteRun

NO_LONGER = "it is no longer in the suite, or its case file is not valid now"


def left_to_run(run: SuiteRun) -> tuple[str, ...]:
    """Return the names of the nights that a resumed run would run, or take over."""
    return tuple(each.name for each in run.nights if _is_left(each, run))


def is_resumable(run: SuiteRun) -> bool:
    """Return whether to resume a run does anything: run nights, or cancel its Slurm job."""
    job = run.slurm
    holds_job = bool(job and job.job and job.own and not (job.released or job.ended))
    return holds_job or bool(left_to_run(run))


def unable(run: SuiteRun) -> tuple[str, ...]:
    """Return the nights that cannot be run any more, each with why."""
    return tuple(problem_of(each.name, each.note) for each in run.nights if _is_unable(each, run))


def _is_left(night: NightState, run: SuiteRun) -> bool:
    return _is_wanted(night, run) and not _is_unable(night, run)


def _is_unable(night: NightState, run: SuiteRun) -> bool:
    return night.note == NO_LONGER or problem_of(night.name, night.note) in run.problems


def _is_wanted(night: NightState, run: SuiteRun) -> bool:
    """Return whether a night was not done, or may be run again, if the suite still has it."""
    last = night.last
    if night.state != "ended" or last is None:
        return night.state != "ended"
    if last.exit_code == ExitCode.INTERRUPTED:
        return True
    if run.ended_at is None or last.outcome != "unknown":
        return False
    by_mistake = last.exit_code == ExitCode.USER
    return by_mistake or (
        is_unknown(last) and not_a_reason(last.reasons, night.retry_reasons) is None
    )


def problem_of(name: str, problem: str) -> str:
    """Write why a night cannot run at all, as the problems of a run have it."""
    return f"{name}: {problem}"


def resumed(
    run: SuiteRun, nights: Mapping[str, SuiteNight], problems: Mapping[str, str]
) -> SuiteRun:
    """Return a run in which the nights that are left wait again.

    Args:
        run: as its controller left it.
        nights: the nights of the suite that can run, as it is now.
        problems: its nights that cannot → why.
    """
    own = {problem_of(each.name, each.note) for each in run.nights}
    changed = [
        each.model_copy(update={"retry_reasons": tuple(nights[each.name].retry.reasons)})
        if each.name in nights
        else each
        for each in run.nights
    ]
    wanted = {each.name for each in changed if _is_wanted(each, run)}
    lines = [problem_of(name, problems[name]) for name in sorted(wanted & problems.keys())]
    after: list[NightState] = []
    for each in changed:
        night = each
        if run.ended_at is not None:
            night = night.model_copy(update={"earlier_attempts": len(night.attempts)})
        if night.name in wanted and night.state != "running":
            night = _again(night, nights, problems)
        after.append(night)
    kept = (each for each in run.problems if each not in own)
    return run.model_copy(update={"nights": tuple(after), "problems": (*kept, *lines)})


def _again(
    night: NightState, nights: Mapping[str, SuiteNight], problems: Mapping[str, str]
) -> NightState:
    if night.name in nights:
        return night.model_copy(update={"state": "waiting", "note": ""})
    state = "ended" if night.attempts else "left-out"
    return night.model_copy(update={"state": state, "note": problems.get(night.name, NO_LONGER)})
