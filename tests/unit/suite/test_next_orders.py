"""Test what a running suite does next, event by event."""

import pytest
from suite_runs import at, attempt, ended, night, quarantine, setting, suite_run, text

from ci.suite.events import (
    Ended,
    decided,
    host_released,
    hosts_failed,
    night_began,
    night_ended,
    night_not_begun,
    quarantined,
)
from ci.suite.model import Retry
from ci.suite.next_orders import Begin, next_orders, taken_bound_s

LOST = ("host_lost", "environment")


def begun(orders):
    return {each.night: each.hosts for each in orders.begin}


def lost(host, hours=1.0):
    return Ended(text(hours), "unknown", 3, "UNKNOWN", "lost", LOST, {host: "it is lost"})


def test_nights_begin_on_disjoint_hosts_and_the_rest_waits():
    run = suite_run(night("a"), night("b"), night("c"))
    orders = next_orders(run, setting("a", "b", "c"), at())
    assert set(begun(orders).values()) == {("h1",), ("h2",)}
    assert not orders.finished
    assert not orders.left_out
    (waiting,) = {"a", "b", "c"} - begun(orders).keys()
    assert orders.expected[waiting][0] == at(1)


def test_an_ended_night_frees_its_hosts():
    run = suite_run(night("a", "running", attempt("running", "h1")), night("b"))
    here = setting("a", "b", hosts=1)
    assert begun(next_orders(run, here, at(0.5))) == {}
    run = night_ended(run, "a", Ended(text(0.6), "pass", 0), Retry())
    assert begun(next_orders(run, here, at(0.6))) == {"b": ("h1",)}


def test_a_night_that_still_runs_although_the_suite_no_longer_has_it():
    """Its entry was removed, or its case broken, before the suite was resumed."""
    here = setting("b", hosts=1)
    run = suite_run(night("a", "running", attempt("running", "h1")), night("b"))
    orders = next_orders(run, here, at(0.5))
    assert (begun(orders), orders.finished) == ({}, False)
    assert orders.expected["b"] == (at(1), ("h1",))
    run = night_ended(run, "a", lost("h1"), here.retry_of("a"))
    assert run.night("a").state == "ended"
    assert begun(next_orders(run, here, at(1))) == {"b": ("h1",)}


def test_what_does_not_fit_the_window_any_more_is_left_out():
    run = suite_run(night("a", "running", attempt("running", "h1")), night("b"), until=text(2))
    here = setting("a", "b", hosts=1)
    assert next_orders(run, here, at(0.9)).left_out == {}
    orders = next_orders(run, here, at(1.1))
    assert orders.left_out == {"b": "is expected to take 1h00m, but the window has 54m"}
    run = decided(run, orders)
    assert (run.night("b").state, run.night("b").note[:12]) == ("left-out", "is expected ")


def test_nothing_begins_before_the_window():
    run = suite_run(night("a"), begins_at=text(2))
    orders = next_orders(run, setting("a"), at())
    assert (begun(orders), orders.finished) == ({}, False)
    assert orders.expected["a"] == (at(2), ("h1",))
    assert begun(next_orders(run, setting("a"), at(2))) == {"a": ("h1",)}


def test_a_failed_host_is_out_and_its_night_goes_to_another():
    here = setting("a", hosts=3)
    run = night_began(suite_run(night("a")), Begin("a", ("h1",)), "r1", text())
    run = night_ended(run, "a", lost("h1"), Retry())
    run = hosts_failed(run, "a", {"h1": "10.0.0.1:22"}, "me@here")
    assert [(each.host, each.address, each.run) for each in run.quarantined] == [
        ("h1", "10.0.0.1:22", "r1")
    ]
    assert begun(next_orders(run, here, at(1))) == {"a": ("h2",)}


def test_a_night_goes_back_to_its_host_if_there_is_no_other():
    failed = attempt("unknown", "h1", reasons=("network", "environment"))
    run = suite_run(night("a", "waiting", failed))
    assert begun(next_orders(run, setting("a", hosts=2), at(1))) == {"a": ("h2",)}
    assert begun(next_orders(run, setting("a", hosts=1), at(1))) == {"a": ("h1",)}


def test_a_night_is_not_run_again_while_most_have_failed():
    again = night("a", "waiting", attempt("unknown", reasons=LOST))
    others = [ended("b", "unknown", reasons=LOST), ended("c", "pass")]
    run = suite_run(again, *others)
    orders = next_orders(run, setting("a", "b", "c"), at(1))
    assert (begun(orders), orders.finished) == ({}, True)
    assert orders.not_again["a"].startswith("2 of 3 nights have failed")
    run = decided(run, orders)
    assert (run.night("a").state, run.night("a").outcome) == ("ended", "unknown")


