"""Judge a run of a suite: the worst of its nights that count, and what needs action first. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.suite.progress import NightState, Outcome, SuiteRun

_CODES = {"pass": ExitCode.PASS, "fail": ExitCode.FAIL}
# A night that failed is told also where another one has a mistake of the operator.
BY_SEVERITY = (ExitCode.PASS, ExitCode.UNKNOWN, ExitCode.USER, ExitCode.FAIL, ExitCode.INTERRUPTED)


def exit_code_of(run: SuiteRun) -> ExitCode:
    """Return the exit code of a run of a suite: that of its worst night that counts.

    A night that was not begun is unknown. If none counts, nothing was proven: unknown.
    """
    codes = [_code(each) for each in run.nights if each.counts]
    if not any(each.attempts for each in run.nights if each.counts):
        codes.append(ExitCode.UNKNOWN)
    if run.problems:
        codes.append(ExitCode.USER)
    if run.interrupted:
        codes.append(ExitCode.INTERRUPTED)
    return max(codes, key=BY_SEVERITY.index)


def _code(night: NightState) -> ExitCode:
    if night.last and night.last.exit_code == ExitCode.USER:
        return ExitCode.USER
    return _CODES.get(night.outcome, ExitCode.UNKNOWN)


def outcome_of(run: SuiteRun) -> Outcome:
    """Return the outcome of a run of a suite: fail, then unknown, then pass."""
    counted = [each.outcome for each in run.nights if each.counts]
    if "fail" in counted:
        return "fail"
    incomplete = run.interrupted or run.problems or set(counted) != {"pass"}
    return "unknown" if incomplete else "pass"


def first_actions(run: SuiteRun) -> Iterator[str]:
    """Yield what needs action, the most urgent first."""
    canaries = [each for each in run.nights if canary_is_bad(each)]
    others = [each for each in run.nights if each.counts and not each.canary]
    for night in canaries:
        yield f"{canary_text(night)}{_of(night)}; look at the machines first: {_where(night)}"
    for night in others:
        if night.outcome == "fail":
            yield f"{night.name} failed{_of(night)}: {_where(night)}"
    passed = all(night.outcome == "pass" for night in run.nights)
    if run.slurm and run.slurm.ended and not passed:
        yield f"no further night began: {run.slurm.ended}"
    for problem in run.problems:
        yield f"a case is missing or not valid: {problem}"
    for night in others:
        if night.state == "ended" and night.outcome == "unknown":
            yield f"{night.name} is unknown{_of(night)}: {_where(night)}"
    for host in run.quarantined:
        yield f"host {host.host} takes no nights: {host.reason}"
    left_out = [each for each in run.nights if each.state == "left-out"]
    if left_out:
        count = len(left_out)
        yield f"{count} night{'s were' if count > 1 else ' was'} not begun: {left_out[0].note}"


def canary_is_bad(night: NightState) -> bool:
    """Return whether a canary that counts has ended without a pass: what failed may fail all."""
    return night.canary and night.counts and night.state == "ended" and night.outcome != "pass"


def canary_text(night: NightState) -> str:
    """Say how a canary ended that did not pass."""
    return f"the canary {night.name} {'failed' if night.outcome == 'fail' else 'is unknown'}"


def _of(night: NightState) -> str:
    return f" (of {night.owner})" if night.owner else ""


def _where(night: NightState) -> str:
    last = night.last
    if last is None:
        return night.note
    return "; ".join(filter(None, [last.cause or last.headline, night.note, f"run {last.run}"]))
