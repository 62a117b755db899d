"""Server-sent events are read as the standard says, however the bytes are cut."""

from __future__ import annotations

import pytest

from ci.functional.sse import events

STREAMS = {
    "plain": (b"data: a\n\ndata: b\n\n", ["a", "b"]),
    "no space": (b"data:a\n\ndata:b\n\n", ["a", "b"]),
    "two spaces: one is dropped": (b"data:  a\n\n", [" a"]),
    "CRLF": (b"data: a\r\n\r\ndata: b\r\n\r\n", ["a", "b"]),
    "CR": (b"data: a\r\rdata: b\r\r", ["a", "b"]),
    "comments": (b": keep-alive\n\ndata: a\n\n: x\n\ndata: b\n\n", ["a", "b"]),
    "several lines": (b"data: a\ndata: b\n\n", ["a\nb"]),
    "other fields": (b"id: 7\nretry: 3\nevent: x\ndata: a\n\n", ["a"]),
    "a field without a value": (b"data\n\ndata: a\n\n", ["", "a"]),
    "empty lines": (b"\n\n\ndata: a\n\n\n\n", ["a"]),
    "no end": (b"data: a\n\ndata: b", ["a", "b"]),
    "end within the blank line": (b"data: a\n\ndata: b\n", ["a", "b"]),
    "characters of several bytes": ("data: 你好🎉\n\n".encode(), ["你好🎉"]),
    "not UTF-8": (b"data: \xff\n\n", ["\ufffd"]),
    "nothing": (b"", []),
}


@pytest.mark.parametrize("name", STREAMS)
def test_events_are_the_same_for_each_way_to_cut_the_bytes(name):
    stream, expected = STREAMS[name]
    for size in (1, 2, 3, 7, len(stream) or 1):
        pieces = [(0.0, stream[at : at + size]) for at in range(0, len(stream), size)]
        assert [event.data for event in events(pieces)] == expected, size


def test_an_event_has_the_time_of_its_last_byte():
    pieces = [(1.0, b"data: a\n"), (2.0, b"\ndata: b"), (3.0, b"\n\n")]
    assert [(event.data, event.at_s) for event in events(pieces)] == [("a", 2.0), ("b", 3.0)]


def test_an_event_has_its_name():
    assert [event.name for event in events([(0.0, b"event: x\ndata: a\n\ndata: b\n\n")])] == [
        "x",
        "",
    ]


@pytest.mark.parametrize(("data", "done"), [("[DONE]", True), (" [DONE]", True), ("DONE", False)])
def test_the_mark_of_the_end(data, done):
    (event,) = events([(0.0, f"data:{data}\n\n".encode())])
    assert event.is_done is done
