"""Test what a resumed suite runs: what was not done and, once it has ended, what may be mended."""

import pytest
from suite_runs import at, attempt, ended, night, setting, suite_run, text

from ci.suite.events import Ended, night_began, night_ended
from ci.suite.model import Retry
from ci.suite.next_orders import next_orders
from ci.suite.progress import JobState
from ci.suite.rerun import too_many_failed
from ci.suite.resume import NO_LONGER, is_resumable, left_to_run, resumed
from ci.suite_run.markdown import markdown_of
from ci.suite_run.summary import summary_of

LOST = ("host_lost", "environment")
ENDED = {"ended_at": text(3), "outcome": "unknown", "exit_code": 3}
FLAT = {"outcome": "pass", "exit_code": 0, "ended_at": text(3)}
TWICE = (attempt("unknown", "h1", reasons=LOST), attempt("unknown", "h2", reasons=LOST))
# night → left of a suite whose controller died, and of one that has ended
LEFT = [
    (night("n"), True, True),
    (night("n", "running", attempt("running")), True, True),
    (night("n", "left-out", note="could begin at 06:10"), True, True),
    (night("n", "left-out", note=NO_LONGER), False, False),
    (night("n", "ended", attempt("unknown", exit_code=130)), True, True),
    (ended("n", "pass"), False, False),
    (ended("n", "fail"), False, False),
    (ended("n", "fail", reasons=LOST), False, False),
    (ended("n", "unknown"), False, False),  # by no reason that is known
    (night("n", "ended", *TWICE), False, True),
    (ended("n", "unknown", reasons=("crash", "product")), False, False),
    (ended("n", "unknown", reasons=("hccl_timeout", "environment")), False, False),
    (ended("n", "unknown", reasons=("tool_error", "tool")), False, False),
    (
        ended("n", "unknown", reasons=("tool_error", "tool"), retry_reasons=("tool",)),
        False,
        True,
    ),
    (night("n", "ended", attempt("unknown", exit_code=2)), False, True),  # a mistake in a file
]


@pytest.mark.parametrize(("one", "after_a_crash", "after_its_end"), LEFT)
def test_what_is_left(one, after_a_crash, after_its_end):
    assert bool(left_to_run(suite_run(one))) == after_a_crash
    assert bool(left_to_run(suite_run(one, **ENDED))) == after_its_end


@pytest.mark.parametrize(("one", "_", "after_its_end"), LEFT)
def test_the_report_says_how_to_go_on_only_if_something_is_left(one, _, after_its_end):
    run = suite_run(one, **ENDED)
    assert ("--resume" in markdown_of(run)) == is_resumable(run) == after_its_end
    assert ("runs what is left: 1 night\n" in summary_of(run)) == after_its_end


def test_a_night_whose_case_is_broken_is_left_once_it_is_mended():
    one = night("n", "left-out", note="n.yaml:1:1: bad")
    run = suite_run(one, problems=("n: n.yaml:1:1: bad", "m.yaml: missing"), **ENDED)
    assert not is_resumable(run)
    here = setting("n").nights
    worse = resumed(run, {}, {"n": "n.yaml:2:1: worse"})
    assert worse.problems == ("m.yaml: missing", "n: n.yaml:2:1: worse")
    assert (worse.night("n").note, is_resumable(worse)) == ("n.yaml:2:1: worse", False)
    for before in (run, worse):
        mended = resumed(before, here, {})
        assert mended.problems == ("m.yaml: missing",)
        assert (mended.night("n").state, mended.night("n").note) == ("waiting", "")


def test_a_night_that_is_no_longer_in_the_suite_stays():
    run = resumed(suite_run(night("n", "ended", *TWICE), night("m"), **ENDED), {}, {})
    assert [(each.state, each.note) for each in run.nights] == [
        ("ended", NO_LONGER),
        ("left-out", NO_LONGER),
    ]
    assert not is_resumable(run)
    assert left_to_run(resumed(run, setting("n", "m").nights, {})) == ("n", "m")


def test_a_job_of_slurm_that_was_not_cancelled_is():
    job = {"job": 7, "own": True, "login": None, "state": "RUNNING", "partition": "p"}
    job |= {"nodes": ("h1",), "ends_at": "", "released": False}
    run = suite_run(ended("n", "pass"), slurm=JobState(**job), **FLAT)
    assert is_resumable(run)
    assert not is_resumable(run.model_copy(update={"slurm": JobState(**job, ended="it ended")}))


def test_the_reasons_are_those_of_the_suite_as_it_is_now():
    failed = ended("n", "unknown", reasons=("tool_error", "tool"))
    here = setting("n", retry=Retry(reasons=["tool"])).nights
    run = resumed(suite_run(failed, **ENDED), here, {})
    assert (run.night("n").state, run.night("n").retry_reasons) == ("waiting", ("tool",))


def going_on(run):
    return run.model_copy(update={"ended_at": None, "outcome": "running", "exit_code": None})


def test_a_mended_outage_is_run_again_whatever_failed_before_and_with_fresh_retries():
    here = setting("a", "b", "c", "d", hosts=2)
    failed = [night(name, "ended", *TWICE) for name in "abc"]
    run = suite_run(*failed, ended("d", "fail"), **ENDED)
    assert too_many_failed(run.nights, Retry())
    run = going_on(resumed(run, here.nights, {}))
    orders = next_orders(run, here, at(10))
    first, second = orders.begin
    assert {first.hosts, second.hosts} == {("h1",), ("h2",)}
    assert not orders.not_again
    run = night_began(run, first, "again", text(10))
    lost = Ended(text(11), "unknown", 3, "UNKNOWN", "lost", LOST, {})
    run = night_ended(run, first.night, lost, Retry())
    assert run.night(first.night).state == "waiting"  # a retry of its own
    run = night_began(run, first, "again", text(11))
    run = night_ended(run, first.night, lost, Retry())
    after = run.night(first.night)
    assert (after.state, after.note) == ("ended", "run 2 times")
    assert not too_many_failed(run.nights, Retry())


def test_what_fails_again_after_a_resume_counts_among_what_was_resumed():
    here = setting("a", "b", "c", "d", "e")
    done = [ended(name, "pass") for name in "cde"]
    run = suite_run(*(night(name, "ended", *TWICE) for name in "ab"), *done, **ENDED)
    run = going_on(resumed(run, here.nights, {}))
    for begin in next_orders(run, here, at(10)).begin:
        run = night_began(run, begin, "again", text(10))
        lost = Ended(text(11), "unknown", 3, "UNKNOWN", "lost", LOST, {})
        run = night_ended(run, begin.night, lost, Retry())
    assert too_many_failed(run.nights, Retry()).startswith("2 of 2 nights have failed")


def test_after_a_crash_the_attempts_count_as_before():
    run = suite_run(night("a", "waiting", *TWICE[:1]))
    assert resumed(run, setting("a").nights, {}) == run
