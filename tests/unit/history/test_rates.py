"""Test the realised number of false alarms: what counts as judged, failed and taken back."""

from __future__ import annotations

import pytest
from stored_runs import evaluation, run_of, stored, throughput, time_of

from ci.history.database import opened
from ci.history.durations import durations
from ci.history.folders import refresh
from ci.history.ledger import append, path_of
from ci.history.rates import Counts, Rate, rates_since, total_of
from ci.judge.baseline import Accepted, Rejected

WHEN = "2026-01-09T20:00:00Z"


def rates(tmp_path, since=0):
    warned = []
    with opened(tmp_path / "runs") as connection:
        refresh(tmp_path / "runs", connection, warned.append)
        found = rates_since(
            tmp_path / "runs", connection, tmp_path / "ledgers", time_of(since), warned.append
        )
    return found, warned


def night(tmp_path, number, outcomes=("pass", "pass"), *, reason="", **changes):
    """Store a night with a check of accuracy and one of performance; return its id."""
    run = run_of(number, evaluation(number), throughput(number), **changes)
    checks = [
        check.__dict__ | {"outcome": outcome, "reason": reason, "value": 1.0}
        for check, outcome in zip(run.checks, outcomes, strict=True)
    ]
    outcome = "fail" if "fail" in outcomes else "pass"
    run = run_of(
        number, evaluation(number), throughput(number), **changes, checks=checks, outcome=outcome
    )
    stored(tmp_path / "runs", run)
    return run.id


def accepted(tmp_path, *runs, benchmark="perf", metric="output_token_throughput", case="local"):
    entry = Accepted(
        *(benchmark, metric, 5.0, "tok/s"), runs=runs, who="me", when=WHEN, because="it is so"
    )
    append(tmp_path / "ledgers", case, "accepted", [entry])


def test_what_is_judged(tmp_path):
    night(tmp_path, 0)
    night(tmp_path, 1, ("fail", "pass"))
    night(tmp_path, 2, ("unknown", "pass"))
    night(tmp_path, 3, reason="no baseline yet: 2 of 4 comparable nights")
    stored(tmp_path / "runs", run_of(4, outcome="unknown", evaluations=[], checks=[]))
    (found,), warned = rates(tmp_path)
    assert (found.case, found.accepted, warned) == ("local", 1.0, [])
    assert found.counts == Counts(nights=5, checks=5, failed=1)
    (late,), _ = rates(tmp_path, since=2)
    assert late.counts == Counts(nights=3, checks=1)
    assert rates(tmp_path, since=9) == ((), [])


def test_a_failure_whose_run_was_accepted_or_rejected_later_is_taken_back(tmp_path):
    both = night(tmp_path, 0, ("fail", "fail"))
    speed = night(tmp_path, 1, ("fail", "fail"))
    fan = night(tmp_path, 2, ("fail", "fail"))
    night(tmp_path, 3, ("fail", "pass"))
    good = night(tmp_path, 4)
    assert rates(tmp_path)[0][0].counts == Counts(5, 10, 7, 0)
    accepted(tmp_path, both, speed, good)
    accepted(tmp_path, both, benchmark="acc", metric="accuracy")
    rejected = Rejected(fan, "me", WHEN, "the fan was broken")
    append(tmp_path / "ledgers", "local", "rejected", [rejected])
    assert rates(tmp_path)[0][0].counts == Counts(5, 10, 7, taken_back=5)


def test_a_night_against_itself_is_counted_apart(tmp_path):
    night(tmp_path, 0, ("fail", "pass"))
    night(tmp_path, 1, ("fail", "pass"), purpose="against-itself")
    night(tmp_path, 2, purpose="control")
    (found,), _ = rates(tmp_path)
    assert (found.counts, found.itself) == (Counts(1, 2, 1), Counts(1, 2, 1))


def test_the_accepted_number_is_that_of_the_last_night_of_the_case(tmp_path):
    night(tmp_path, 0, judge={"false_alarms_a_month": 5.0})
    last = night(tmp_path, 1, judge={"false_alarms_a_month": 0.5})
    assert rates(tmp_path)[0][0].accepted == 0.5
    (tmp_path / "runs" / last / "run.json").unlink()
    assert rates(tmp_path)[0][0].accepted == 1.0


def test_a_ledger_that_cannot_be_read_is_said(tmp_path):
    night(tmp_path, 0, ("fail", "pass"))
    night(tmp_path, 1, case="other")
    (tmp_path / "ledgers").mkdir()
    path_of(tmp_path / "ledgers", "local").write_text("case: [")
    found, warned = rates(tmp_path)
    assert [each.case for each in found] == ["local", "other"]
    (warning,) = warned
    assert warning.startswith("what was taken back of local is not known: ")


@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_total(count):
    each = Rate("a", Counts(1, 2, 3, 4), 0.5, Counts(1, 1, 1, 0))
    total = total_of([each] * count)
    assert total == Rate(
        "", Counts(count, 2 * count, 3 * count, 4 * count), count / 2, Counts(count, count, count)
    )


def test_only_nights_tell_how_long_a_night_takes(tmp_path):
    night(tmp_path, 1, started_at="2026-01-01T20:00:00Z", ended_at="2026-01-01T21:00:00Z")
    ended = {"started_at": "2026-01-02T20:00:00Z", "ended_at": "2026-01-02T20:10:00Z"}
    night(tmp_path, 2, purpose="bisect", **ended)
    with opened(tmp_path / "runs") as connection:
        refresh(tmp_path / "runs", connection, print)
        (times,) = durations(connection).values()
    assert times == [3600.0]


@pytest.mark.parametrize(
    ("run_type", "minutes"),
    [("", [60, 10, 5]), ("pr", [10]), ("daily", [60]), ("p", [60, 10, 5]), ("weekly", [60, 10, 5])],
)
def test_of_nights_of_several_run_types_those_of_the_same_tell_how_long(
    tmp_path, run_type, minutes
):
    """In a run type with smaller sizes a case takes minutes in place of hours."""
    for number, (took, flags) in enumerate(
        [(5, ""), (10, " --run-type pr"), (60, " --run-type daily --set a=1")]
    ):
        began = {
            "started_at": f"2026-01-0{number + 1}T20:00:00Z",
            "ended_at": f"2026-01-0{number + 1}T{20 + took // 60}:{took % 60:02}:00Z",
        }
        night(tmp_path, number, command=f"inv nightly --config x.yaml{flags}", **began)
    with opened(tmp_path / "runs") as connection:
        refresh(tmp_path / "runs", connection, print)
        (times,) = durations(connection, run_type).values()
    assert times == [60.0 * each for each in minutes]
