"""Interrupts: every wait of a command hears of the first one, also one that begins later."""

from __future__ import annotations

import os
import signal
from queue import SimpleQueue

import pytest

from ci.errors import Interrupted
from ci.run.events import raise_pending
from ci.run.interrupt import SIGNALS, Interrupts, interrupts


def test_every_night_under_way_hears_of_it_once():
    taken, nights = Interrupts(), [SimpleQueue(), SimpleQueue()]
    with taken.into(nights[0]), taken.into(nights[1]):
        taken.take("SIGINT")
        taken.take("SIGINT")
    assert [night.qsize() for night in nights] == [1, 1]
    assert str(nights[0].get()) == "interrupted by SIGINT"


def test_a_night_that_begins_afterwards_hears_of_it_at_once():
    taken, night = Interrupts(), SimpleQueue()
    taken.take("SIGTERM")
    with taken.into(night):
        assert isinstance(night.get(), Interrupted)


def test_a_night_that_has_ended_is_left_alone():
    taken, night = Interrupts(), SimpleQueue()
    with taken.into(night):
        pass
    taken.take("SIGINT")
    assert night.empty()


def test_one_that_came_while_nothing_waited_is_found_behind_other_events():
    night: SimpleQueue = SimpleQueue()
    night.put(object())
    raise_pending(night)
    night.put(object())
    night.put(Interrupted("interrupted by SIGINT"))
    with pytest.raises(Interrupted):
        raise_pending(night)


@pytest.mark.parametrize("number", SIGNALS)
def test_signals_are_taken_and_said_twice_at_most(number: signal.Signals):
    before = {one: signal.getsignal(one) for one in SIGNALS}
    said: list[str] = []
    try:
        with interrupts(said.append) as taken:
            for _ in range(3):
                os.kill(os.getpid(), number)
            assert taken.first == number.name
        assert [one.split(":")[0] for one in said] == [number.name, f"{number.name} again"]
        assert {signal.getsignal(one) for one in SIGNALS} == {signal.SIG_IGN}
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def test_without_one_the_handlers_are_as_before():
    before = {one: signal.getsignal(one) for one in SIGNALS}
    with interrupts(lambda _: None):
        pass
    assert {one: signal.getsignal(one) for one in SIGNALS} == before
