"""What `inv logs` writes: the bytes of the host, and to a terminal nothing that controls it."""

from __future__ import annotations

import io
import os
import pty
from typing import TYPE_CHECKING

from ci.commands import runs

if TYPE_CHECKING:
    import pytest

LINE = "a | \x1b]0;title\x07\x1b[31mred\x1b[2J 10 %\r100 % ü\n".encode()


def test_a_log_goes_into_a_file_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr("sys.stdout", stream)
    runs._write_log(LINE)
    assert stream.buffer.getvalue() == LINE  # type: ignore[attr-defined]


def test_a_log_moves_no_cursor_of_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as stream:
        monkeypatch.setattr("sys.stdout", stream)
        runs._write_log(LINE)
        stream.flush()
        seen = os.read(ours, 1000)
    os.close(ours)
    assert seen.decode() == "a | red 10 % 100 % ü\r\n"
