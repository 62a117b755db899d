"""The local connection keeps the promises of any connection."""

import sys

import pytest

from ci.connect.connection import LocalConnection
from ci.errors import ConnectionLost, InfrastructureError

CONNECTION = LocalConnection("here")


def everything(channel):
    return b"".join(iter(channel.read, b""))


@pytest.mark.parametrize("text", ["a b", "$HOME", "'; exit 9; '", "*", "ünï", "two\nlines", ""])
def test_no_shell_sees_an_argument(text):
    channel = CONNECTION.open([sys.executable, "-c", "import sys; print(sys.argv[1:])", text])
    assert everything(channel).decode() == f"{[text]}\n"
    assert channel.exit_code(60) == 0
    channel.close()


def test_a_command_that_is_not_there():
    with pytest.raises(InfrastructureError, match="no-such-command"):
        CONNECTION.open(["no-such-command"])


def test_a_channel_speaks_both_ways():
    channel = CONNECTION.open(["cat"])
    for text in (b"first\n", b"second\n"):
        channel.write(text)
        assert channel.read() == text
    channel.close()
    assert channel.read() == b""
    channel.close()
    with pytest.raises(ConnectionLost):
        channel.write(b"third\n")


def test_a_channel_ends_with_its_command():
    channel = CONNECTION.open(["sh", "-c", "echo only; echo why >&2; exit 7"])
    assert everything(channel) == b"only\n"
    assert channel.exit_code(60) == 7
    with pytest.raises(ConnectionLost, match="why"):
        # More than a pipe holds: it cannot be sent before the other end has gone.
        channel.write(b"x" * 10_000_000)
    channel.close()


def test_closing_ends_a_command_that_reads_nothing(monkeypatch):
    monkeypatch.setattr("ci.connect.connection.CLOSE_S", 0.1)
    channel = CONNECTION.open(["sleep", "1000"])
    channel.close()
    assert channel.exit_code(0) == -9


def test_finish_is_the_end_of_its_input():
    channel = CONNECTION.open(["wc", "-c"])
    channel.write(b"12345")
    channel.finish()
    assert everything(channel).strip() == b"5"
    channel.close()
