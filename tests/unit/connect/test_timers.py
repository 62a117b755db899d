"""Timers act in order of time unless cancelled."""

from queue import SimpleQueue

from ci.connect.timers import after


def test_in_order_of_time_and_not_when_cancelled():
    rung = SimpleQueue()
    after(1, lambda: rung.put("last"))
    after(0.5, lambda: rung.put("never")).cancel()
    after(0.05, lambda: rung.put("first"))
    assert [rung.get(timeout=60), rung.get(timeout=60)] == ["first", "last"]


def test_one_that_blocks_keeps_no_other_back():
    rung, release = SimpleQueue(), SimpleQueue()
    after(0, lambda: release.get(timeout=60))
    after(0.01, lambda: rung.put("rung"))
    assert rung.get(timeout=60) == "rung"
    release.put(None)
