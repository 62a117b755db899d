"""Waiting for a process: which event ends the wait, and how an end is explained."""

from __future__ import annotations

from queue import SimpleQueue

import pytest
from processes import process_of

from ci.agent.process import ProcessState
from ci.errors import ConnectionLost, Interrupted, ProcessDied
from ci.run.events import await_end, explain_end

TOOL = process_of("tool", ProcessState("exited", exit_code=0))
SERVER = process_of("server-0", ProcessState("exited", exit_code=1), "ValueError: too much")


def events(*these: object) -> SimpleQueue:
    queue: SimpleQueue = SimpleQueue()
    for event in these:
        queue.put(event)
    return queue


def test_the_end_of_the_target_ends_the_wait_whatever_the_exit_code():
    queue = events(TOOL)
    await_end(TOOL, queue, lambda _: None)
    assert queue.empty()


def test_the_end_of_another_process_is_raised_first_even_when_both_have_process_of():
    with pytest.raises(ProcessDied) as raised:
        await_end(TOOL, events(SERVER, TOOL), lambda _: None)
    assert raised.value.process == "server-0"
    assert "too much" in str(raised.value)


@pytest.mark.parametrize("state", ["lease_expired", "lost", "stopped"])
def test_an_abnormal_end_of_the_target_is_an_error(state: str):
    tool = process_of("tool", ProcessState(state, signal=15))
    with pytest.raises(ProcessDied, match=r"tool on here: |here: no contact"):
        await_end(tool, events(tool), lambda _: None)


def test_a_deadline_is_for_the_caller_to_judge():
    tool = process_of("tool", ProcessState("deadline", signal=15))
    await_end(tool, events(tool), lambda _: None)


def test_an_interrupt_ends_the_wait():
    with pytest.raises(Interrupted):
        await_end(TOOL, events(Interrupted("SIGINT")), lambda _: None)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (ProcessState("exited", exit_code=1), "too much"),
        (ProcessState("lost"), "supervisor is gone"),
        (ProcessState("lease_expired", signal=15), "no contact with the controller"),
        (ProcessState("deadline", signal=15), "deadline passed"),
        (ProcessState("stopped", signal=15), "stopped on the host"),
    ],
)
def test_an_end_is_explained_by_its_cause(state: ProcessState, words: str):
    error = explain_end(process_of("server-0", state, "ValueError: too much"))
    assert words in error.reason
    assert error.tail == ("ValueError: too much",)


def test_log_lines_of_health_probes_are_not_part_of_the_reason():
    probe = 'INFO: 127.0.0.1:1 - "GET /health HTTP/1.1" 200 OK'
    error = explain_end(
        process_of("server-0", ProcessState("exited", exit_code=1), "ValueError: it", probe, probe)
    )
    assert "ValueError: it" in error.reason
    assert error.tail == ("ValueError: it",)


@pytest.mark.parametrize(
    ("state", "symptom", "words"),
    [
        (ProcessState("lease_expired", signal=15), "", "no contact with the controller"),
        (ProcessState("lost"), "", "supervisor is gone"),
        (ProcessState("deadline", signal=15), "", "deadline passed"),
        (ProcessState("stopped", signal=15), "", "stopped on the host"),
        (ProcessState("exited", signal=9), "", "killed with SIGKILL"),
        (ProcessState("exited", exit_code=137), "", "killed with SIGKILL"),
        (ProcessState("exited", exit_code=1), "", "exited (exit 1)"),
        (ProcessState("running"), "its health is 503", "its health is 503"),
    ],
)
def test_a_log_that_cannot_be_read_hides_no_explanation(
    state: ProcessState, symptom: str, words: str
):
    process = process_of("server-0", state, unreadable=ConnectionLost("the link is down"))
    error = explain_end(process, symptom)
    assert isinstance(error, ProcessDied)
    assert error.process == ("here" if state.state == "lease_expired" else "server-0")
    assert words in error.reason
    assert error.reason.endswith("; its log cannot be read: the link is down")
    assert error.tail == ()


def test_a_lost_host_is_the_reason_and_its_log_is_not_waited_for():
    unread = AssertionError("it was read")
    gone = process_of(
        "server-1", ProcessState("lost"), host="h2", unreadable=unread, why_lost="it rebooted"
    )
    assert str(explain_end(gone)) == "lost h2: it rebooted"
