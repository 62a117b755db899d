"""The supervisor, through the local connection, with real processes of the worst kind."""

import ast
import contextlib
import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import pytest
from hosts_here import PATIENCE_S, look, new_run, until

from ci.agent.bootstrap import REMOTE
from ci.agent.client import Agent
from ci.agent.fetch import fetch_log
from ci.agent.process_spec import ProcessSpec
from ci.agent.start_process import start
from ci.connect.connection import LocalConnection
from ci.errors import HostBusy, InfrastructureError
from ci.plan.names import process_names
from ci.remote.facts import owner
from ci.remote.names import LONGEST
from ci.remote.supervise import cgroup, ending, proc

NASTY = str(Path(__file__).parents[1] / "nasty_server.py")


def lives(pid):
    seen = proc.look(str(pid))
    return seen is not None and seen.alive


class Host:
    """Starts processes in a workspace and leaves none behind."""

    def __init__(self, workspace):
        self.workspace = str(workspace)
        self.run = new_run()
        self.agent = Agent(LocalConnection(), self.workspace)
        self.started = []
        self.ends = {}

    def start(self, *argv, process="server", run="", **more):
        spec = ProcessSpec(run=run or self.run, process=process, argv=argv, owner="tester", **more)
        ended = threading.Event()
        one = start(self.agent, spec, lambda _: ended.set())
        self.started.append(one)
        self.ends[one] = ended
        return one

    def close(self):
        for one in self.started:
            one.stop(0)
        self.agent.close()

    def nasty(self, then="hang", **more):
        one = self.start(sys.executable, NASTY, "--then", then, **more)
        return one, [one.state.pid, *until(lambda: children(one.log))]

    def hears_end(self, one):
        assert self.ends[one].wait(PATIENCE_S)

    def folder(self, process="server"):
        return Path(self.agent.state) / self.run / process

    def on_disk(self, process="server"):
        return json.loads((self.folder(process) / "state.json").read_text())

    def complete(self, process="server"):
        """Wait until the supervisor itself says that all is over."""
        return until(lambda: (state := self.on_disk(process))["complete"] and state)


def children(log):
    with contextlib.suppress(FileNotFoundError):
        for line in Path(log).read_text().splitlines():
            if line.startswith("children "):
                return [int(word) for word in line.split()[1:]]
    return []


@pytest.fixture
def host(tmp_path):
    host = Host(tmp_path / "workspace")
    yield host
    host.close()


@pytest.mark.parametrize("path", sorted(REMOTE.glob("*.py")), ids=lambda path: path.name)
def test_what_travels_reads_as_python_3_8(path):
    ast.parse(path.read_text(), feature_version=(3, 8))


@pytest.mark.parametrize(
    ("script", "exit_code", "number"),
    [("exit 0", 0, None), ("exit 7", 7, None), ("kill -SEGV $$", None, signal.SIGSEGV)],
)
def test_tells_how_a_process_ended(host, script, exit_code, number):
    one = host.start("sh", "-c", script)
    host.hears_end(one)
    state = one.stop()
    assert (state.state, state.exit_code, state.signal) == ("exited", exit_code, number)
    assert state.complete
    assert state.survivors == ()
    assert state.started_at <= state.ended_at


def test_stop_of_an_obedient_process(host):
    one = host.start("sleep", "1000")
    assert one.alive
    assert one.state.state == "running"
    state = one.stop()
    assert (state.state, state.signal, state.escalated) == ("stopped", signal.SIGTERM, False)
    assert not one.alive
    host.hears_end(one)
    assert one.stop() == state


@pytest.mark.parametrize("then", ["hang", "defy"])
def test_stop_ends_the_whole_descent(host, then):
    one, pids = host.nasty(then)
    assert all(map(lives, pids))
    # The server needs a moment to end at TERM; its children never do.
    state = one.stop(grace_s=0.2 if then == "defy" else 5)
    assert not any(map(lives, pids))
    assert state.state == "stopped"
    assert state.signal == (signal.SIGKILL if then == "defy" else signal.SIGTERM)
    assert state.escalated
    assert state.killed >= 3
    assert state.survivors == ()


def test_a_process_that_ends_takes_its_descent_along(host):
    one, pids = host.nasty("exit", grace_s=0.2)
    host.hears_end(one)
    state = host.complete()
    assert (state["state"], state["exit_code"]) == ("exited", 3)
    assert not any(map(lives, pids))


