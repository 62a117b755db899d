"""Test which hosts a night may use, in which window, and what the plan of a suite says."""

import datetime as dt

import pytest
from suites import nights, target, write_case

from ci.errors import UserError
from ci.suite.hosts import fits, host_of, job_of, too_few, usable
from ci.suite.model import Window
from ci.suite.night import Needs
from ci.suite.planned import duration, later, plan_suite, seconds_between
from ci.suite.window import Span, span_of

NPU = [target(f"npu-{n}") for n in (1, 2)]
HOSTS = (*NPU, target("gpu-1", "cuda", 4), target("here", "cpu", 0), target("unknown", None))


@pytest.mark.parametrize(
    ("needs", "expected"),
    [
        (Needs(1, "ascend", 8), ["npu-1", "npu-2", "unknown"]),
        (Needs(1, "ascend", 9), ["unknown"]),
        (Needs(1, "cuda", 2), ["gpu-1", "unknown"]),
        (Needs(1, "cpu"), ["here", "unknown"]),
        (Needs(1, "", 2), ["npu-1", "npu-2", "gpu-1", "unknown"]),
        (Needs(1), ["npu-1", "npu-2", "gpu-1", "here", "unknown"]),
        (Needs(1, patterns=("npu-*", "here")), ["npu-1", "npu-2", "here"]),
        (Needs(2, "ascend", 8, named=("npu-2", "npu-1")), ["npu-2", "npu-1"]),
        (Needs(2, "ascend", named=("elsewhere-1", "elsewhere-2")), ["npu-1", "npu-2", "unknown"]),
    ],
)
def test_usable_hosts(needs, expected):
    assert list(usable(needs, HOSTS)) == expected


def test_labels():
    host = target("a", labels={"rack": "7", "net": "ib-400"})
    assert fits(Needs(1, labels={"rack": "7", "net": "ib-*"}), host)
    assert not fits(Needs(1, labels={"rack": "8"}), host)
    assert not fits(Needs(1, labels={"row": "*?"}), host)


def test_a_case_that_names_only_some_hosts_of_the_cluster():
    with pytest.raises(UserError, match="its cluster_hosts other are not in the cluster file"):
        usable(Needs(2, named=("npu-1", "other")), HOSTS)


def test_a_host_has_at_least_one_place():
    assert [host_of(each).devices for each in HOSTS] == [8, 8, 4, 1, 1]


@pytest.fixture
def folder(tmp_path):
    write_case(tmp_path, "one")
    write_case(tmp_path, "two", hosts=2)
    return tmp_path


SHARE = "nights: [{cases: one, share: true, devices: 2}]\n"


def test_a_shared_night_takes_only_some_devices(folder):
    (night,) = nights(folder, SHARE)
    assert job_of(night, NPU).devices == 2
    # Where the number of devices is unknown, it takes the whole host.
    assert job_of(night, [*NPU, target("unknown", None)]).devices == 0


def test_too_few_hosts(folder):
    text = "nights: [{cases: two, hosts: {names: [npu-1], labels: {rack: '7'}}}]\n"
    (night,) = nights(folder, text)
    hosts = [target("npu-1", labels={"rack": "7"}), *NPU[1:]]
    assert too_few(night, hosts) == (
        "needs 2 hosts with ascend and 8 or more devices and names npu-1 and rack: 7; the cluster "
        "has 1 (npu-1)"
    )


def at(day, clock):
    """Return a local time of November 2026."""
    return dt.datetime.fromisoformat(f"2026-11-{day} {clock}")


NOON = at(27, "12:00")


