"""Which requests outlive a broken connection."""

from __future__ import annotations

import pytest

from ci.agent.requests import Request, frames_to_send, split_at_break
from ci.errors import ConnectionLost


@pytest.mark.parametrize(
    ("do", "times_sent", "kept", "waits"),
    [
        ("runs", 0, False, True),
        ("runs", 1, False, True),
        ("runs", 2, False, False),
        ("write", 1, False, True),
        ("stop", 1, False, True),
        ("start", 0, False, True),
        ("start", 1, False, True),
        ("start", 2, False, False),
        ("commit_upload", 1, False, False),
        ("beat", 1, False, False),
        ("check", 1, False, False),
        ("check", 5, True, True),
    ],
)
def test_what_was_not_sent_or_may_be_sent_twice_waits(
    do: str, times_sent: int, *, kept: bool, waits: bool
):
    request = Request(do, b"{}", times_sent)
    waiting, failed = split_at_break({7: request}, {7} if kept else ())
    assert (waiting, failed) == (({7: request}, []) if waits else ({}, [request]))


def test_sending_is_counted():
    requests = [Request("runs", b"a"), Request("read", b"b", 1)]
    assert frames_to_send(requests) == [b"a", b"b"]
    assert [one.times_sent for one in requests] == [1, 2]


def test_a_failure_is_told_once():
    request = Request("runs", b"")
    request.fail("h1: the connection broke")
    request.fail("h1: something later")
    with pytest.raises(ConnectionLost, match="the connection broke"):
        request.future.result(0)