def test_a_killed_controller_leaves_nothing(host, tmp_path):
    script = """
import sys, time
from ci.agent.client import Agent
from ci.agent.fetch import fetch_log
from ci.connect.connection import LocalConnection
from ci.agent.process_spec import ProcessSpec
from ci.agent.start_process import start
spec = ProcessSpec(sys.argv[2], "server", tuple(sys.argv[3:]), lease_s=8, grace_s=0.2)
start(Agent(LocalConnection(), sys.argv[1]), spec, print)
print("started", flush=True)
time.sleep(3600)
"""
    command = [sys.executable, "-c", script, host.workspace, host.run, sys.executable, NASTY]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as controller:
        try:
            assert controller.stdout.readline() == b"started\n"
            pids = until(lambda: children(host.folder() / "log"))
            # Longer than the lease: it was the controller that kept them.
            began = (host.folder() / "lease").stat().st_mtime_ns
            until(lambda: (host.folder() / "lease").stat().st_mtime_ns > began + 9e9)
            assert all(map(lives, pids))
        finally:
            controller.kill()
    state = host.complete()
    assert state["state"] == "lease_expired"
    assert not any(map(lives, [state["pid"], *pids]))
    assert look(host.agent).holder is None


def test_term_to_the_supervisor_stops(host):
    one, pids = host.nasty(grace_s=0.2)
    os.kill(host.on_disk()["supervisor"], signal.SIGTERM)
    host.hears_end(one)
    assert host.complete()["state"] == "stopped"
    assert not any(map(lives, pids))


def test_a_killed_supervisor_leaves_nothing(host):
    one, pids = host.nasty()
    os.kill(host.on_disk()["supervisor"], signal.SIGKILL)
    host.hears_end(one)
    assert one.state.state == "lost"
    state = one.stop()
    assert (state.state, state.complete, state.survivors) == ("lost", True, ())
    assert not any(map(lives, pids))


def test_a_deadline_ends_a_hanging_process(host):
    defy = "trap '' TERM; while :; do sleep 1000; done"
    one = host.start("sh", "-c", defy, deadline_s=0.5, grace_s=0.2)
    host.hears_end(one)
    assert host.complete()["state"] == "deadline"
    assert not lives(one.state.pid)


def test_a_command_that_is_not_there(host):
    with pytest.raises(InfrastructureError, match="no-such-command") as caught:
        host.start("no-such-command")
    assert "see that the command exists" in str(caught.value)
    assert not host.folder().exists()
    assert host.start("true")


def test_a_name_is_used_once(host):
    host.start("true").stop()
    with pytest.raises(InfrastructureError, match="another name"):
        host.start("true")


@pytest.mark.parametrize(
    "name", ["../up", "a/b", "", ".hidden", "-v", "a+b", "é", "x" * 101, "inputs"]
)
def test_a_name_stays_in_the_workspace(host, name):
    with pytest.raises(InfrastructureError, match="folder's name"):
        host.start("true", process=name)


@pytest.mark.parametrize(
    "name", ["acc+cot", "éval", "lease", "inputs", "数学", "x" * 400, "make-vllm-0.32.0+5c1f3a80"]
)
def test_what_a_case_names_becomes_a_process(host, name):
    process = process_names([name])[name]
    until(host.ends[host.start("true", process=process)].is_set)
    assert (host.folder(process) / "log").exists()


def test_a_run_is_seen_on_the_host_as_long_as_it_lasts(host):
    def runs():
        found = host.agent.call("facts", ports=[]).value["runs"]
        return [one for one in found if host.run in one["run"]]

    user = pwd.getpwuid(os.getuid()).pw_name
    assert runs() == []
    first, second = (host.start("sleep", "1000", process=name) for name in ("first", "second"))
    pid = host.on_disk("first")["supervisor"]
    seen = {"run": host.run, "owner": "tester", "user": user, "pid": pid, "proven": True}
    assert runs() == [seen]
    second.stop(0)
    assert runs() == [seen]
    first.stop(0)
    assert runs() == []
    long = f"{host.run}-{'a-name-of-many-letters-' * 8}"[:LONGEST]
    host.start("sleep", "1000", run=long)
    assert [one["run"][:95] for one in runs()] == [long[:95]]


def test_a_host_belongs_to_one_run(host):
    first = host.start("sleep", "1000", process="first")
    second = host.start("sleep", "1000", process="second")
    with pytest.raises(HostBusy) as caught:
        host.start("sleep", "1000", run=f"{host.run}-2")
    assert caught.value.holder["run"] == host.run
    assert caught.value.holder["owner"] == "tester"
    assert lives(caught.value.holder["pid"])
    first.stop()
    with pytest.raises(HostBusy) as caught:
        host.start("sleep", "1000", run=f"{host.run}-2")
    assert caught.value.holder["process"] == "second"
    second.stop()
    assert host.start("sleep", "1000", run=f"{host.run}-2").alive


