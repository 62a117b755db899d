"""Test what a suite does on the nodes of a Slurm job: awaited, bounded, taken away. Tables."""

from dataclasses import replace

import pytest
from suite_runs import at, attempt, ended, night, quarantine, setting, suite_run, text

from ci.inventory.target import Target
from ci.suite.events import decided
from ci.suite.given_hosts import bound_on, largest, on_paper, setting_on
from ci.suite.next_orders import Setting, next_orders
from ci.suite.night import Needs
from ci.suite.outcome import first_actions
from ci.suite.progress import JobState
from ci.suite.smoke import to_prove
from ci.suite_run.job_state import again, first_state, lines_of
from ci.suite_run.markdown import markdown_of
from ci.suite_run.summary import job_text

CANCELLED = "Slurm job 12: CANCELLED: it was cancelled, and not by this run"
PREEMPTED = ("slurm_preempted", "environment")


def job(**more):
    keys = {
        "job": 12, "own": True, "login": None, "state": "RUNNING", "partition": "night",
        "nodes": ("h1", "h2"), "ends_at": "2026-11-28T06:00:00Z", "released": False,
    }  # fmt: skip
    return JobState(**keys | more)


def begun(orders):
    return {each.night: each.hosts for each in orders.begin}


@pytest.mark.parametrize("hosts", [0, 2])
def test_nothing_begins_before_slurm_has_given_the_hosts(hosts):
    run = suite_run(night("a"), night("b"), slurm=job(nodes=(), state="PENDING"))
    orders = next_orders(run, setting("a", "b", hosts=hosts), at())
    assert (begun(orders), orders.left_out, orders.finished) == ({}, {}, False)


def test_what_no_longer_fits_the_window_does_not_wait_for_slurm():
    run = suite_run(night("a"), slurm=job(nodes=()), until=text(1.5))
    assert next_orders(run, setting("a", hosts=0), at(0.4)).left_out == {}
    orders = next_orders(run, setting("a", hosts=0), at(0.6))
    assert orders.left_out == {"a": "is expected to take 1h00m, but the window has 54m"}


@pytest.mark.parametrize(("until", "job_until", "closing"), [
    (None, text(0.9), "Slurm job 12 has 54m"),
    (text(2), text(0.9), "Slurm job 12 has 54m"),
    (text(0.9), text(2), "the window has 54m"),
    (text(0.9), None, "the window has 54m"),
])  # fmt: skip
def test_the_end_of_the_job_bounds_what_is_begun(until, job_until, closing):
    run = suite_run(night("a"), until=until, slurm=job(until=job_until))
    orders = next_orders(run, setting("a"), at())
    assert begun(orders) == {}
    assert orders.left_out == {"a": f"is expected to take 1h00m, but {closing}"}


def test_what_could_begin_too_late_for_the_job():
    running = night("a", "running", attempt("running", "h1"))
    run = suite_run(running, night("b"), slurm=job(until=text(1.5)))
    here = setting("a", "b", hosts=1)
    assert next_orders(run, here, at(0.4)).left_out == {}
    run = decided(run, next_orders(run, here, at(0.6)))
    assert run.night("b").note == "is expected to take 1h00m, but Slurm job 12 has 54m"


def test_nothing_else_begins_after_the_end_of_the_job():
    failed = night("a", "waiting", attempt("unknown", reasons=("slurm_cancelled", "environment")))
    running = night("b", "running", attempt("running", "h1"))
    run = suite_run(failed, running, night("c"), slurm=job(ended=CANCELLED))
    orders = next_orders(run, setting("a", "b", "c"), at(0.1))
    assert (begun(orders), orders.finished) == ({}, False)
    assert (orders.left_out, orders.not_again) == (
        {"c": CANCELLED},
        {"a": "Slurm job 12 has ended"},
    )
    run = decided(run, orders)
    assert (run.night("a").state, run.night("a").outcome) == ("ended", "unknown")
    assert next(iter(first_actions(run))) == f"no further night began: {CANCELLED}"


def test_no_hosts_for_a_second_job_are_the_reason():
    why = "Slurm gave no hosts within 10 min: job 13 is PENDING (Resources)"
    again = night("a", "waiting", attempt("unknown", reasons=PREEMPTED))
    run = suite_run(again, slurm=job(job=13, nodes=(), ended=why, earlier=(12,)))
    assert next_orders(run, setting("a", hosts=0), at(0.1)).not_again == {"a": why}


def test_a_node_that_slurm_takes_away_is_no_host_for_the_next_night():
    run = suite_run(night("a"), night("b"), slurm=job(unfit={"h1": "draining (fan)"}))
    assert begun(next_orders(run, setting("a", "b"), at())) in ({"a": ("h2",)}, {"b": ("h2",)})


def test_a_night_of_an_earlier_job_does_not_hold_the_nodes_of_the_next():
    running = night("a", "running", attempt("running", "gone"))
    run = suite_run(running, night("b"), slurm=job(earlier=(11,)))
    assert begun(next_orders(run, setting("a", "b", hosts=1), at(0.1))) == {"b": ("h1",)}


