"""Test when a night is run again: by what it failed by, and not when much fails at once."""

import pytest
from suite_runs import attempt, ended, night

from ci.suite.model import Retry
from ci.suite.rerun import too_many_failed, why_not_again

ENVIRONMENT = ("host_lost", "environment")
# outcome, exit code, reasons, retry → may be run again
RULES = [
    ("pass", 0, (), {}, False),
    ("fail", 1, ENVIRONMENT, {}, False),
    ("unknown", 3, ENVIRONMENT, {}, True),
    ("unknown", 3, (), {}, False),  # no class of the failure table: a time-out of a server, too
    ("unknown", 2, ENVIRONMENT, {}, False),  # a mistake of the operator
    ("unknown", 130, ENVIRONMENT, {}, False),
    ("unknown", 3, ("crash", "product"), {"reasons": ["crash"]}, False),
    ("unknown", 3, ("tool_error", "tool"), {}, False),
    ("unknown", 3, ("tool_error", "tool"), {"reasons": ["tool"]}, True),
    (
        "unknown",
        3,
        ("port_in_use", "environment", "port_of_zmq"),
        {"reasons": ["port_of_zmq"]},
        True,
    ),
    ("unknown", 3, ENVIRONMENT, {"reasons": ["port_in_use"]}, False),
    ("unknown", 3, ENVIRONMENT, {"times": 0}, False),
    # May be a time-out of the product: the side alone is no reason, its own name is.
    ("unknown", 3, ("hccl_timeout", "environment", "hccl_waits"), {}, False),
    ("unknown", 3, ("hccl_timeout", "environment"), {"reasons": ["hccl_timeout"]}, True),
    ("unknown", 3, ("worker_hangs", "environment"), {}, False),
]


@pytest.mark.parametrize(("outcome", "code", "reasons", "retry", "again"), RULES)
def test_by_what_it_failed_by(outcome, code, reasons, retry, again):
    last = attempt(outcome, reasons=reasons, exit_code=code)
    why = why_not_again(night("n", "ended", last), Retry(**retry))
    assert (why is None) == again


@pytest.mark.parametrize(
    ("failures", "times", "again"), [(1, 1, True), (2, 1, False), (2, 2, True), (3, 2, False)]
)
def test_so_often(failures, times, again):
    attempts = [attempt("unknown", reasons=ENVIRONMENT) for _ in range(failures)]
    why = why_not_again(night("n", "ended", *attempts), Retry(times=times))
    assert (why is None) == again


def test_a_signal_of_the_operator_is_no_failure():
    stopped = attempt("unknown", exit_code=130)
    lost = attempt("unknown", reasons=ENVIRONMENT)
    assert why_not_again(night("n", "ended", stopped, lost), Retry()) is None
    nights = [night(name, "waiting", stopped) for name in "abc"]
    assert too_many_failed(nights, Retry()) == ""


def test_a_night_that_was_never_begun():
    assert why_not_again(night("n"), Retry()) == ""


@pytest.mark.parametrize(
    ("outcomes", "most", "too_many"),
    [
        ("u", 0.5, False),  # a single one is not many
        ("up", 0.5, False),
        ("uu", 0.5, True),
        ("upp", 0.1, False),
        ("uupp", 0.5, False),
        ("uuupp", 0.5, True),
        ("fuupp", 0.5, True),
        ("uuuuuppp", 0.7, False),
        ("uupw", 0.4, True),  # of all nights, also those that wait
        ("uupwww", 0.4, False),
        ("uup-", 0.6, True),  # but not of those that are left out
        ("UUpp", 0.4, False),  # muted
    ],
)
def test_too_many_failed(outcomes, most, too_many):
    kinds = {"u": "unknown", "f": "fail", "p": "pass"}
    nights = []
    for number, each in enumerate(outcomes):
        name = str(number)
        if each.lower() in kinds:
            nights.append(ended(name, kinds[each.lower()], muted=each.isupper()))
        else:
            nights.append(night(name, "left-out" if each == "-" else "waiting"))
    why = too_many_failed(nights, Retry(most_failed=most))
    assert bool(why) == too_many


def test_it_says_how_many():
    nights = [ended(name, "unknown") for name in "abc"] + [ended("d", "pass")]
    assert too_many_failed(nights, Retry()).startswith("3 of 4 nights have failed, more than 50%")