def test_a_child_does_not_hold_the_host(host):
    held = "readlink /proc/self/fd/* | grep -c lamplighter/lock"
    one = host.start("sh", "-c", held)
    host.hears_end(one)
    assert one.tail() == ("0",)


def test_says_what_is_on_the_host(host):
    assert look(host.agent).processes == ()
    one = host.start("sleep", "1000", process="first")
    host.start("true", process="second").stop()
    found = look(host.agent)
    assert found.holder["run"] == host.run
    assert [(row["process"], row["alive"]) for row in found.processes] == [
        ("first", True),
        ("second", False),
    ]
    one.stop()
    found = look(host.agent)
    assert found.holder is None
    assert not any(row["alive"] for row in found.processes)


def test_the_log_is_complete_and_comes_home(host, tmp_path):
    one = host.start("sh", "-c", "seq 1 100000; echo last >&2")
    host.hears_end(one)
    one.stop()
    expected = "".join(f"{n}\n" for n in range(1, 100001)) + "last\n"
    assert one.tail(2) == ("100000", "last")
    copy = tmp_path / "logs" / "server.log"
    fetch_log(host.agent, one.log, copy)
    assert copy.read_text() == expected


def test_environment_reaches_the_process_and_nothing_else(host):
    value = "hidden-word with 'quotes'; and $OTHER\n"
    script = (
        'printf %s "$TOKEN" | cksum; echo "$PATH"; echo "$LAMPLIGHTER_RUN $SPT_NOENV"; exec cat'
    )
    one = host.start(
        *("sh", "-c", f"{script} /dev/zero >/dev/null & wait"),
        env={"TOKEN": value, "PATH": "/first:$PATH"},
        expand=("PATH",),
    )
    lines = until(lambda: len(one.tail()) == 3 and one.tail())
    cksum = subprocess.run(["cksum"], input=value.encode(), capture_output=True, check=True).stdout
    assert lines == (
        cksum.decode().strip(),
        f"/first:{os.environ['PATH']}",
        f"{host.run}/server 1",
    )
    one.stop()
    texts = [path.read_bytes() for path in host.folder().iterdir() if path.is_file()]
    assert len(texts) >= 3
    assert not any(b"hidden-word" in text for text in texts)


def test_what_only_the_host_knows_is_expanded_there(host):
    one = host.start(
        *("sh", "-c", 'printf "%s\\n" "$@" "$ALL"', "-", "$HOME/x", "${HOME}y", "$OTHER", "$NONE"),
        env={"ALL": "/lib:$HOME:${NONE}:$OTHER"},
        expand=("HOME", "NONE"),
    )
    host.hears_end(one)
    home = os.environ["HOME"]
    assert one.tail() == (f"{home}/x", f"{home}y", "$OTHER", "", f"/lib:{home}::$OTHER")


def test_secrets_are_on_no_command_line(host):
    hidden = uuid.uuid4().hex  # other tests may run meanwhile: a word that is nowhere else
    one = host.start("sleep", "1000", env={"TOKEN": hidden})
    command_lines = {}
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            command_lines[int(file.parent.name)] = file.read_bytes()
    ours = {one.state.pid, host.on_disk()["supervisor"], host.agent._link.channel._process.pid}
    assert ours <= command_lines.keys()
    assert not any(hidden.encode() in line for line in command_lines.values())


def test_a_workspace_deeper_than_a_socket_path(tmp_path):
    with contextlib.closing(Host(tmp_path / ("deep" * 20) / ("deeper" * 20))) as host:
        assert host.start("sleep", "1000").stop().state == "stopped"


def test_what_keeps_a_process_from_starting_is_said(host, tmp_path):
    script = tmp_path / "script"
    script.write_text("no shebang")
    script.chmod(0o755)
    for words, more, said in (
        (("pwd",), {"cwd": str(tmp_path / "none")}, f"{tmp_path}/none: No such file or directory"),
        ((str(tmp_path),), {}, f"{tmp_path}: Permission denied"),
        ((str(script),), {}, f"{script}: Exec format error"),
        (("pwd", "a\0b"), {}, "pwd: embedded null byte"),
    ):
        with pytest.raises(InfrastructureError, match=re.escape(said)):
            host.start(*words, **more)
    assert [row["process"] for row in look(host.agent).processes] == []


