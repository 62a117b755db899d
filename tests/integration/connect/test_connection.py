"""The local connection keeps the promises of any connection."""

import gzip
import os
import sys

import hostile_archives as hostile
import pytest

from ci.connect.connection import LocalConnection, fetch_folder
from ci.errors import ArchiveRefused, ConnectionLost, InfrastructureError

CONNECTION = LocalConnection("here")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


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


def test_a_folder_comes_home(tmp_path):
    remote = tmp_path / "remote"
    (remote / "deep").mkdir(parents=True)
    (remote / "deep" / "file").write_text("content")
    (remote / "-odd name").write_text("odd")
    os.mkfifo(remote / "pipe")
    (remote / "escape").symlink_to("/etc/passwd")
    local = tmp_path / "local"
    left_out = fetch_folder(CONNECTION, str(remote), local)
    assert sorted(left_out) == ["./escape (a symbolic link)", "./pipe (a FIFO)"]
    assert (local / "deep" / "file").read_text() == "content"
    assert names(local) == ["-odd name", "deep"]
    fetch_folder(CONNECTION, str(remote), tmp_path / "one", only=["-odd name"])
    assert names(tmp_path / "one") == ["-odd name"]


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(InfrastructureError, match="cannot copy"):
        fetch_folder(CONNECTION, str(tmp_path / "none"), tmp_path / "local")


@pytest.fixture
def sent(tmp_path, monkeypatch):
    """Let the host's `tar` run a script of the test's; gives how to set it."""

    def put(script, data=b""):
        folder = tmp_path / "bin"
        folder.mkdir()
        (folder / "data").write_bytes(data)
        (folder / "tar").write_text(f"#!/bin/sh\n{script.format(data=folder / 'data')}\n")
        (folder / "tar").chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    return put


def test_nothing_is_unpacked_outside(tmp_path, sent):
    (tmp_path / "victim").write_text("mine")
    sent("cat {data}", hostile.beyond_path_max("../victim", b"theirs"))
    with pytest.raises(ArchiveRefused, match=r"^here: cannot copy /remote: .*its name has .*trust"):
        fetch_folder(CONNECTION, "/remote", tmp_path / "local")
    assert (tmp_path / "victim").read_text() == "mine"


LONG = hostile.header(b"log", size=1 << 30) + bytes(60_000)
WHOLE = hostile.archive(hostile.folder(b"./"), hostile.file(b"./log", b"line\n"))


@pytest.mark.parametrize(
    ("script", "data", "why"),
    [
        ("cat {data}", WHOLE[:-30], "cut short"),
        ("cat {data}; exit 2", WHOLE, "cut short"),
        ("cat {data}; echo no such disk >&2; exit 2", WHOLE, "no such disk"),
        ("echo Welcome; cat {data}", WHOLE, "incorrect header check"),
        ("exec 2>&-; exit 127", b"", "cut short"),
        ("while :; do printf x; sleep 0.01; done", b"", "incorrect header check"),
        (
            "cat {data}",
            hostile.archive(hostile.header(b"a", size=b"\x80" + b"\xff" * 11)),
            "a: more",
        ),
    ],
    # Not by its content: an archive holds the time at which it was made.
    ids=lambda value: "data" if isinstance(value, bytes) else None,
)
def test_a_tar_that_fails_is_told_with_its_host(tmp_path, sent, script, data, why):
    sent(script, data)
    with pytest.raises(
        InfrastructureError, match=rf"^here: cannot copy /remote: .*{why}"
    ) as caught:
        fetch_folder(CONNECTION, "/remote", tmp_path / "local")
    assert not isinstance(caught.value, ArchiveRefused)


def test_a_tar_that_sends_nothing_more_is_given_up(tmp_path, sent, monkeypatch):
    monkeypatch.setattr("ci.connect.connection.SILENT_S", 0.2)
    monkeypatch.setattr("ci.connect.connection.CLOSE_S", 0.1)
    sent("exec sleep 1000")
    with pytest.raises(InfrastructureError, match=r"/remote: nothing came for 0\.2 s;"):
        fetch_folder(CONNECTION, "/remote", tmp_path / "local")


def test_a_tar_that_drips_is_given_up(tmp_path, sent, monkeypatch):
    monkeypatch.setattr("ci.connect.connection.MAX_FETCH_S", 0.2)
    monkeypatch.setattr("ci.connect.connection.CLOSE_S", 0.1)
    sent("cat {data}; while :; do printf '\\0'; sleep 0.01; done", gzip.compress(LONG, 0)[:1000])
    with pytest.raises(InfrastructureError, match=r"/remote: not done in 0\.2 s;"):
        fetch_folder(CONNECTION, "/remote", tmp_path / "local")


def test_a_file_that_changed_while_it_was_read_is_no_failure(tmp_path, sent):
    sent("cat {data}; exit 1", WHOLE)
    assert fetch_folder(CONNECTION, "/remote", tmp_path / "local") == ()
    assert (tmp_path / "local" / "log").read_text() == "line\n"


def test_no_room_is_told_as_that(tmp_path):
    remote = tmp_path / "remote"
    remote.mkdir()
    (tmp_path / "local").write_text("a file")
    with pytest.raises(InfrastructureError, match=r"^here: cannot copy .* to .*see that there is"):
        fetch_folder(CONNECTION, str(remote), tmp_path / "local")
