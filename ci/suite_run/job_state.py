"""The state of a suite's Slurm job: before it is submitted, when it changes, and in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci.run.slurm_job import surrounding_job
from ci.suite.events import quarantined
from ci.suite.given_hosts import bound_on, setting_on
from ci.suite.progress import JobState
from ci.suite_run.quarantine import quarantined_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.inventory.slurm_hosts import SlurmHosts
    from ci.inventory.target import Target
    from ci.suite.next_orders import Setting
    from ci.suite.progress import SuiteRun


@dataclass(frozen=True)
class JobSeen:
    """What Slurm shows of the suite's job: its state for suite.json, and its hosts, if it runs."""

    state: JobState
    targets: tuple[Target, ...] = ()


def with_job(run: SuiteRun, setting: Setting, seen: JobSeen) -> tuple[SuiteRun, Setting]:
    """Return a suite and its setting with the state of its job, and with the hosts that it has."""
    run = run.model_copy(update={"slurm": seen.state})
    if seen.targets == setting.targets:
        return run, setting
    setting = setting_on(setting.nights, seen.targets)
    changed = {"hosts": len(seen.targets), "bound_s": bound_on(setting)}
    run = run.model_copy(update=changed)
    for each in quarantined_of(seen.targets):
        run = quarantined(run, each)
    return run, setting


def lines_of(before: JobState | None, now: JobState) -> Iterator[str]:
    """Yield what has become of a suite's job, for the screen."""
    known = before or now
    if now.job and now.job != known.job:
        made = "is submitted" if now.own else "is used, and not ended"
        yield f"Slurm job {now.job} {made}"
    if now.nodes and now.nodes != known.nodes:
        end = f"until {now.ends_at}" if now.ends_at else "without a limit"
        yield f"Slurm job {now.job} has {', '.join(now.nodes)} {end}"
    elif now.ends_at and known.ends_at and now.ends_at != known.ends_at:
        yield f"Slurm job {now.job} ends at {now.ends_at}, no longer at {known.ends_at}"
    for name, text in now.unfit.items():
        if name not in known.unfit:
            yield f"{name} takes no further nights: Slurm says {text}"
    for name in known.unfit:
        if name not in now.unfit and name in now.nodes:
            yield f"{name} takes nights again: Slurm uses it"
    if now.ended and now.ended != known.ended:
        yield f"no further night begins: {now.ended}"
    if now.released and not known.released:
        yield f"Slurm job {now.job} is cancelled"


def first_state(hosts: SlurmHosts) -> JobState:
    """Return the state of a suite's job that is not submitted."""
    around = surrounding_job()
    return JobState(
        job=0,
        own=not around,
        login=None if around else hosts.login,
        state="",
        partition=hosts.partition,
        nodes=(),
        ends_at="",
        released=False,
    )


def again(before: JobState | None, hosts: SlurmHosts) -> JobState:
    """Return the state of a suite's job for a controller that goes on with the suite."""
    if before is None:
        return first_state(hosts)
    asked: dict[str, object] = {"nodes": (), "unfit": {}, "ended": "", "until": None}
    return before.model_copy(update=asked | {"ends_at": "", "released": False})
