"""The same work for many hosts: order, and errors that hide nobody else's outcome."""

from __future__ import annotations

import signal
import threading

import pytest

from ci.connect.fan_out import SeveralFailed, all_of, fan_out
from ci.errors import HostUnreachable


def test_outcomes_come_in_the_order_of_the_hosts_whoever_is_first():
    last_is_done = threading.Event()

    def work(name: str) -> str:
        if name == "c":
            last_is_done.set()
        else:
            assert last_is_done.wait(60)
        return name.upper()

    assert list(fan_out(["a", "b", "c"], work).items()) == [("a", "A"), ("b", "B"), ("c", "C")]


def test_an_error_is_a_value_and_the_others_have_theirs():
    def work(name: str) -> str:
        if name == "b":
            raise HostUnreachable("b is down")
        return name

    outcomes = fan_out(["a", "b", "c"], work)
    assert (outcomes["a"], outcomes["c"]) == ("a", "c")
    with pytest.raises(HostUnreachable, match="b is down"):
        all_of(outcomes)


def test_a_defect_is_no_outcome():
    with pytest.raises(ZeroDivisionError):
        fan_out(["a", "b"], lambda _: 1 / 0)


def test_all_errors_are_kept_and_the_first_few_said():
    errors = {name: HostUnreachable(f"{name} is down") for name in "abcde"}
    with pytest.raises(SeveralFailed) as raised:
        all_of(errors)
    assert raised.value.errors == tuple(errors.values())
    assert str(raised.value) == ("a is down; b is down; c is down; and 2 more, see the journal")


def test_no_hosts_are_no_work():
    assert fan_out([], lambda name: name) == {}
    assert all_of({}) == {}


@pytest.mark.parametrize("interrupting", [True, False])
def test_ctrl_c_does_not_wait_for_what_takes_long(*, interrupting: bool):
    """A signal that another thread takes has the effect of one just before the wait begins."""
    begun, end = threading.Barrier(3), threading.Event()
    waiting = threading.main_thread().ident

    def work(_: str) -> None:
        begun.wait(60)
        end.wait(600)

    def press() -> None:
        begun.wait(60)
        signal.pthread_kill(waiting if interrupting else threading.get_ident(), signal.SIGINT)

    threading.Thread(target=press, daemon=True).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            fan_out(["a", "b"], work)
    finally:
        end.set()