def test_a_night_that_waits_for_fewer_failures_is_run_again_later():
    again = night("a", "waiting", attempt("unknown", reasons=LOST))
    others = [ended("b", "unknown", reasons=LOST), night("c", "running", attempt("running", "h1"))]
    run = suite_run(again, *others)
    orders = next_orders(run, setting("a", "b", "c"), at(1))
    assert (begun(orders), orders.not_again, orders.finished) == ({}, {}, False)
    run = run.with_night(ended("b", "pass"))
    assert begun(next_orders(run, setting("a", "b", "c"), at(1))) == {"a": ("h2",)}


def test_a_retry_that_fits_the_window_no_more_has_its_outcome():
    run = suite_run(night("a", "waiting", attempt("unknown", reasons=LOST)), until=text(1.5))
    orders = next_orders(run, setting("a"), at(1))
    assert orders.left_out == {}
    assert orders.not_again == {"a": "is expected to take 1h00m, but the window has 30m"}


def test_after_a_signal_nothing_begins():
    running = night("a", "running", attempt("running", "h1"))
    run = suite_run(running, night("b"), interrupted="SIGINT")
    orders = next_orders(run, setting("a", "b"), at(0.1))
    assert (begun(orders), orders.finished) == ({}, False)
    assert orders.left_out == {"b": "SIGINT ended the suite"}
    run = night_ended(run, "a", lost("h1"), Retry())
    assert run.night("a").state == "ended"
    assert next_orders(decided(run, orders), setting("a", "b"), at(0.2)).finished


def test_too_few_hosts_are_left():
    run = quarantined(suite_run(night("a")), quarantine("h1"))
    here = setting("a", hosts=2, need={"a": 2})
    orders = next_orders(run, here, at())
    assert (orders.finished, orders.left_out) == (True, {"a": "needs 2 hosts, 1 take nights"})
    waiting = next_orders(run, here, at(), proving=True)
    assert (waiting.finished, waiting.left_out) == (False, {})
    run = host_released(run, "h1")
    assert (run.released, run.quarantined) == (("h1",), ())
    assert begun(next_orders(run, here, at())) == {"a": ("h1", "h2")}


def test_the_first_reason_of_a_quarantine_stays():
    run = quarantined(suite_run(night("a")), quarantine("h1", "first"))
    assert [each.run for each in quarantined(run, quarantine("h1", "second")).quarantined] == [
        "first"
    ]


def test_nights_beside_each_other_have_devices_of_their_own():
    here = setting("a", "b", "c", hosts=1, devices=3)
    orders = next_orders(suite_run(night("a"), night("b"), night("c")), here, at())
    devices = [each.devices["h1"] for each in orders.begin]
    assert sorted(devices) == [(0, 1, 2), (3, 4, 5)]
    run = suite_run(
        night("a", "running", attempt("running", "h1", devices={"h1": (3, 4, 5)})), night("b")
    )
    (begin,) = next_orders(run, here, at()).begin
    assert begin.devices == {"h1": (0, 1, 2)}


def test_a_process_that_ended_before_it_began_waits_again():
    run = night_began(suite_run(night("a")), Begin("a", ("h1",)), "r1", text())
    run = night_not_begun(run, "a")
    assert (run.night("a").state, run.night("a").attempts) == ("waiting", ())


@pytest.mark.parametrize("hosts", [1, 2])
def test_the_bound_of_what_ran(hosts):
    run = suite_run(
        night("a", "ended", attempt("unknown", "h1", ended=0.5), attempt("pass", "h1", ended=1)),
        night("b", "ended", attempt("pass", "h1", ended=0.5)),
    )
    assert taken_bound_s(run, setting("a", "b", hosts=hosts)) == 7200 / hosts


def test_all_done():
    run = suite_run(ended("a", "pass"), ended("b", "fail"))
    assert next_orders(run, setting("a", "b"), at(1)).finished


def test_of_very_many_nights_an_event_begins_what_has_room(monkeypatch):
    monkeypatch.setattr("ci.suite.next_orders.MANY_NIGHTS", 2)
    names = "abcdef"
    here = setting(*names, hosts=3)
    run = suite_run(*map(night, names))
    first = next_orders(run, here, at())
    quick = next_orders(run, here, at(), first.order, whole=False)
    assert begun(quick) == begun(first)
    assert (quick.left_out, quick.finished) == ({}, False)
    for begin in quick.begin:
        run = night_began(run, begin, begin.night, text())
    quick = next_orders(run, here, at(0.1), quick.order, whole=False)
    assert (begun(quick), quick.finished) == ({}, False)
