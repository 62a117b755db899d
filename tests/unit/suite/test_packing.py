"""Test where and when the nights of a suite are placed, and what is not begun."""

import math
from dataclasses import replace

import pytest
from random_suites import benchmark

from ci.suite.board import OVERDUE_S
from ci.suite.jobs import Host, Job, Running, State
from ci.suite.packing import begin_now, plan

HOUR = 3600.0
ABC = ("a", "b", "c")


def hosts_of(names=ABC, devices=8):
    return tuple(Host(name, devices) for name in names)


def job(name, hours=1.0, count=1, hosts=ABC, **more):
    return Job(name, hosts, count, hours * HOUR, **more)


def starts(jobs, names=ABC, **state):
    schedule = plan(State(0.0, hosts_of(names), tuple(jobs), **state))
    placed = {
        each.job.name: (each.start_s / HOUR, "".join(sorted(each.hosts)))
        for each in schedule.placements
    }
    return placed, {each.job.name for each in schedule.left_out}


def test_nights_run_at_once_on_disjoint_hosts_the_longest_first():
    placed, left_out = starts([job("short"), job("long", 3), job("wide", 2, count=2)])
    assert {start for start, _ in placed.values()} == {0.0, 2.0}
    assert placed["long"][0] == placed["wide"][0] == 0.0
    assert not set(placed["long"][1]) & set(placed["wide"][1])
    assert left_out == set()


@pytest.mark.parametrize("first", [{"priority": 1}, {"canary": True}])
def test_a_priority_and_a_canary_come_before_what_is_longer(first):
    jobs = [job("long", 5), job("first", 1, **first), job("other", 4)]
    placed, _ = starts(jobs, ("a",))
    assert placed["first"][0] == 0.0


def test_a_canary_comes_before_a_priority():
    placed, _ = starts([job("high", priority=9), job("canary", canary=True)], ("a",))
    assert placed["canary"][0] == 0.0


# One of three hosts is busy for an hour, so that a job on three waits; two narrow ones could begin.
BUSY = {"running": (Running(job("now"), ("a",), 1 * HOUR),)}
NARROW = [job(f"narrow-{n}", 3) for n in range(2)]
WIDE = job("wide", 4, count=3, priority=1)


def test_a_wide_job_of_a_higher_priority_is_not_delayed_by_narrow_ones():
    elsewhere = job("elsewhere", 9, hosts=("d",))
    placed, _ = starts([*NARROW, WIDE, elsewhere], (*ABC, "d"), **BUSY)
    assert placed["wide"][0] == 1.0
    assert {placed[each.name][0] for each in NARROW} == {5.0}


def test_it_is_if_the_night_would_become_much_longer():
    placed, _ = starts([*NARROW, WIDE], **BUSY)
    assert placed["wide"][0] == 3.0
    assert {placed[each.name][0] for each in NARROW} == {0.0}


def test_a_canary_is_not_delayed_in_any_case():
    canary = replace(WIDE, canary=True)
    assert starts([*NARROW, canary], **BUSY)[0]["wide"][0] == 1.0


def test_short_jobs_run_before_a_wide_one_can_begin():
    running = (Running(job("now"), ("a",), 1 * HOUR),)
    jobs = [job("short", 1), job("wide", 4, count=3, priority=1)]
    placed, _ = starts(jobs, running=running)
    assert (placed["short"][0], placed["wide"][0]) == (0.0, 1.0)


def test_what_does_not_fit_the_window_is_not_begun():
    placed, left_out = starts(
        [job("long", 3), job("short", 1), job("too-long", 9)], ("a",), until_s=4 * HOUR
    )
    assert set(placed) == {"long", "short"}
    assert left_out == {"too-long"}


def test_in_a_small_window_the_higher_priority_runs():
    placed, left_out = starts(
        [job("long", 4), job("high", 1, priority=1)], ("a",), until_s=4 * HOUR
    )
    assert set(placed) == {"high"}
    assert left_out == {"long"}


def test_a_left_out_job_says_when_it_could_begin():
    state = State(0.0, hosts_of(("a", "b")), (job("one", 3), job("two", 1.4, count=2)))
    schedule = plan(replace(state, until_s=4 * HOUR))
    (left,) = schedule.left_out
    assert (left.job.name, left.usable, left.could_begin_s) == ("two", 2, 3 * HOUR)


def test_a_job_with_too_few_hosts_is_left_out():
    state = State(0.0, hosts_of(), (job("wide", count=3),), quarantined=frozenset("a"))
    (left,) = plan(state).left_out
    assert (left.usable, left.could_begin_s) == (2, None)


def test_a_quarantined_host_takes_nothing():
    placed, _ = starts([job(f"job-{n}") for n in range(4)], quarantined=frozenset("b"))
    assert {host for _, host in placed.values()} == {"a", "c"}


