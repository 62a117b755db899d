"""Runs of suites, nights and hosts for the tests of what a running suite does."""

import datetime as dt

from ci.inventory.target import Accelerator, Target
from ci.record.controller import identity
from ci.suite.jobs import Job
from ci.suite.model import Retry
from ci.suite.next_orders import Setting
from ci.suite.night import Needs, SuiteNight
from ci.suite.progress import VERSION, Attempt, MuteState, NightState, Quarantined, SuiteRun

BEGAN = dt.datetime(2026, 11, 27, 22, 0, tzinfo=dt.UTC)
HOUR = 3600.0


def at(hours=0.0):
    """Return a time so many hours after the suite began."""
    return BEGAN + dt.timedelta(hours=hours)


def text(hours=0.0):
    return at(hours).isoformat()


def attempt(outcome="running", *hosts, reasons=(), began=0.0, ended=None, **more):
    codes = {"pass": 0, "fail": 1, "unknown": 3}
    keys = {
        "run": f"run-{outcome}-{'-'.join(hosts)}",
        "hosts": hosts or ("h1",),
        "began_at": text(began),
        "outcome": outcome,
        "exit_code": codes.get(outcome),
        "reasons": reasons,
        "ended_at": None if outcome == "running" else text(began + 1 if ended is None else ended),
    }
    return Attempt(**{**keys, **more})


def night(name, state="waiting", *attempts, muted=False, **more):
    mute = MuteState(owner="me", until="2026-12-31", because="known") if muted else None
    return NightState(
        **{
            "name": name,
            "case": name,
            "config": f"{name}.yaml",
            "expected_s": HOUR,
            "mute": mute,
            "state": state,
            "attempts": attempts,
            **more,
        }
    )


def ended(name, outcome, *, reasons=(), **more):
    return night(name, "ended", attempt(outcome, reasons=reasons), **more)


def suite_run(*nights, **more):
    keys = {
        "schema": VERSION,
        "id": "20261127-220000-suite-s-1a2b",
        "suite": "s.yaml",
        "name": "s",
        "run_type": "daily",
        "cluster": "c",
        "command": "inv suite.run",
        "folder": "/f",
        "user": "u",
        "controller": identity(),
        "started_at": text(),
        "begins_at": text(),
        "nights": tuple(each.model_dump() for each in nights),
    }
    return SuiteRun.model_validate({**keys, **more})


def quarantine(host, run="r"):
    return Quarantined(host=host, address=host, reason="broken", since=text(), by="me", run=run)


def setting(*names, hosts=2, need=None, retry=None, devices=0, on=8):
    """Return the setting of nights on hosts h1, h2, … ; `need`: name → number of hosts."""
    targets = [
        Target(f"h{number}", f"h{number}", accelerator=Accelerator("cuda", on))
        for number in range(1, hosts + 1)
    ]
    where = tuple(target.name for target in targets)
    jobs = {
        name: Job(name, where, (need or {}).get(name, 1), HOUR, devices=devices) for name in names
    }
    nights = {name: suite_night(name, retry or Retry(), jobs[name]) for name in names}
    return Setting(nights, jobs, targets)


def suite_night(name, retry, job):
    return SuiteNight(
        name=name,
        case=None,
        config=f"{name}.yaml",
        vllm="",
        settings=(),
        stages=("accuracy",),
        benchmarks=(),
        functional="",
        functional_cases=(),
        needs=Needs(job.count),
        priority=0,
        canary=False,
        owner="",
        tags=(),
        expected_s=HOUR,
        basis="written",
        uses=frozenset(),
        retry=retry,
    )
