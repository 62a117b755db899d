"""The local connection keeps the promises of any connection."""

import io
import os
import sys
import tarfile
import time
from pathlib import Path

import pytest

from ci.errors import CommandTimedOut, ConnectionLost, InfrastructureError
from ci.hosts.connection import LocalConnection, unpack
from ci.hosts.supervisor import look

CONNECTION = LocalConnection("here")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_result_is_data():
    result = CONNECTION.run(["sh", "-c", "cat; echo oops >&2; exit 3"], stdin="said\n")
    assert (result.host, result.exit_code) == ("here", 3)
    assert (result.stdout, result.stderr) == ("said\n", "oops\n")
    assert result.argv[0] == "sh"


@pytest.mark.parametrize("text", ["a b", "$HOME", "'; exit 9; '", "*", "ünï", "two\nlines"])
def test_no_shell_sees_an_argument_or_a_variable(text):
    script = 'import os, sys; sys.stdout.write(sys.argv[1] + os.environ["SAID"])'
    result = CONNECTION.run([sys.executable, "-c", script, text], env={"SAID": text})
    assert result.stdout == text * 2


def test_a_command_that_hangs_is_ended_with_its_children():
    script = "sleep 1000 & echo $! $$; wait"
    with pytest.raises(CommandTimedOut, match=r"0\.5 s") as caught:
        CONNECTION.run(["sh", "-c", script], timeout_s=0.5)
    result = caught.value.result
    assert result.exit_code is None
    pids = result.stdout.split()
    assert len(pids) == 2
    deadline = time.monotonic() + 60
    while any((seen := look(pid)) and seen.alive for pid in pids):
        assert time.monotonic() < deadline, "its child lives on"
        time.sleep(0.02)


def test_a_command_that_is_not_there():
    with pytest.raises(InfrastructureError, match="no-such-command"):
        CONNECTION.run(["no-such-command"])


def test_a_channel_speaks_both_ways():
    channel = CONNECTION.open(["cat"])
    lines = channel.lines()
    for text in ("first", "second"):
        channel.send(f"{text}\n")
        assert next(lines) == text
    channel.close()
    assert list(lines) == []
    channel.close()
    with pytest.raises(ConnectionLost):
        channel.send("third\n")


def test_a_channel_ends_with_its_command():
    channel = CONNECTION.open(["sh", "-c", "echo only; echo why >&2; exit 1"])
    assert list(channel.lines()) == ["only"]
    with pytest.raises(ConnectionLost, match="why"):
        # More than a pipe holds: it cannot be sent before the other end has gone.
        channel.send("x" * 10_000_000)
    channel.close()


def test_a_file_is_written_whole_with_its_mode(tmp_path):
    path = str(tmp_path / "a" / "b" / "file")
    CONNECTION.write(path, b"first")
    CONNECTION.write(path, b"\0second", mode=0o640)
    assert CONNECTION.read(path) == b"\0second"
    assert CONNECTION.read(path, 4) == b"ond"
    assert CONNECTION.read(path, 400) == b""
    assert CONNECTION.read(str(tmp_path / "none")) == b""
    assert Path(path).stat().st_mode & 0o777 == 0o640
    assert names(tmp_path / "a" / "b") == ["file"]


def test_a_write_that_cannot_be_says_why(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InfrastructureError, match="cannot write"):
        CONNECTION.write(str(tmp_path / "file" / "below"), b"")


def test_a_folder_comes_home(tmp_path):
    remote = tmp_path / "remote"
    (remote / "deep").mkdir(parents=True)
    (remote / "deep" / "file").write_text("content")
    (remote / "-odd name").write_text("odd")
    os.mkfifo(remote / "pipe")
    (remote / "escape").symlink_to("/etc/passwd")
    local = tmp_path / "local"
    CONNECTION.fetch_folder(str(remote), local)
    assert (local / "deep" / "file").read_text() == "content"
    assert names(local) == ["-odd name", "deep"]
    CONNECTION.fetch_folder(str(remote), tmp_path / "one", only=["-odd name"])
    assert names(tmp_path / "one") == ["-odd name"]


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(InfrastructureError, match="cannot copy"):
        CONNECTION.fetch_folder(str(tmp_path / "none"), tmp_path / "local")


def test_nothing_is_unpacked_outside(tmp_path):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name in ("../outside", "inside"):
            member = tarfile.TarInfo(name)
            member.size = 4
            tar.addfile(member, io.BytesIO(b"data"))
    stream.seek(0)
    unpack(stream, tmp_path / "local")
    assert not (tmp_path / "outside").exists()
    assert (tmp_path / "local" / "inside").read_bytes() == b"data"
