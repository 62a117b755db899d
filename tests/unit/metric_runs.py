"""Runs with metrics, for tests of what is published."""

from __future__ import annotations

from sample_run import EVALUATION, sample

from ci.judge.verdict import Check
from ci.record.model import Environment

SECRET = "do-not-tell-anyone-42"  # noqa: S105 - made up, to be looked for


def figure(outcome="pass", name="words", metric="accuracy", unit="%", value=20.0):
    return Check(name, metric, value, unit, 22.5, "-5 pp", 17.5, outcome)


def checks_of_a_night(outcome="pass"):
    """Return checks of all kinds of units; the first has this outcome."""
    return (
        figure(outcome),
        figure("pass", "perf", "output_token_throughput", "tok/s", 812.5),
        figure("pass", "perf", "ttft_p50", "ms", 41.0),
        Check("smoke completion", "answers", None, "", None, "", None, "pass"),
    )


def night(outcome="pass", *, day=1, checks=None, **changes):
    """Return the record of a night that ended on this day of January."""
    times = {
        "started_at": f"2026-01-{day:02}T00:00:00.000Z",
        "ended_at": f"2026-01-{day:02}T00:01:40.000Z",
    }
    evaluation = EVALUATION | {
        "started_at": f"2026-01-{day:02}T00:00:10.000Z",
        "ended_at": f"2026-01-{day:02}T00:01:00.000Z",
    }
    environment = Environment(version="0.32.0", packages=2, hash="00", list=None)
    return sample(
        *(checks_of_a_night(outcome) if checks is None else checks),
        **{
            "run_type": "daily",
            "suite": "nights",
            "cluster": "lab",
            "evaluations": [evaluation],
            "environments": {"a": {"vllm-0.32.0": environment.model_dump()}},
            **times,
            **changes,
        },
    )
