"""What a host says lies in a folder: names that lead elsewhere are refused, odd ones left out."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci.agent.arriving import MAX_NAMED, Nonsense, inflated, read_list

if TYPE_CHECKING:
    from collections.abc import Sequence


def packed(files: Sequence[object] = (), left_out: Sequence[object] = ()) -> bytes:
    return zlib.compress(json.dumps({"files": files, "left_out": left_out}).encode())


REFUSED = {
    "no compressed data": b"{}",
    "a list that is cut": packed([("a", 1)])[:-3],
    "no JSON": zlib.compress(b"{"),
    "nested without end": zlib.compress(b"[" * 100_000),
    "another shape": zlib.compress(b"[]"),
    "nothing": b"",
    "a file without a size": packed([("a",)]),
    "a size below zero": packed([("a", -1)]),
    "a size in words": packed([("a", "four")]),
    "a size that is true": packed([("a", True)]),
    "a name that is a number": packed([(7, 1)]),
    "a name that leads up": packed([("../victim", 1)]),
    "a name that leads up later": packed([("a/../../victim", 1)]),
    "an absolute name": packed([("/tmp/was-here", 1)]),
    "an empty name": packed([("", 1)]),
    "an empty part": packed([("a//b", 1)]),
    "a dot in the middle": packed([("a/./b", 1)]),
    "a NUL": packed([("a\0b", 1)]),
    "two of a name": packed([("a", 1), ("a", 1)]),
    "a file below a file": packed([("a", 1), ("a/b", 1)]),
    "a file below a link": packed([("a/b/victim", 1)], [("a", "a symbolic link")]),
    "a link of a file's name": packed([("a", 1)], [("a", "a symbolic link")]),
    "a link that leads up": packed([], [("../a", "a symbolic link")]),
    "a part that no file system takes": packed([("a" * 1000, 1)]),
    "a long path": packed([("/".join(["a" * 200] * 20), 1)]),
    "a deep path": packed([("/".join(["a"] * 65), 1)]),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_no_agent_sends_is_refused(what: str):
    with pytest.raises(Nonsense):
        read_list(REFUSED[what])


LEFT_OUT = {
    "a symbolic link": packed([], [("a", "a symbolic link")]),
    "its name is not UTF-8": packed([("a\udcff", 1)]),
    "its name has control characters": packed([("a\x1b]0;owned\x07", 1)]),
    "11 bytes, too many": packed([("a", 11)]),
    "a\\x1b[2J FIFO": packed([], [("a", "a\x1b[2J FIFO")]),
}


@pytest.mark.parametrize("why", LEFT_OUT)
def test_what_an_ordinary_folder_may_hold_is_left_out_by_name(why: str):
    listed = read_list(LEFT_OUT[why], max_bytes=10)
    assert listed.files == {}
    (name,) = listed.left_out
    assert name.startswith("a")
    assert name.endswith(f"({why})")
    assert name.isprintable()


def test_files_are_left_out_when_there_is_no_room_for_more():
    listed = read_list(packed([("a", 6), ("b", 6), ("c/d", 4)]), max_bytes=10)
    assert listed.files == {"a": 6, "c/d": 4}
    assert listed.left_out == ("b (6 bytes, too many)",)


def test_only_so_much_of_what_is_left_out_is_named():
    links = [(str(number), "a FIFO") for number in range(MAX_NAMED + 5)]
    left_out = read_list(packed([], links)).left_out
    assert len(left_out) == MAX_NAMED + 1
    assert left_out[-1] == "5 more"


@given(st.binary(max_size=300))
def test_no_damage_is_a_surprise(data: bytes):
    for damaged in (data, zlib.compress(data), packed([("a", 1)])[:10] + data):
        try:
            read_list(damaged)
        except Nonsense:
            continue


@given(st.binary(max_size=100))
def test_no_more_is_inflated_than_was_asked_for(data: bytes):
    assert inflated(zlib.compress(data), len(data)) == data
    if data:
        with pytest.raises(Nonsense):
            inflated(zlib.compress(data), len(data) - 1)


def test_a_bomb_is_not_inflated():
    with pytest.raises(Nonsense, match="more than the 1000 bytes"):
        inflated(zlib.compress(bytes(100 << 20), 9), 1000)