@pytest.mark.parametrize(("reasons", "is_again"), [
    (PREEMPTED, True), (("slurm_node_fail", "environment"), True),
    (("slurm_requeued", "environment"), True), (("host_lost", "environment"), False),
    (("slurm_time_limit", "environment"), False),
])  # fmt: skip
def test_nodes_that_were_taken_away_from_all_nights_say_nothing_of_them(reasons, is_again):
    both = [night(name, "waiting", attempt("unknown", reasons=reasons)) for name in ("a", "b")]
    orders = next_orders(suite_run(*both, slurm=job()), setting("a", "b"), at(1))
    assert (set(begun(orders)) == {"a", "b"}) is is_again


@pytest.mark.parametrize(("state", "hosts"), [
    (job(), ["h1", "h2"]), (job(unfit={"h1": "down"}), ["h2"]), (job(nodes=()), []),
    (job(ended=CANCELLED), []), (None, ["h1", "h2"]),
])  # fmt: skip
def test_which_hosts_in_quarantine_are_examined(state, hosts):
    run = suite_run(night("a"), quarantined=(quarantine("h1"), quarantine("h2")), slurm=state)
    assert to_prove(run, {}, 0.0) == hosts


def test_nights_are_fitted_to_the_hosts_that_slurm_gives():
    nights = dict(setting("a", "pair", "odd").nights)
    nights["pair"] = replace(nights["pair"], needs=Needs(2))
    nights["odd"] = replace(nights["odd"], needs=Needs(2, named=("h1", "h9")))
    before = setting_on(nights, ())
    assert {name: each.hosts for name, each in before.jobs.items()} == dict.fromkeys(nights, ())
    assert bound_on(before) == 0
    given = setting_on(nights, [Target("h1", "10.0.0.1"), Target("h2", "10.0.0.2")])
    assert {name: (each.hosts, each.count) for name, each in given.jobs.items()} == {
        "a": (("h1", "h2"), 1), "pair": (("h1", "h2"), 2), "odd": ((), 2),
    }  # fmt: skip
    assert bound_on(given) == 7200
    assert isinstance(given, Setting)
    assert largest(list(nights.values())) == 2
    asks = replace(nights["odd"], needs=Needs(2, patterns=("h*",), labels={"rack": "1"}))
    assert on_paper(asks).needs == Needs(2)


@pytest.mark.parametrize(("before", "now", "lines"), [
    (job(job=0, nodes=()), job(nodes=(), ends_at=""), ["Slurm job 12 is submitted"]),
    (job(job=0, nodes=()), job(own=False, nodes=()), ["Slurm job 12 is used, and not ended"]),
    (job(nodes=()), job(), ["Slurm job 12 has h1, h2 until 2026-11-28T06:00:00Z"]),
    (job(nodes=(), ends_at=""), job(ends_at=""), ["Slurm job 12 has h1, h2 without a limit"]),
    (job(), job(ends_at="2026-11-28T07:00:00Z"),
     ["Slurm job 12 ends at 2026-11-28T07:00:00Z, no longer at 2026-11-28T06:00:00Z"]),
    (job(), job(unfit={"h1": "draining (fan)"}),
     ["h1 takes no further nights: Slurm says draining (fan)"]),
    (job(unfit={"h1": "down"}), job(), ["h1 takes nights again: Slurm uses it"]),
    (job(), job(ended=CANCELLED), [f"no further night begins: {CANCELLED}"]),
    (job(), job(released=True), ["Slurm job 12 is cancelled"]),
    (job(), job(), []),
    (None, job(), []),
])  # fmt: skip
def test_what_the_screen_says_of_the_job(before, now, lines):
    assert list(lines_of(before, now)) == lines


@pytest.mark.parametrize(("state", "expected"), [
    (None, ""),
    (job(job=0, nodes=(), ended="Slurm refuses the job: no"), "Slurm refuses the job: no"),
    (job(job=0, nodes=()), "no Slurm job was submitted"),
    (job(released=True), "Slurm job 12 of partition night on h1, h2: cancelled at the end"),
    (job(own=False, nodes=()),
     "Slurm job 12 of partition night, in which the suite ran and which it did not end"),
    (job(earlier=(11,), ended=CANCELLED, partition=""),
     "Slurm job 12, after 11 on h1, h2: CANCELLED: it was cancelled, and not by this run"),
])  # fmt: skip
def test_what_the_report_says_of_the_job(state, expected):
    run = suite_run(ended("a", "pass"), slurm=state)
    assert job_text(run) == expected
    assert (f"Hosts: {expected}." in markdown_of(run)) is bool(expected)


def test_a_controller_that_goes_on_asks_for_the_same_job():
    left = job(unfit={"h1": "down"}, ended=CANCELLED, until=text(1), released=True)
    going_on = again(left, None)
    assert (going_on.job, going_on.own, going_on.nodes) == (12, True, ())
    assert (going_on.unfit, going_on.ended, going_on.released) == ({}, "", False)


@pytest.mark.parametrize(("variable", "own"), [("", True), ("7", False)])
def test_a_job_that_is_not_submitted(monkeypatch, variable, own):
    monkeypatch.setenv("SLURM_JOB_ID", variable)

    class Hosts:
        login = None
        partition = "p"

    state = first_state(Hosts())
    assert (state.job, state.own, state.nodes, state.partition) == (0, own, (), "p")
