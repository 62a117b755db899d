"""Change how far a suite is, after an event. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ci.suite.progress import Attempt, Quarantined
from ci.suite.rerun import why_not_again

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci.suite.model import Retry
    from ci.suite.next_orders import Begin, Orders
    from ci.suite.progress import Outcome, SuiteRun


@dataclass(frozen=True)
class Ended:
    """How a night's run ended; the attributes are those of `Attempt`."""

    at: str
    outcome: Outcome
    exit_code: int | None
    headline: str = ""
    cause: str = ""
    reasons: tuple[str, ...] = ()
    failed_hosts: Mapping[str, str] = field(default_factory=dict)


def night_began(run: SuiteRun, begin: Begin, run_id: str, at: str) -> SuiteRun:
    """Return the suite after a night began.

    Args:
        run: before.
        begin: which night, and where.
        run_id: id of its run.
        at: the present.
    """
    night = run.night(begin.night)
    attempt = Attempt(run=run_id, hosts=begin.hosts, devices=dict(begin.devices), began_at=at)
    changed = {"state": "running", "attempts": (*night.attempts, attempt), "note": ""}
    return run.with_night(night.model_copy(update=changed))


def night_ended(run: SuiteRun, name: str, ended: Ended, retry: Retry) -> SuiteRun:
    """Return the suite after the run of a night ended: it is run again, or has its outcome.

    Args:
        run: before.
        name: of the night.
        ended: its end.
        retry: when it is run again.
    """
    night = run.night(name)
    before = night.attempts[-1]
    last = before.model_copy(
        update={
            "ended_at": ended.at,
            "outcome": ended.outcome,
            "exit_code": ended.exit_code,
            "headline": ended.headline,
            "cause": ended.cause,
            "reasons": ended.reasons,
            "failed_hosts": dict(ended.failed_hosts),
        }
    )
    night = night.model_copy(update={"attempts": (*night.attempts[:-1], last)})
    why = why_not_again(night, retry)
    state = "waiting" if why is None and not run.interrupted else "ended"
    return run.with_night(night.model_copy(update={"state": state, "note": why or ""}))


def hosts_failed(run: SuiteRun, name: str, addresses: Mapping[str, str], by: str) -> SuiteRun:
    """Return the suite with the hosts in quarantine that failed in a night's last run.

    Args:
        run: before.
        name: of the night.
        addresses: host → address, by which it is known in every cluster file.
        by: user and machine of the controller.
    """
    last = run.night(name).attempts[-1]
    for host, reason in last.failed_hosts.items():
        entry = Quarantined(
            host=host,
            address=addresses.get(host, host),
            reason=reason,
            since=last.ended_at or last.began_at,
            by=by,
            run=last.run,
        )
        run = quarantined(run, entry)
    return run


def night_not_begun(run: SuiteRun, name: str) -> SuiteRun:
    """Return the suite after a process of a night ended before it had begun anything."""
    night = run.night(name)
    changed = {"state": "waiting", "attempts": night.attempts[:-1]}
    return run.with_night(night.model_copy(update=changed))


def quarantined(run: SuiteRun, entry: Quarantined) -> SuiteRun:
    """Return the suite after a host was put into quarantine; the first reason stays."""
    if any(each.host == entry.host for each in run.quarantined):
        return run
    released = tuple(host for host in run.released if host != entry.host)
    changed = {"quarantined": (*run.quarantined, entry), "released": released}
    return run.model_copy(update=changed)


def host_released(run: SuiteRun, host: str) -> SuiteRun:
    """Return the suite after a host takes nights again."""
    left = tuple(each for each in run.quarantined if each.host != host)
    released = (*(each for each in run.released if each != host), host)
    return run.model_copy(update={"quarantined": left, "released": released})


def decided(run: SuiteRun, orders: Orders) -> SuiteRun:
    """Return the suite with the nights that never begin, or are not run again."""
    for name, why in orders.left_out.items():
        changed = {"state": "left-out", "note": why}
        run = run.with_night(run.night(name).model_copy(update=changed))
    for name, why in orders.not_again.items():
        note = f"not run again: {why}"
        run = run.with_night(run.night(name).model_copy(update={"state": "ended", "note": note}))
    return run
