"""Test canaries without which no other night begins."""

from dataclasses import replace

import pytest
from suite_runs import at, attempt, ended, night, setting, suite_run, text
from suites import nights as nights_of_text
from suites import write_case

from ci.inventory.target import Target
from ci.suite.events import decided
from ci.suite.next_orders import Setting, next_orders
from ci.suite.planned import plan_suite
from ci.suite.resume import resumed
from ci.suite.window import Span

LOST = ("host_lost", "environment")


def gated(*names, gates=("g",)):
    here = setting(*names, hosts=3)
    nights = {name: replace(each, gate=name in gates) for name, each in here.nights.items()}
    return Setting(nights, here.jobs, here.targets)


HERE = gated("g", "a", "b")
A, B = night("a"), night("b")
WHY = "the canary g has not passed"


@pytest.mark.parametrize(
    ("gate", "begun", "left_out"),
    [
        (night("g"), {"g"}, {}),
        (night("g", "running", attempt("running", "h1")), set(), {}),
        (night("g", "waiting", attempt("unknown", reasons=LOST)), {"g"}, {}),  # once more
        (ended("g", "pass"), {"a", "b"}, {}),
        (ended("g", "fail"), set(), {"a": WHY, "b": WHY}),
        (ended("g", "unknown"), set(), {"a": WHY, "b": WHY}),
        (night("g", "left-out"), set(), {"a": WHY, "b": WHY}),
        (ended("g", "fail", muted=True), {"a", "b"}, {}),
    ],
)
def test_nights_begin_once_the_gate_has_passed(gate, begun, left_out):
    run = suite_run(A, gate, B)
    orders = next_orders(run, HERE, at(2))
    assert {each.night for each in orders.begin} == begun
    assert orders.left_out == left_out
    assert orders.finished == bool(left_out)


def test_one_of_two_gates_is_enough_to_end_it():
    here = gated("g", "h", "a", gates=("g", "h"))
    run = suite_run(night("g", "running", attempt("running", "h1")), ended("h", "fail"), A)
    orders = next_orders(run, here, at(0.5))
    assert orders.left_out == {"a": "the canary h has not passed"}
    assert not orders.finished


def test_a_gate_that_has_no_host_ends_it():
    run = suite_run(night("g"), A, B, until=text(0.5))
    orders = next_orders(run, HERE, at())
    assert (set(orders.left_out), orders.finished) == ({"g", "a", "b"}, True)


def test_a_person_who_resumes_opens_the_gate_that_was_judged():
    run = suite_run(ended("g", "fail"), A, B)
    run = decided(run, next_orders(run, HERE, at(1)))
    run = run.model_copy(update={"ended_at": text(1)})
    run = resumed(run, HERE.nights, {}).model_copy(update={"ended_at": None})
    assert {each.night for each in next_orders(run, HERE, at(2)).begin} == {"a", "b"}


def test_the_plan_begins_the_rest_after_the_gate(tmp_path):
    for name in ("g", "a"):
        write_case(tmp_path, name)
    entries = "nights: [{cases: a, expected: 1h}, {cases: g, gate: true, expected: 10m}]\n"
    nights = nights_of_text(tmp_path, entries)
    assert [(each.gate, each.canary) for each in nights] == [(False, False), (True, True)]
    span = Span(at().replace(tzinfo=None), None)
    plan = plan_suite(nights, [Target("h1", "h1"), Target("h2", "h2")], span)
    begins = {each.night.name: (each.start - span.start).total_seconds() for each in plan.nights}
    assert begins == {"g": 0, "a": 600}
    assert plan.makespan_s == plan.bound_s == 4200
