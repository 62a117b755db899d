"""Interrupts: every wait of a command receives the first one, also a wait that begins later."""

from __future__ import annotations

import os
import signal
from queue import SimpleQueue

import pytest

from ci.errors import Interrupted
from ci.run.events import raise_pending
from ci.run.interrupt import SIGNALS, Interrupts, interrupts


def test_every_running_night_receives_it_once():
    received, nights = Interrupts(), [SimpleQueue(), SimpleQueue()]
    with received.forward_to(nights[0]), received.forward_to(nights[1]):
        received.deliver("SIGINT")
        received.deliver("SIGINT")
    assert [night.qsize() for night in nights] == [1, 1]
    assert str(nights[0].get()) == "interrupted by SIGINT"


def test_a_night_that_begins_afterwards_receives_it_immediately():
    received, night = Interrupts(), SimpleQueue()
    received.deliver("SIGTERM")
    with received.forward_to(night):
        assert isinstance(night.get(), Interrupted)


def test_a_night_that_has_ended_does_not_receive_it():
    received, night = Interrupts(), SimpleQueue()
    with received.forward_to(night):
        pass
    received.deliver("SIGINT")
    assert night.empty()


def test_an_interrupt_that_arrived_while_nothing_waited_is_found_behind_other_events():
    night: SimpleQueue = SimpleQueue()
    night.put(object())
    raise_pending(night)
    night.put(object())
    night.put(Interrupted("interrupted by SIGINT"))
    with pytest.raises(Interrupted):
        raise_pending(night)


@pytest.mark.parametrize("number", SIGNALS)
def test_signals_are_handled_and_reported_twice_at_most(number: signal.Signals):
    before = {known: signal.getsignal(known) for known in SIGNALS}
    messages: list[str] = []
    try:
        with interrupts(messages.append) as received:
            for _ in range(3):
                os.kill(os.getpid(), number)
            assert received.first == number.name
        reported = [message.split(":")[0] for message in messages]
        assert reported == [number.name, f"{number.name} again"]
        assert {signal.getsignal(known) for known in SIGNALS} == {signal.SIG_IGN}
    finally:
        for known, handler in before.items():
            signal.signal(known, handler)


def test_without_a_signal_the_handlers_are_restored():
    before = {known: signal.getsignal(known) for known in SIGNALS}
    with interrupts(lambda _: None):
        pass
    assert {known: signal.getsignal(known) for known in SIGNALS} == before
