"""The local connection keeps the promises of any connection."""

import io
import os
import sys
import tarfile

import pytest

from ci.errors import ConnectionLost, InfrastructureError
from ci.hosts.connection import LocalConnection, fetch_folder, unpack

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
    monkeypatch.setattr("ci.hosts.connection.CLOSE_S", 0.1)
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
    fetch_folder(CONNECTION, str(remote), local)
    assert (local / "deep" / "file").read_text() == "content"
    assert names(local) == ["-odd name", "deep"]
    fetch_folder(CONNECTION, str(remote), tmp_path / "one", only=["-odd name"])
    assert names(tmp_path / "one") == ["-odd name"]


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(InfrastructureError, match="cannot copy"):
        fetch_folder(CONNECTION, str(tmp_path / "none"), tmp_path / "local")


def test_nothing_is_unpacked_outside(tmp_path):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name in ("../outside", "inside"):
            member = tarfile.TarInfo(name)
            member.size = 4
            tar.addfile(member, io.BytesIO(b"data"))
    stream.seek(0)
    unpack(stream, tmp_path / "local")
    assert not (tmp_path / "outside").exists()
    assert (tmp_path / "local" / "inside").read_bytes() == b"data"
