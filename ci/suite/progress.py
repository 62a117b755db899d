"""Define how far the nights of a suite are: the content of suite.json. Pure.

Raise `VERSION` with every change that an older reader would misread.
"""

from __future__ import annotations

import datetime as dt
from typing import Literal

from pydantic import ConfigDict, Field

from ci.record.model import Controller, Part, SlurmJob

VERSION = 1

Outcome = Literal["running", "pass", "fail", "unknown"]
State = Literal["waiting", "running", "ended", "left-out"]


class Attempt(Part):
    """A run of a night: a case may be run again after a failure of its hosts."""

    run: str = Field(description="id of the run; its folder has the record")
    hosts: tuple[str, ...] = Field(description="in the order of the case's nodes")
    devices: dict[str, tuple[int, ...]] = Field(
        default={}, description="host → the indices of the devices that it has beside others"
    )
    began_at: str = Field(description="UTC, ISO 8601, like all times here")
    ended_at: str | None = None
    outcome: Outcome = "running"
    exit_code: int | None = None
    headline: str = Field(default="", description="the outcome in words")
    cause: str = Field(default="", description="what ended it early, or what could not be judged")
    reasons: tuple[str, ...] = Field(
        default=(),
        description="what it failed by, as in the failure table: names of rules, class, side",
    )
    failed_hosts: dict[str, str] = Field(
        default={}, description="hosts that take no further night → why"
    )


class MuteState(Part):
    """Who repairs a night whose failures do not count, until which day, and why."""

    owner: str
    until: str
    because: str


class NightState(Part):
    """How far a night of the suite is."""

    name: str
    case: str
    config: str
    vllm: str = ""
    owner: str = ""
    expected_s: float
    mute: MuteState | None = None
    canary: bool = Field(default=False, description="whether it comes before all others")
    retry_reasons: tuple[str, ...] = Field(
        default=("environment",), description="by which reasons it may be run again"
    )
    state: State = Field(
        default="waiting",
        description="left-out: it was never begun, and will not be; the note says why",
    )
    attempts: tuple[Attempt, ...] = ()
    earlier_attempts: int = Field(
        default=0,
        description="how many attempts it had when a person resumed the ended suite: `retry` "
        "counts only those after them",
    )
    note: str = Field(default="", description="why it is left out, or not run again")
    unstable: str = Field(default="", description="why it is unstable; empty if it is not")

    @property
    def last(self) -> Attempt | None:
        """Return its newest attempt; None if it was never begun."""
        return self.attempts[-1] if self.attempts else None

    @property
    def fresh_attempts(self) -> tuple[Attempt, ...]:
        """Return its attempts since a person resumed the ended suite; else all."""
        return self.attempts[self.earlier_attempts :]

    @property
    def outcome(self) -> Outcome:
        """Return the outcome of its newest attempt; unknown if it was never begun."""
        return self.last.outcome if self.last else "unknown"

    @property
    def counts(self) -> bool:
        """Return whether its failure makes the suite fail."""
        return self.mute is None


class Quarantined(Part):
    """A host that takes no nights of suites until it was examined and has served."""

    host: str = Field(description="its name in the cluster file")
    address: str = Field(description="address[:port], by which it is known in every cluster file")
    reason: str
    since: str = Field(description="UTC, ISO 8601")
    by: str = Field(description="user and machine that put it there")
    run: str = Field(default="", description="id of the run that failed on it; empty if a person")


class JobState(SlurmJob):
    """The Slurm job that has the hosts of all nights; its number is 0 until it is submitted."""

    until: str | None = Field(
        default=None,
        description="when the last night has to end, so that the hosts can be handed back before "
        "Slurm ends the job; null: it has no limit, or does not run yet",
    )
    unfit: dict[str, str] = Field(
        default={}, description="nodes that take no further night → what Slurm says of them"
    )
    ended: str = Field(
        default="", description="why no further night begins in it; empty while nights may"
    )
    earlier: tuple[int, ...] = Field(
        default=(), description="numbers of the jobs before it, whose nodes Slurm took away"
    )


class SuiteRun(Part):
    """A run of a suite; suite.json in its folder, written after each change."""

    model_config = ConfigDict(title="suite.json of Lamplighter", serialize_by_alias=True)

    version: Literal[1] = Field(alias="schema", description="the version of this schema")
    id: str
    suite: str = Field(description="path of the suite file")
    name: str
    title: str = ""
    run_type: str
    filter: str = ""
    vllm: str = ""
    cluster: str = Field(description="path of the cluster file")
    workspace: str = ""
    skip_doctor: bool = False
    command: str
    folder: str
    user: str
    controller: Controller
    started_at: str
    begins_at: str = Field(description="when the first night may begin")
    until: str | None = Field(default=None, description="when the last one has to end")
    ended_at: str | None = None
    interrupted: str = Field(default="", description="the signal that ended it; empty for none")
    outcome: Outcome = "running"
    exit_code: int | None = None
    bound_s: float = Field(
        default=0, description="these nights take at least as long on these hosts"
    )
    taken_bound_s: float = Field(
        default=0, description="the same, with the durations that they had; at the end"
    )
    hosts: int = Field(default=0, description="number of hosts of the cluster")
    slurm: JobState | None = Field(
        default=None, description="the Slurm job that has the hosts; null if Slurm has none of them"
    )
    nights: tuple[NightState, ...]
    problems: tuple[str, ...] = Field(
        default=(), description="cases that are missing or not valid, and were left out"
    )
    notes: tuple[str, ...] = ()
    quarantined: tuple[Quarantined, ...] = Field(
        default=(), description="hosts of the cluster that take no nights"
    )
    released: tuple[str, ...] = Field(
        default=(), description="hosts that were examined, have served, and take nights again"
    )

    @property
    def awaits_hosts(self) -> bool:
        """Return whether Slurm has not given the hosts yet, and still may."""
        return self.slurm is not None and not self.slurm.nodes and not self.slurm.ended

    @property
    def closes_at(self) -> str | None:
        """Return when the last night has to end: by the window, or before Slurm ends the job."""
        ends = [each for each in (self.until, self.slurm and self.slurm.until) if each]
        return min(ends, key=time_of, default=None)

    def night(self, name: str) -> NightState:
        """Return the state of a night."""
        return next(each for each in self.nights if each.name == name)

    def with_night(self, changed: NightState) -> SuiteRun:
        """Return it with another state of one night."""
        nights = tuple(changed if each.name == changed.name else each for each in self.nights)
        return self.model_copy(update={"nights": nights})


def local_text(text: str) -> str:
    """Write a time of the record as the clocks here show it: 2026-11-28 06:00."""
    return f"{time_of(text).astimezone():%Y-%m-%d %H:%M}"


def time_of(text: str) -> dt.datetime:
    """Return a time of the record."""
    return dt.datetime.fromisoformat(text)
