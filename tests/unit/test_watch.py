"""Waiting for one process: which event ends the wait, and how an end is explained."""

from __future__ import annotations

from queue import SimpleQueue
from types import SimpleNamespace

import pytest

from ci.agent.process import State
from ci.errors import ConnectionLost, Interrupted, ProcessDied
from ci.run.events import await_end, died


def ended(name: str, state: State, *log: str) -> SimpleNamespace:
    """What `await_end` sees of a supervised process that has ended."""
    return SimpleNamespace(
        name=name, host="here", state=state, why_lost="", tail=lambda lines: log[-lines:]
    )


TOOL = ended("tool", State("exited", exit_code=0))
SERVER = ended("server-0", State("exited", exit_code=1), "ValueError: too much")


def events(*these: object) -> SimpleQueue:
    queue: SimpleQueue = SimpleQueue()
    for event in these:
        queue.put(event)
    return queue


def test_its_own_end_ends_the_wait_whatever_the_exit_code():
    queue = events(TOOL)
    await_end(TOOL, queue, lambda _: None)
    assert queue.empty()


def test_the_end_of_another_one_comes_first_even_when_both_have_ended():
    with pytest.raises(ProcessDied) as raised:
        await_end(TOOL, events(SERVER, TOOL), lambda _: None)
    assert raised.value.process == "server-0"
    assert "too much" in str(raised.value)


@pytest.mark.parametrize("state", ["lease_expired", "lost", "stopped"])
def test_an_end_that_is_not_its_own_is_no_end_to_go_on_from(state: str):
    tool = ended("tool", State(state, signal=15))
    with pytest.raises(ProcessDied, match=r"tool on here: |here: the controller"):
        await_end(tool, events(tool), lambda _: None)


def test_a_deadline_is_for_the_caller_to_judge():
    tool = ended("tool", State("deadline", signal=15))
    await_end(tool, events(tool), lambda _: None)


def test_an_interrupt_ends_the_wait():
    with pytest.raises(Interrupted):
        await_end(TOOL, events(Interrupted("SIGINT")), lambda _: None)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (State("exited", exit_code=1), "too much"),
        (State("lost"), "supervisor is gone"),
        (State("lease_expired", signal=15), "the controller was silent"),
        (State("deadline", signal=15), "deadline passed"),
        (State("stopped", signal=15), "stopped it"),
    ],
)
def test_an_end_is_explained_by_who_ended_it(state: State, words: str):
    error = died(ended("server-0", state, "ValueError: too much"))
    assert words in error.reason
    assert error.tail == ("ValueError: too much",)


def test_the_servers_lines_about_our_own_probes_are_left_out_of_the_reason():
    probe = 'INFO: 127.0.0.1:1 - "GET /health HTTP/1.1" 200 OK'
    error = died(ended("server-0", State("exited", exit_code=1), "ValueError: it", probe, probe))
    assert "ValueError: it" in error.reason
    assert error.tail == ("ValueError: it",)


def unreadable(_: int) -> tuple[str, ...]:
    raise ConnectionLost("the link is down")


@pytest.mark.parametrize(
    ("state", "sign", "words"),
    [
        (State("lease_expired", signal=15), "", "the controller was silent"),
        (State("lost"), "", "supervisor is gone"),
        (State("deadline", signal=15), "", "deadline passed"),
        (State("stopped", signal=15), "", "stopped it"),
        (State("exited", signal=9), "", "killed with SIGKILL"),
        (State("exited", exit_code=137), "", "killed with SIGKILL"),
        (State("exited", exit_code=1), "", "exited (exit 1)"),
        (State("running"), "its health says 503", "its health says 503"),
    ],
)
def test_a_log_that_cannot_be_read_hides_no_explanation(state: State, sign: str, words: str):
    process = SimpleNamespace(
        name="server-0", host="here", state=state, why_lost="", tail=unreadable
    )
    error = died(process, sign)
    assert isinstance(error, ProcessDied)
    assert error.process == ("here" if state.state == "lease_expired" else "server-0")
    assert words in error.reason
    assert error.reason.endswith("; its log cannot be read: the link is down")
    assert error.tail == ()


def test_a_lost_host_is_the_reason_and_its_log_is_not_waited_for():
    gone = SimpleNamespace(
        name="server-1", host="h2", state=State("lost"), why_lost="it rebooted", tail=None
    )
    assert str(died(gone)) == "lost h2: it rebooted"