def test_jobs_share_a_host_by_its_devices():
    jobs = [job("four", devices=4), job("two", devices=2), job("two-more", devices=2)]
    placed, _ = starts([*jobs, job("whole")], ("a", "b"))
    assert {start for start, _ in placed.values()} == {0.0}
    assert len({placed[each.name][1] for each in jobs}) == 1


def test_jobs_with_a_common_port_do_not_share_a_host():
    ports = frozenset({8000})
    jobs = [job("one", devices=1, ports=ports), job("two", devices=1, ports=ports)]
    assert {start for start, _ in starts(jobs, ("a",))[0].values()} == {0.0, 1.0}
    other = [jobs[0], job("two", devices=1, ports=frozenset({8001}))]
    assert {start for start, _ in starts(other, ("a",))[0].values()} == {0.0}


def test_a_whole_host_is_not_shared():
    placed, _ = starts([job("whole"), job("part", devices=1)], ("a",))
    assert {start for start, _ in placed.values()} == {0.0, 1.0}


def test_what_shares_weights_stays_on_the_hosts_that_have_them():
    """Two models, each with two nights of the same length: each model needs only one host."""
    jobs = [job(f"{model}{n}", uses=frozenset({model})) for n in range(2) for model in "xy"]
    placed, _ = starts(jobs, ("a", "b"))
    assert placed["x0"][1] == placed["x1"][1]
    assert placed["y0"][1] == placed["y1"][1]


def test_among_equal_hosts_the_prepared_one_is_taken():
    hosts = (Host("a", 8), Host("b", 8, frozenset({"vllm 0.32.0"})), Host("c", 8))
    one = job("one", uses=frozenset({"vllm 0.32.0"}))
    (placed,) = plan(State(0.0, hosts, (one,))).placements
    assert placed.hosts == ("b",)


def test_a_host_that_others_need_is_taken_last():
    """A job that may run anywhere leaves the host that another one names."""
    jobs = [job("any", 2), job("named", 1, hosts=("a",))]
    placed, _ = starts(jobs, ("a", "b"))
    assert placed == {"any": (0.0, "b"), "named": (0.0, "a")}


def test_an_overdue_job_keeps_its_host():
    running = (Running(job("late"), ("a",), 0.0),)
    schedule = plan(State(HOUR, hosts_of(("a",)), (job("next"),), running))
    assert begin_now(schedule, HOUR) == ()
    assert schedule.placements[0].start_s == HOUR + OVERDUE_S


def test_nothing_to_do():
    schedule = plan(State(5.0, hosts_of(), ()))
    assert (schedule.placements, schedule.left_out, schedule.makespan_s) == ((), (), 0.0)


def test_no_host_at_all():
    schedule = plan(State(0.0, (), (job("one"),)))
    assert [each.job.name for each in schedule.left_out] == ["one"]


@pytest.mark.parametrize("seed", range(12))
def test_random_suites_are_packed_within_ten_percent_of_the_bound(seed):
    """`python benchmarks/packing.py` measures 200 of them."""
    hosts, jobs = benchmark.random_suite(seed)
    for chosen in (jobs, benchmark.plain(jobs)):
        schedule = plan(State(0.0, hosts, chosen), tries=60)
        benchmark.verify(schedule, hosts, chosen)
        assert schedule.bound_s <= schedule.makespan_s <= benchmark.WANTED * schedule.bound_s


def played(hosts, jobs, takes, until_s=math.inf):
    """Run a night event by event, as a runner does; `takes` is how long each job takes."""
    now, running, waiting, order, begun = 0.0, [], list(jobs), None, []
    while True:
        state = State(now, hosts, tuple(waiting), tuple(running), until_s=until_s)
        schedule = plan(state, order, tries=20)
        order = schedule.order
        for each in begin_now(schedule, now):
            waiting.remove(each.job)
            busy = [host for other in running if not other.job.devices for host in other.hosts]
            assert not set(busy) & set(each.hosts)
            running.append(Running(each.job, each.hosts, now + each.job.expected_s))
            begun.append(each)
        if not running:
            return begun, waiting, now
        ends = {each.job.name: begin_of(begun, each) + takes(each.job) for each in running}
        now = min(ends.values())
        running = [each for each in running if ends[each.job.name] > now]


def begin_of(begun, running):
    return next(each.start_s for each in begun if each.job.name == running.job.name)


@pytest.mark.parametrize("seed", [3, 5])
def test_one_plan_after_another_keeps_to_the_first(seed):
    hosts, jobs = benchmark.random_suite(seed)
    jobs = jobs[:30]
    first = plan(State(0.0, hosts, jobs), tries=20)
    begun, waiting, end = played(hosts, jobs, lambda job: job.expected_s)
    assert waiting == []
    assert len(begun) == len(jobs)
    assert end <= first.makespan_s * 1.02


def test_jobs_that_take_longer_than_expected_all_run_on_disjoint_hosts():
    hosts, jobs = benchmark.random_suite(7)
    begun, waiting, _ = played(hosts, jobs[:25], lambda job: job.expected_s * 1.3 + 7)
    assert waiting == []
    assert len(begun) == 25
