"""Logs and folders come home whole, in pieces, and go on where they ended: with a real agent."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hosts_here import until

from ci.agent import pieces
from ci.agent.client import Agent
from ci.agent.fetch import NotThere, fetch_folder, fetch_log, fetch_logs, names_in
from ci.connect.connection import LocalConnection
from ci.errors import CommandTimedOut, CopyStopped, InfrastructureError

if TYPE_CHECKING:
    from collections.abc import Iterator
LINES = b"".join(b"line %d\n" % number for number in range(100_000))


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    with contextlib.closing(Agent(LocalConnection(), str(tmp_path / "workspace"))) as agent:
        yield agent


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "host" / "log"
    path.parent.mkdir()
    path.write_bytes(LINES)
    return path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home" / "server-0.log"


def process_of(agent: Agent) -> int:
    return agent._link.channel._process.pid


def after(count: int):
    """Stop a copy after so many looks."""
    looks = iter(range(count))
    return lambda: next(looks, None) is None


def test_a_log_comes_home_and_what_it_gained_later(agent: Agent, log: Path, home: Path):
    fetch_log(agent, str(log), home)
    assert home.read_bytes() == LINES
    assert home.stat().st_mode & 0o777 == 0o600
    with log.open("ab") as more:
        more.write(b"between up and down\n")
    fetch_log(agent, str(log), home)
    assert home.read_bytes() == LINES + b"between up and down\n"
    assert [path.name for path in home.parent.iterdir()] == [home.name]


def test_another_log_of_that_name_replaces_none(agent: Agent, log: Path, home: Path):
    fetch_log(agent, str(log), home)
    for text in (b"a new log\n", b"and again\n"):
        log.write_bytes(text)
        fetch_log(agent, str(log), home)
    names = {"server-0.log": b"and again\n", "server-0.1.log": LINES}
    names["server-0.2.log"] = b"a new log\n"
    assert {path.name: path.read_bytes() for path in home.parent.iterdir()} == names


def test_a_copy_that_was_stopped_goes_on_where_it_ended(agent: Agent, log: Path, home: Path):
    part = home.with_suffix(".part")
    with pytest.raises(CopyStopped, match=r"^localhost: "):
        fetch_log(agent, str(log), home, lambda: part.exists() and part.stat().st_size > 0)
    begun = part.read_bytes()
    assert not home.exists()
    assert LINES.startswith(begun)
    fetch_log(agent, str(log), home)
    assert home.read_bytes() == LINES
    assert not part.exists()


def test_a_connection_that_breaks_costs_no_byte(agent: Agent, log: Path):
    read = pieces.pieces(agent, str(log), 0, len(LINES))
    copied = next(read)
    os.kill(process_of(agent), signal.SIGKILL)
    assert copied + b"".join(read) == LINES


def test_a_host_that_hangs_is_given_up_and_ctrl_c_wins(
    agent: Agent, log: Path, home: Path, monkeypatch
):
    monkeypatch.setattr(pieces, "PIECE_S", 0.5)
    os.kill(process_of(agent), signal.SIGSTOP)
    try:
        with pytest.raises(CopyStopped):
            fetch_log(agent, str(log), home, after(1))
        with pytest.raises(CommandTimedOut):
            pieces.ask(agent, "read", pieces.never, 0.5, path=str(log))
    finally:
        os.kill(process_of(agent), signal.SIGCONT)
    fetch_log(agent, str(log), home)
    assert home.read_bytes() == LINES


def test_a_log_that_grows_without_end_comes_as_it_is_now(agent: Agent, log: Path, home: Path):
    endless = ["sh", "-c", "while :; do echo line; done"]
    with log.open("ab") as file, subprocess.Popen(endless, stdout=file) as writer:
        try:
            until(lambda: log.stat().st_size > len(LINES))
            fetch_log(agent, str(log), home)
            assert writer.poll() is None
        finally:
            writer.kill()
    assert home.read_bytes().startswith(LINES)
    assert home.stat().st_size > len(LINES)


def test_beats_and_other_requests_pass_between_the_pieces(agent: Agent, tmp_path: Path):
    """A terabyte of holes would take days."""
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    ended, copying = threading.Event(), threading.Event()

    def copy() -> None:
        for _ in pieces.pieces(agent, str(tmp_path / "sparse"), 0, 1 << 40, ended.is_set):
            copying.set()

    def run() -> None:
        with contextlib.suppress(CopyStopped):
            copy()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        until(copying.is_set)
        for _ in range(20):
            assert agent.call("runs", within_s=60).value["processes"] == []
    finally:
        ended.set()
        thread.join()


@pytest.mark.parametrize("kind", ["a FIFO", "a symbolic link", "a folder", "a socket"])
def test_what_is_no_log_is_said_and_hangs_nothing(
    agent: Agent, tmp_path: Path, home: Path, kind: str
):
    path = tmp_path / "log"
    with contextlib.ExitStack() as stack:
        if kind == "a FIFO":
            os.mkfifo(path)
        elif kind == "a folder":
            path.mkdir()
        elif kind == "a socket":
            stack.enter_context(socket.socket(socket.AF_UNIX)).bind(str(path))
        else:
            path.symlink_to("/etc/passwd")
        with pytest.raises(NotThere, match=r"^localhost: .*log does not exist"):
            fetch_log(agent, str(path), home)
        with pytest.raises(InfrastructureError, match=r"log is not a regular file") as refused:
            fetch_logs(agent, str(tmp_path), home)
        assert not isinstance(refused.value, NotThere)  # its folder is not removed
    assert not home.parent.exists()


def test_rotated_logs_come_home_too(agent: Agent, log: Path, home: Path):
    for number in (1, 2):
        log.with_name(f"log.{number}").write_text(f"before {number}")
    fetch_logs(agent, str(log.parent), home)
    assert home.read_bytes() == LINES
    texts = [home.with_name(f"server-0.rotated-{number}.log").read_text() for number in (1, 2)]
    assert texts == ["before 1", "before 2"]
    log.unlink()
    with pytest.raises(NotThere, match=r"log does not exist"):
        fetch_logs(agent, str(log.parent), home)
    assert home.read_bytes() == LINES


def test_a_log_that_is_not_there(agent: Agent, tmp_path: Path, home: Path):
    with pytest.raises(NotThere, match="does not exist"):
        fetch_log(agent, str(tmp_path / "none"), home)


def test_a_full_disk_here_loses_nothing(agent: Agent, log: Path, tiny_disk: Path):
    home = tiny_disk / "logs" / "server-0.log"
    log.write_bytes(LINES[:100_000])
    fetch_log(agent, str(log), home)
    log.write_bytes(LINES)
    with pytest.raises(
        InfrastructureError, match=r"server-0\.log: No space left on device; make room"
    ):
        fetch_log(agent, str(log), home)
    assert home.read_bytes().startswith(LINES[:100_000])
    assert LINES.startswith(home.read_bytes())
    subprocess.run(["mount", "-o", "remount,size=8m", tiny_disk], check=True)
    fetch_log(agent, str(log), home)
    assert home.read_bytes() == LINES


def test_a_folder_comes_home(agent: Agent, tmp_path: Path):
    remote, local = tmp_path / "remote", tmp_path / "local"
    (remote / "deep" / "er").mkdir(parents=True)
    (remote / "deep" / "er" / "file").write_bytes(LINES)
    (remote / "-odd name").write_text("odd")
    (remote / "größe").write_text("")
    os.mkfifo(remote / "pipe")
    (remote / "escape").symlink_to("/etc/passwd")
    (remote / "up").symlink_to(tmp_path)
    Path(os.fsdecode(os.fsencode(remote) + b"/b\xffd")).touch()
    with (remote / "core").open("wb") as file:
        file.truncate(1 << 40)
    local.with_name("local.part").mkdir()  # of a copy that ended too early
    (tmp_path / "local.part" / "-odd name").write_text("older")
    assert fetch_folder(agent, str(remote), local) == (
        "escape (a symbolic link)",
        "pipe (a FIFO)",
        "up (a symbolic link)",
        "b\\udcffd (its name is not UTF-8)",
        f"core ({1 << 40} bytes, too many)",
    )
    files = {str(path.relative_to(local)): path for path in local.rglob("*") if path.is_file()}
    assert sorted(files) == ["-odd name", "deep/er/file", "größe"]
    assert files["deep/er/file"].read_bytes() == LINES
    assert files["-odd name"].read_text() == "odd"
    assert not (tmp_path / "local.part").exists()
    assert names_in(agent, str(remote)) == ("deep",)


def test_a_folder_that_is_not_there_or_has_too_much(agent: Agent, tmp_path: Path, monkeypatch):
    with pytest.raises(NotThere):
        fetch_folder(agent, str(tmp_path / "none"), tmp_path / "local")
    monkeypatch.setattr("ci.agent.fetch.MAX_ENTRIES", 10)
    for number in range(11):
        (tmp_path / f"{number}").write_text("")
    with pytest.raises(InfrastructureError, match="more than the 10 entries"):
        fetch_folder(agent, str(tmp_path), tmp_path / "local")
    assert not (tmp_path / "local").exists()
