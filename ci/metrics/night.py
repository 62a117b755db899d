"""Make the metrics of a night from its record. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from ci.history.hosts import vllm_of
from ci.metrics.families import NIGHT_JOB, SUCCESS_JOB, Family, Group, Sample
from ci.metrics.labels import NONE, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ci.judge.verdict import Check
    from ci.metrics.labels import LabelValues
    from ci.metrics.served import Served
    from ci.record.model import Evaluation, Run

OUTCOMES = ("pass", "fail", "unknown")
# What failed comes first, so that it is never what is left out.
_FIRST = {"fail": 0, "unknown": 1, "pass": 2}
MAX_CHECKS = 100
# The labels that name a night among all nights. Its last success has no version of vLLM. For the
# others it is the one that was asked for: it is known also of a night that never came so far as to
# see what answers, whose metrics replace those of the night before.
NIGHT_KEY = ("case", "cluster", "suite", "run_type")
VERSION_LABEL = "vllm"

# Those that say when the night of a group ended.
ENDED = ("lamplighter_night_timestamp_seconds", "lamplighter_last_success_timestamp_seconds")

# name → help.
HELP = {
    "lamplighter_check_value": "Measured figure of a check, in the unit of its label unit.",
    "lamplighter_check_baseline": "Baseline that the figure was compared with, in the same unit.",
    "lamplighter_check_bound": "Bound that the figure has to reach, in the same unit.",
    "lamplighter_check_outcome": "1 for the outcome of the check, 0 for the other outcomes.",
    "lamplighter_check_duration_seconds": "Time that the measurements of the check took.",
    "lamplighter_check_timestamp_seconds": "Unix time at which the check was measured.",
    "lamplighter_night_outcome": "1 for the outcome of the last night, 0 for the other outcomes.",
    "lamplighter_night_duration_seconds": "Time that the last night took.",
    "lamplighter_night_timestamp_seconds": "Unix time at which the last night ended.",
    "lamplighter_night_checks": "Number of checks of the last night.",
    "lamplighter_night_checks_left_out": "Number of checks that are not published: too many.",
    "lamplighter_last_success_timestamp_seconds": "Unix time at which the last pass ended.",
    "lamplighter_last_success_duration_seconds": "Time that the last night with a pass took.",
}


@dataclass(frozen=True)
class NightMetrics:
    """The metrics of a night.

    Attributes:
        night: of the last night, whatever its outcome.
        success: of the last success; None if this night is none.
        checks: number of its checks that have metrics.
        left_out: number of its checks that have none, as there are too many.
    """

    night: Group
    success: Group | None
    checks: int
    left_out: int

    @property
    def groups(self) -> tuple[Group, ...]:
        """Return the groups to publish."""
        return (self.night, self.success) if self.success else (self.night,)


def metrics_of(run: Run, served: Served, value: LabelValues) -> NightMetrics:
    """Make the metrics of a night.

    Args:
        run: its record; it has ended.
        served: what it served.
        value: makes label values.
    """
    labels = _labels(run, served, value)
    key = {name: labels[name] for name in NIGHT_KEY}
    checks = sorted(run.checks, key=lambda check: _FIRST[check.outcome])[:MAX_CHECKS]
    left_out = len(run.checks) - len(checks)
    samples = [*_of_checks(run, checks, labels, value), *_of_night(run, labels, left_out)]
    night = Group(NIGHT_JOB, key | {VERSION_LABEL: labels[VERSION_LABEL]}, _families(samples))
    success = None
    if run.outcome == "pass":
        success = Group(SUCCESS_JOB, key, _families(list(_of_success(run, labels))))
    return NightMetrics(night, success, len(checks), left_out)


def ended_s(group: Group) -> float:
    """Return the Unix time at which the night of a group ended; 0 if it does not tell."""
    found = (family.samples[0].value for family in group.families if family.name in ENDED)
    return next(found, 0.0)


def _labels(run: Run, served: Served, value: LabelValues) -> dict[str, str]:
    return {
        "case": value(run.case),
        "model": value(served.model),
        "quantization": value(served.quantization, NONE),
        "cluster": value(run.cluster, NONE),
        "suite": value(run.suite, NONE),
        "run_type": value(run.run_type, NONE),
        VERSION_LABEL: value(served.vllm, NONE),
        "vllm_version": value(vllm_of(run) or served.vllm, UNKNOWN),
    }


def _of_night(
    run: Run, labels: Mapping[str, str], left_out: int
) -> Iterator[tuple[str, Mapping[str, str], float | None]]:
    for outcome in OUTCOMES:
        yield (
            "lamplighter_night_outcome",
            {**labels, "outcome": outcome},
            float(run.outcome == outcome),
        )
    yield "lamplighter_night_duration_seconds", labels, run.seconds
    yield "lamplighter_night_timestamp_seconds", labels, _time(run.ended_at or run.started_at)
    yield "lamplighter_night_checks", labels, float(len(run.checks))
    yield "lamplighter_night_checks_left_out", labels, float(left_out)


def _of_success(
    run: Run, labels: Mapping[str, str]
) -> Iterator[tuple[str, Mapping[str, str], float | None]]:
    ended = _time(run.ended_at or run.started_at)
    yield "lamplighter_last_success_timestamp_seconds", labels, ended
    yield "lamplighter_last_success_duration_seconds", labels, run.seconds


def _of_checks(
    run: Run, checks: Sequence[Check], labels: Mapping[str, str], value: LabelValues
) -> Iterator[tuple[str, Mapping[str, str], float | None]]:
    seen: set[tuple[str, ...]] = set()
    for check in checks:
        own = {
            **labels,
            "check": value(check.name),
            "metric": value(check.metric),
            "unit": value(check.unit, NONE),
        }
        identity = (own["check"], own["metric"], own["unit"])
        if identity in seen:  # twice the same series would make the gateway refuse all of them
            continue
        seen.add(identity)
        duration_s, at = _measured(run, check.name)
        yield "lamplighter_check_value", own, check.value
        yield "lamplighter_check_baseline", own, check.baseline
        yield "lamplighter_check_bound", own, check.bound
        for outcome in OUTCOMES:
            yield (
                "lamplighter_check_outcome",
                {**own, "outcome": outcome},
                float(check.outcome == outcome),
            )
        yield "lamplighter_check_duration_seconds", own, duration_s
        yield "lamplighter_check_timestamp_seconds", own, at


def _measured(run: Run, name: str) -> tuple[float | None, float | None]:
    """Return how long the evaluations of a check took, and when the last ended.

    Hosts say both by their own clocks, which are not believed outside the night.
    """
    begun, ended = _time(run.started_at), _time(run.ended_at or run.started_at)
    spans = [span for each in run.evaluations if each.benchmark == name and (span := _span(each))]
    if not spans or ended is None:
        return None, ended
    last = max(end for _, end in spans)
    believed = begun is not None and begun <= last <= ended
    return sum(end - start for start, end in spans), last if believed else ended


def _span(evaluation: Evaluation) -> tuple[float, float] | None:
    start, end = _time(evaluation.started_at), _time(evaluation.ended_at)
    return None if start is None or end is None or end < start else (start, end)


def _time(written: str | None) -> float | None:
    """Return a time of the record as Unix time, in seconds; None if it is none."""
    try:
        return datetime.fromisoformat(written or "").timestamp()
    except (ValueError, OverflowError):
        return None


def _families(
    samples: Sequence[tuple[str, Mapping[str, str], float | None]],
) -> tuple[Family, ...]:
    """Gather samples by their metric, without those that have no value."""
    by_name: dict[str, list[Sample]] = {}
    for name, labels, number in samples:
        if number is not None:
            by_name.setdefault(name, []).append(Sample(labels, float(number)))
    return tuple(Family(name, HELP[name], tuple(found)) for name, found in by_name.items())