@pytest.fixture
def started_in_the_background():
    """As a shell that is no terminal's does it."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGQUIT)}
    for number in before:
        signal.signal(number, signal.SIG_IGN)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("started_in_the_background")
def test_a_process_has_nothing_of_ours_open_and_no_signal_ignored(tmp_path):
    with contextlib.closing(Host(tmp_path / "workspace")) as host:
        one = host.start("sh", "-c", "ls -l /proc/self/fd; grep SigIgn /proc/self/status")
        host.hears_end(one)
        lines = one.tail(20)
    opened = {line.split()[-3]: line.split()[-1] for line in lines if "->" in line}
    assert opened.pop("0") == "/dev/null"
    assert {opened.pop("1"), opened.pop("2")} == {one.log}
    assert len(opened) == 1  # the folder that `ls` reads
    assert lines[-1].split() == ["SigIgn:", "0" * 16]


def test_works_in_its_own_folder_unless_told(host, tmp_path):
    one = host.start("pwd")
    host.hears_end(one)
    other = host.start("pwd", process="other", cwd=str(tmp_path))
    host.hears_end(other)
    assert (one.tail(), other.tail()) == ((one.folder,), (str(tmp_path),))


def test_a_full_disk_stops_nothing_from_being_stopped(tiny_disk):
    host = Host(tiny_disk)
    one, pids = host.nasty()
    fill = ["dd", "if=/dev/zero", f"of={tiny_disk}/fill", "bs=4k"]
    assert subprocess.run(fill, capture_output=True, check=False).returncode != 0
    try:
        with pytest.raises(InfrastructureError, match=r"No space left.*has room"):
            host.start("true", process="another")
        assert all(map(lives, pids))
    finally:
        state = one.stop(0.2)
        host.agent.close()
    assert (state.state, state.complete) == ("stopped", True)
    assert not any(map(lives, pids))


def temporary_folder(one):
    """Where the process was told to put temporary files; it has put one there."""
    return Path(until(lambda: next(iter(Path(one.log).read_text().splitlines()), "")))


LITTER = 'touch "$TMPDIR/litter"; echo "$TMPDIR"; exec sleep 600'


@pytest.mark.parametrize("end", ["stop", "supervisor", "process"])
def test_temporary_files_go_with_the_process(host, end):
    one = host.start("bash", "-c", LITTER)
    folder = temporary_folder(one)
    assert (folder / "litter").exists()
    if end == "stop":
        one.stop(0)
    else:
        os.kill(one.state.pid if end == "process" else host.on_disk()["supervisor"], signal.SIGKILL)
        host.hears_end(one)
    until(lambda: not folder.exists())


SHARER = """
import mmap, multiprocessing, os, signal, sys, time
lock = multiprocessing.get_context("spawn").Lock()
for name in sys.argv[1:]:
    handle = os.open("/dev/shm/" + name, os.O_CREAT | os.O_RDWR, 0o600)
    os.ftruncate(handle, 4096)
    held = mmap.mmap(handle, 4096)
    os.close(handle)
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        break
time.sleep(600)
"""


@pytest.mark.parametrize("end", ["stop", "supervisor", "process"])
def test_shared_memory_goes_with_the_processes_that_alone_held_it(host, end):
    ours, others, kept = (f"lamplighter-test-{os.getpid()}-{n}" for n in "123")
    shared = Path("/dev/shm")
    try:
        (shared / kept).touch()  # was there before
        one = host.start(sys.executable, "-c", SHARER, ours, kept)
        until(lambda: len(host.on_disk().get("shared", ())) == 2)
        held = {name for name, _ in host.on_disk()["shared"]}
        assert held > {ours}  # and a semaphore
        (shared / others).touch()  # has come since, and nobody of ours has it
        if end == "stop":
            one.stop(0)
        else:
            victim = one.state.pid if end == "process" else host.on_disk()["supervisor"]
            os.kill(victim, signal.SIGKILL)
            host.hears_end(one)
        until(lambda: not any((shared / name).exists() for name in held))
        assert (shared / others).exists()
        assert (shared / kept).exists()
    finally:
        for name in (ours, others, kept):
            (shared / name).unlink(missing_ok=True)


def test_shared_memory_that_somebody_else_holds_stays(host):
    name = f"lamplighter-test-{os.getpid()}-4"
    path = Path("/dev/shm") / name
    try:
        one = host.start(sys.executable, "-c", SHARER, name)
        until(lambda: "shared" in host.on_disk())
        with path.open("rb"):
            one.stop(0)
            assert path.exists()
    finally:
        path.unlink(missing_ok=True)


def test_shared_memory_of_another_user_stays(host, as_root):
    name = f"lamplighter-test-{os.getpid()}-5"
    path = Path("/dev/shm") / name
    try:
        one = host.start(sys.executable, "-c", SHARER, name)
        until(lambda: name in dict(host.on_disk().get("shared", ())))
        os.chown(path, 65534, 65534)
        one.stop(0)
        assert path.exists()
    finally:
        path.unlink(missing_ok=True)


def test_a_temporary_folder_of_the_cases_own_is_left_alone(host, tmp_path):
    one = host.start("bash", "-c", LITTER, env={"TMPDIR": str(tmp_path)})
    assert temporary_folder(one) == tmp_path
    one.stop(0)
    assert (tmp_path / "litter").exists()


@pytest.mark.parametrize("stopped", [("supervisor",), ("supervisor", "guardian")])
def test_a_stopped_supervisor_can_be_ended(host, stopped):
    one, pids = host.nasty(grace_s=0.2)
    for each in stopped:
        os.kill(host.on_disk()[each], signal.SIGSTOP)
    (row,) = look(host.agent).processes
    assert row["alive"]
    assert one.stop(0.2).complete
    assert not any(map(lives, pids))
    until(lambda: not any(lives(host.on_disk()[name]) for name in ("supervisor", "guardian")))


def test_a_supervisor_that_cannot_go_on_is_killed(host, monkeypatch):
    monkeypatch.setattr(ending, "ANSWER_S", 0.1)
    monkeypatch.setattr(ending, "resume", lambda _: None)
    _, pids = host.nasty(grace_s=0.2)
    os.kill(host.on_disk()["supervisor"], signal.SIGSTOP)
    assert ending.stop(str(host.folder()), 0.2)["complete"]
    assert not any(map(lives, pids))


UNMARKED = "setsid env -i bash -c 'echo $$; exec sleep 1000' & wait"


def test_nothing_is_left_when_supervisor_and_guardian_are_killed(host, as_root):
    one = host.start("bash", "-c", UNMARKED)
    pid = int(until(lambda: Path(one.log).read_text()))
    if not cgroup.find(str(host.folder())):
        one.stop(0)
        pytest.skip("needs a cgroup2 hierarchy that can be written")
    state = host.on_disk()
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for name in ("guardian", "supervisor"):
            os.kill(state[name], number)
    host.hears_end(one)
    assert lives(pid)
    assert owner.run_of(pid) == f"{host.run}/server"
    (row,) = look(host.agent).processes
    assert (row["state"], row["alive"]) == ("lost", True)
    shutil.rmtree(host.folder().parent)  # what is left is found without it, too
    assert look(host.agent).processes == ()
    (row,) = host.agent.call("runs", run=host.run).value["processes"]
    assert (row["process"], row["alive"], row["folder"]) == ("server", True, str(host.folder()))
    assert one.stop(0).complete
    assert not lives(pid)
    assert not cgroup.find(str(host.folder()))


def test_what_a_file_of_the_state_says_names_nothing_to_remove(host, tmp_path):
    one = host.start("sleep", "1000")
    other = host.start("sleep", "1000", process="other")
    precious = tmp_path / "lamplighter-precious"
    precious.mkdir()
    state = host.on_disk()
    for name in ("guardian", "supervisor"):
        os.kill(state[name], signal.SIGSTOP)
        os.kill(state[name], signal.SIGKILL)
    host.hears_end(one)
    forged = {**state, "tmp": str(precious), "process": "other", "shared": [["../x", 1], "y"]}
    (host.folder() / "state.json").write_text(json.dumps(forged))
    assert one.stop(0).complete
    assert precious.exists()
    assert other.alive
    assert lives(other.state.pid)


@pytest.fixture
def listener():
    """A user's own socket in the kernel's abstract namespace."""
    with contextlib.ExitStack() as stack:

        def bind(kind, name):
            made = stack.enter_context(socket.socket(socket.AF_UNIX, kind))
            made.bind(f"\0lamplighter/{name}")
            return made

        yield bind


def test_an_announcement_is_believed_as_far_as_the_kernel_knows(host, listener):
    forged = new_run()
    listener(socket.SOCK_DGRAM, f"{forged}/root@vm")
    listener(socket.SOCK_STREAM, f"{forged}/alice@desk").listen(1)
    listener(socket.SOCK_STREAM, "../../etc/root@vm").listen(1)
    found = host.agent.call("facts", ports=[]).value["runs"]
    assert [one for one in found if one["pid"] == os.getpid()] == [
        {
            "run": forged,
            "owner": "alice@desk",
            "user": pwd.getpwuid(os.getuid()).pw_name,
            "pid": os.getpid(),
            "proven": False,
        }
    ]
    assert not any("etc" in one["run"] for one in found)