@pytest.mark.parametrize(
    ("now", "window", "until", "expected"),
    [
        ((27, "12:00"), {}, "", ((27, "12:00"), None)),
        ((27, "12:00"), {}, "06:00", ((27, "12:00"), (28, "06:00"))),
        ((27, "05:00"), {}, "06:00", ((27, "05:00"), (27, "06:00"))),
        ((27, "06:00"), {}, "06:00", ((27, "06:00"), (28, "06:00"))),
        ((27, "12:00"), {"start": "22:00"}, "", ((27, "22:00"), None)),
        ((27, "23:00"), {"start": "22:00"}, "", ((27, "23:00"), None)),
        ((27, "12:00"), {"until": "06:00"}, "", ((27, "12:00"), (28, "06:00"))),
        ((27, "12:00"), {"start": "22:00", "until": "06:00"}, "", ((27, "22:00"), (28, "06:00"))),
        ((27, "23:00"), {"start": "22:00", "until": "06:00"}, "", ((27, "23:00"), (28, "06:00"))),
        ((27, "05:59"), {"start": "22:00", "until": "06:00"}, "", ((27, "05:59"), (27, "06:00"))),
        ((27, "06:00"), {"start": "22:00", "until": "06:00"}, "", ((27, "22:00"), (28, "06:00"))),
        ((27, "22:00"), {"start": "22:00", "until": "06:00"}, "", ((27, "22:00"), (28, "06:00"))),
        (
            (27, "12:00"),
            {"start": "22:00", "until": "06:00"},
            "23:00",
            ((27, "22:00"), (27, "23:00")),
        ),
        ((27, "12:00"), {"start": "10:00", "until": "18:00"}, "", ((27, "12:00"), (27, "18:00"))),
        ((27, "19:00"), {"start": "10:00", "until": "18:00"}, "", ((28, "10:00"), (28, "18:00"))),
    ],
)
def test_windows(now, window, until, expected):
    start, end = expected
    span = span_of(at(*now), Window(**window) if window else None, until)
    assert span == Span(at(*start), at(*end) if end else None)


@pytest.mark.parametrize(
    ("seconds", "text"), [(60, "1m"), (61, "2m"), (3600, "1h00m"), (7500, "2h05m")]
)
def test_durations_are_written_in_minutes(seconds, text):
    assert duration(seconds) == text


def test_times_are_local():
    assert later(NOON, 5400) == at(27, "13:30")
    assert seconds_between(NOON, later(NOON, 5400)) == 5400


def test_the_plan_of_a_suite(folder):
    text = """\
nights:
  - {cases: one, vllm: [0.32.0, 0.30.0], expected: 2h, priority: 1}
  - {cases: two, expected: 1h}
"""
    plan = plan_suite(nights(folder, text), NPU, Span(NOON, None))
    assert [(each.night.name, each.hosts, each.start) for each in plan.nights] == [
        ("one@0.32.0", ("npu-1",), NOON),
        ("one@0.30.0", ("npu-2",), NOON),
        ("two", ("npu-1", "npu-2"), at(27, "14:00")),
    ]
    assert plan.nights[-1].end == at(27, "15:00")
    assert (plan.makespan_s, plan.bound_s, plan.not_planned) == (3 * 3600, 3 * 3600, ())


def test_what_is_not_begun_and_why(folder):
    text = """\
nights:
  - {cases: one, expected: 2h, priority: 2}
  - {cases: one#one, hosts: {names: npu-1}, expected: 2h, priority: 2}
  - {cases: two, expected: 1h30m}
"""
    write_case(folder, "long")
    write_case(folder, "wide", hosts=3)
    text += "  - {cases: long, expected: 5h}\n  - {cases: wide}\n"
    plan = plan_suite(nights(folder, text), NPU, Span(NOON, at(27, "15:00")))
    assert {each.night.name: each.reason for each in plan.not_planned} == {
        "two": "could begin at 14:00 and take 1h30m, but the window ends at 15:00",
        "long": "is expected to take 5h00m, but the window has 3h00m",
        "wide": "needs 3 hosts with ascend and 8 or more devices; the cluster has 2 (npu-1, npu-2)",
    }


def test_hosts_of_a_case_are_in_its_own_order(folder):
    write_case(folder, "named", hosts=2, more="cluster_hosts: [npu-2, npu-1]\n")
    plan = plan_suite(nights(folder, "nights: [{cases: named}]\n"), NPU, Span(NOON, None))
    assert plan.nights[0].hosts == ("npu-2", "npu-1")
