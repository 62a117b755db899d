"""A run as its record has it, for tests of the record and of the reports."""

from __future__ import annotations

from ci.judge.verdict import Check, combine
from ci.record.redact import plain
from ci.record.stored import as_run


def check(outcome, name="words", reason=""):
    value = None if outcome == "unknown" else 20.0
    return Check(name, "accuracy", value, "%", 22.5, "-5 pp", 17.5, outcome, reason)


def sample(*checks, **changes):
    verdict = combine(checks)
    run = {
        "schema": 2,
        "id": "20260101-000000-local-abcd",
        "outcome": verdict.outcome,
        "exit_code": {"pass": 0, "fail": 1, "unknown": 3}[verdict.outcome],
        "cause": None,
        "case": "local",
        "config": "configs/cases/local.yaml",
        "command": "inv nightly --config local.yaml",
        "folder": "/home/operator/lamp lighter",
        "user": "operator",
        "controller": {"host": "bench", "pid": 1, "boot_id": "x", "start_ticks": 1},
        "started_at": "2026-01-01T00:00:00.000Z",
        "ended_at": "2026-01-01T00:01:40.000Z",
        "benchmarks": [{"name": "words", "case_type": "accuracy"}],
        "checks": plain(verdict.checks),
        "evaluations": [],
        "hosts": {},
        "processes": [],
        "survivors": [],
        "versions": {"vllm": "0.32.0", "python": "3.11.7"},
        "git_commit": None,
        "seconds": 100.0,
        "server_s": 50.0,
        "tool_s": 48.0,
        "overhead_s": 2.0,
        "steps": [],
        "record_failure": None,
    }
    return as_run(run | changes)
