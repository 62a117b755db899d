"""Test the lower bound of a makespan."""

import itertools

import pytest
from random_suites import benchmark

from ci.suite.board import work_on
from ci.suite.bound import lower_bound
from ci.suite.feasible import functions
from ci.suite.jobs import Host, Job, State
from ci.suite.orders import orders
from ci.suite.play import play

FOUR = ("a", "b", "c", "d")


def bound_of(*jobs, names=FOUR):
    """Return the bound of jobs, each (number of hosts, seconds[, devices of 8])."""
    made = [
        Job(str(n), names, count, seconds, *more) for n, (count, seconds, *more) in enumerate(jobs)
    ]
    return lower_bound([Host(name, 8) for name in names], made)


@pytest.mark.parametrize(
    ("jobs", "expected"),
    [
        ([], 0),
        ([(1, 50)], 50),
        ([(1, 10)] * 8, 20),
        ([(4, 10), (4, 20)], 30),
        ([(3, 10), (3, 20)], 30),  # each needs more than half of the hosts
        ([(4, 10), (1, 70)], 80),  # one beside nothing
        ([(3, 10), (2, 70)], 80),
        ([(1, 10)] * 5, 20),  # two of five are on one host
        ([(1, 10, 4)] * 16, 20),  # two share a host
        ([(1, 10, 8)] * 8, 20),
        ([(1, 10, 5)] * 8, 20),  # no two share a host
    ],
)
def test_bound(jobs, expected):
    assert bound_of(*jobs) == pytest.approx(expected, rel=1e-3)


def test_jobs_that_name_a_host_run_one_after_another():
    hosts = [Host(name) for name in FOUR]
    jobs = [Job(str(n), ("a",), 1, 10) for n in range(3)]
    assert lower_bound(hosts, [*jobs, Job("any", FOUR, 1, 5)]) == 30


def test_a_wide_job_takes_part_of_the_hosts_that_others_name():
    """Of four hosts a job on three uses at least one of the two that another job needs."""
    hosts = [Host(name) for name in FOUR]
    jobs = [Job("wide", FOUR, 3, 10), Job("pair", ("a", "b"), 2, 20)]
    assert lower_bound(hosts, jobs) == 30


def test_a_job_that_cannot_run_does_not_count():
    assert bound_of((9, 100), (1, 10)) == 10


@pytest.mark.parametrize("seed", range(8))
def test_no_schedule_is_shorter(seed):
    hosts, jobs = benchmark.random_suite(seed)
    jobs = benchmark.plain(jobs[: 6 + 3 * seed])
    state, wanted = State(0.0, hosts, jobs), work_on(hosts, jobs)
    best = min(play(state, order, wanted).makespan_s for order in orders(jobs, strict=True))
    assert 0 < lower_bound(hosts, jobs) <= best


def test_what_fits_fits_after_each_function():
    """All ways to fill 1 with parts of 12ths."""
    parts = [n / 12 for n in range(1, 13)]
    fitting = [
        sizes
        for count in range(1, 6)
        for sizes in itertools.combinations_with_replacement(range(1, 13), count)
        if sum(sizes) <= 12
    ]
    for function in functions(parts):
        values = [function(part) for part in parts]
        assert max(sum(values[n - 1] for n in sizes) for sizes in fitting) <= 1 + 1e-9
