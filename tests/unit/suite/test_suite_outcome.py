"""Test the verdict of a run of a suite: mutes, what did not begin, what needs action first."""

from dataclasses import replace

import pytest
from suite_runs import at, attempt, ended, night, quarantine, setting, suite_run

from ci.suite.outcome import exit_code_of, first_actions, outcome_of
from ci.suite.smoke import AGAIN_S, smoke_night, to_prove
from ci.suite_run.rows import rows_of
from ci.suite_run.summary import headline_of, makespan_s, summary_of, values_of

LEFT_OUT = night("l", "left-out", note="does not fit")
USER = night("u", "ended", attempt("unknown", exit_code=2))
# nights, further fields → outcome, exit code
VERDICTS = [
    ((ended("a", "pass"),), {}, "pass", 0),
    ((ended("a", "pass"), ended("b", "fail")), {}, "fail", 1),
    ((ended("a", "unknown"), ended("b", "fail")), {}, "fail", 1),
    ((ended("a", "pass"), ended("b", "unknown")), {}, "unknown", 3),
    ((ended("a", "pass"), ended("b", "fail", muted=True)), {}, "pass", 0),
    ((ended("b", "fail", muted=True),), {}, "unknown", 3),  # nothing that counts ran
    ((ended("b", "pass", muted=True),), {}, "unknown", 3),
    ((ended("a", "pass"), LEFT_OUT), {}, "unknown", 3),
    ((LEFT_OUT,), {}, "unknown", 3),
    ((ended("a", "pass"), USER), {}, "unknown", 2),
    ((ended("a", "fail"), USER), {}, "fail", 1),
    ((ended("a", "pass"),), {"problems": ("x.yaml:1:1: bad",)}, "unknown", 2),
    ((ended("a", "fail"),), {"problems": ("x.yaml:1:1: bad",)}, "fail", 1),
    ((ended("a", "pass"),), {"interrupted": "SIGINT"}, "unknown", 130),
    ((ended("a", "fail"),), {"interrupted": "SIGINT"}, "fail", 130),
    # Only the last attempt counts.
    ((night("a", "ended", attempt("unknown"), attempt("pass")),), {}, "pass", 0),
]


@pytest.mark.parametrize(("nights", "more", "outcome", "code"), VERDICTS)
def test_verdict(nights, more, outcome, code):
    run = suite_run(*nights, **more)
    assert (outcome_of(run), exit_code_of(run)) == (outcome, code)


def test_what_needs_action_first():
    run = suite_run(
        ended("known", "fail", muted=True),
        ended("odd", "unknown"),
        LEFT_OUT,
        ended("worse", "fail", owner="moe"),
        ended("small", "unknown", canary=True),
        ended("mine", "fail", canary=True, muted=True),
        ended("right", "pass", canary=True),
        problems=("x.yaml:1:1: bad",),
        quarantined=(quarantine("h7"),),
    )
    assert [each.partition(":")[0] for each in first_actions(run)] == [
        "the canary small is unknown; look at the machines first",
        "worse failed (of moe)",
        "a case is missing or not valid",
        "odd is unknown",
        "host h7 takes no nights",
        "1 night was not begun",
    ]


def test_the_summary_names_apart_what_is_apart():
    run = suite_run(
        ended("a", "pass", unstable="3 of its last 10 nights failed, 7 passed"),
        ended("b", "fail", muted=True),
        outcome="pass",
        bound_s=3600,
        hosts=2,
    )
    assert headline_of(run) == "PASS: 1 of 2 nights count, all passed"
    assert makespan_s(run) == 3600
    text = summary_of(run)
    assert "muted  b: fail; until 2026-12-31 by me: known" in text
    assert "unstable a: 3 of its last 10 nights failed" in text
    values = values_of(run)
    assert (values["muted"], list(values["unstable"])) == (["b"], ["a"])


def test_rows_say_what_each_night_waits_for():
    run = suite_run(
        night("a", "running", attempt("running", "h1", "h2", "h3", "h4")),
        night("b"),
        night("c", "ended", attempt("unknown", "h1", reasons=("network",)), attempt("pass", "h2")),
        LEFT_OUT,
        ended("d", "fail", muted=True),
    )
    assert rows_of(run, None, {"a": "start the servers"}, at(0.5)) == [
        ("a", "running", "h1, h2, h3 and 1 more", "~30m", "start the servers"),
        ("b", "waiting", "", "", "no time and hosts for it yet"),
        ("c", "pass", "h2", "", "after network on h1"),
        ("l", "not begun", "", "", "does not fit"),
        ("d", "fail (muted)", "h1", "", ""),
    ]
    assert rows_of(run, None, {}, at(1.5))[0][3] == "30m over"


def test_the_smoke_night_of_a_host():
    here = setting("long", "short", "wide", need={"wide": 2})
    nights = [replace(each, expected_s=9.0) for each in here.nights.values()]
    short = replace(here.nights["short"], expected_s=5.0)
    assert smoke_night("h1", [*nights, short], here.jobs) == short
    canary = replace(here.nights["long"], canary=True)
    assert smoke_night("h1", [short, canary], here.jobs) == canary
    assert smoke_night("h1", [here.nights["wide"]], here.jobs) is None
    assert smoke_night("elsewhere", nights, here.jobs) is None


@pytest.mark.parametrize(
    ("run", "looked_at", "hosts"),
    [
        ("r", {}, ["h1"]),  # it is there since an earlier suite
        ("r", {"h1": 0.0}, []),
        ("r", {"h1": -AGAIN_S}, ["h1"]),
        ("", {}, []),  # a person put it there
    ],
)
def test_when_a_host_is_examined(run, looked_at, hosts):
    state = suite_run(night("a"), quarantined=(quarantine("h1", run),))
    assert to_prove(state, looked_at, 0.0) == hosts
    assert to_prove(state.model_copy(update={"interrupted": "SIGINT"}), looked_at, 0.0) == []
