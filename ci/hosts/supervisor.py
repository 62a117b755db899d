"""Starts one process on a host, owns its whole descent, and ends it when told or left alone.

Travels alone to hosts that have Python 3.8 and nothing else, hence one file and only the stdlib.
Touches `<workspace>/.lamplighter` and the processes that it started, nothing else.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import datetime as dt
import fcntl
import functools
import json
import os
import re
import select
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from typing import Any, Dict, Iterator, NamedTuple, NoReturn, Optional, Set, Tuple

MARKER = "LAMPLIGHTER_RUN"
TICK_S = 1.0
REST_GRACE_S = 2.0  # for what a process leaves behind when it ends by itself
LEFT_ALONE_GRACE_S = 5.0  # a lease of 20 s, a tick and this stay under 30 s
KILL_PATIENCE_S = 5.0  # after which what does not die of KILL is reported as a survivor
ANSWER_S = 5.0
MESSAGE_BYTES = 1 << 20
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

State = Dict[str, Any]
LIBC = ctypes.CDLL(None, use_errno=True)


class Refused(Exception):  # noqa: N818 - an answer to `start`, not a fault
    """A start that cannot be; `answer` is printed for the controller."""

    def __init__(self, kind: str, message: str, **more: object) -> None:
        super().__init__(message)
        self.answer = dict(more, error=message, kind=kind)


# What runs on this host


class Seen(NamedTuple):
    """A process. Its start tells it from a later one with the same pid."""

    pid: int
    began: int
    parent: int
    alive: bool


def look(pid: str) -> Optional[Seen]:
    """Read one process; None when it is gone. Fields as in proc(5), counted from the state."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            raw = file.read()
    except OSError:
        return None
    fields = raw[raw.rindex(b")") + 2 :].split()
    # A process whose first thread has ended looks like a zombie while its other threads live.
    alive = fields[0] not in (b"Z", b"X") or int(fields[17]) > 1
    return Seen(int(pid), int(fields[19]), int(fields[1]), alive)


def is_marked(pid: int, marker: bytes) -> bool:
    """Tell whether a process was started with our marker in its environment."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return marker in file.read().split(b"\0")
    except OSError:
        return False


def members(root: int, marker: bytes) -> Set[Seen]:
    """Find what lives of the descent of `root`, and what carries the marker; never this process."""
    seen = [one for one in map(look, filter(str.isdigit, os.listdir("/proc"))) if one]
    children: Dict[int, list[Seen]] = {}
    for one in seen:
        children.setdefault(one.parent, []).append(one)
    found: Set[Seen] = set()
    fresh = children.get(root, [])
    while fresh:
        found.update(fresh)
        fresh = [
            child for one in fresh for child in children.get(one.pid, []) if child not in found
        ]
    found.update(one for one in seen if one not in found and is_marked(one.pid, marker))
    return {one for one in found if one.alive and one.pid != os.getpid()}


class Ladder:
    """TERM, then KILL from `kill_at` on, each once to every process that is found."""

    def __init__(self, root: int, marker: bytes, grace_s: float) -> None:
        self.root = root
        self.marker = marker
        self.kill_at = time.monotonic() + grace_s
        self.termed: Set[tuple[int, int]] = set()
        self.killed: Set[tuple[int, int]] = set()

    def press(self) -> Set[Seen]:
        """Signal whoever has not had this rung's signal yet; return who was still there."""
        left = members(self.root, self.marker)
        kill = time.monotonic() >= self.kill_at
        told = self.killed if kill else self.termed
        for one in left:
            if one[:2] in told:
                continue
            now = look(str(one.pid))
            if now and now.began == one.began:
                with contextlib.suppress(OSError):
                    os.kill(one.pid, signal.SIGKILL if kill else signal.SIGTERM)
            told.add(one[:2])
        return left

    @property
    def given_up(self) -> bool:
        """KILL has had its time."""
        return time.monotonic() >= self.kill_at + KILL_PATIENCE_S

    @property
    def pause_s(self) -> float:
        """How long to wait for a sign of an end: only what is not our own child gives none."""
        if self.given_up:
            return TICK_S
        left = self.kill_at - time.monotonic()
        return 0.02 if left <= 0 else min(left, 0.25)

    def report(self, left: Set[Seen]) -> State:
        """Say what it took."""
        survivors = sorted(one.pid for one in left) if self.given_up else []
        killed = len(self.killed)
        return {"survivors": survivors, "killed": killed, "escalated": killed > 0}


# Files


def now_text() -> str:
    """Give the time in UTC."""
    return dt.datetime.now(dt.timezone.utc).isoformat(timespec="milliseconds")


def boot_id() -> str:
    """Tell this boot of the host from the next one."""
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


def write_json(path: str, value: object) -> None:
    """Write a file whole or not at all, readable only by its owner."""
    part = f"{path}.{os.getpid()}.part"
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w") as file:
            json.dump(value, file, indent=1)
        os.replace(part, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(part)
        raise


def read_json(path: str) -> State:
    """Read an object; empty when there is none to read."""
    try:
        with open(path) as file:
            value = json.load(file)
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


# The host's lock: it belongs to one run, and all of that run's supervisors hold it together


@contextlib.contextmanager
def guard(house: str) -> Iterator[int]:
    """Open the lock while no other process acquires it; yields its descriptor."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    handle = os.open(os.path.join(house, "lock.guard"), flags, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield os.open(os.path.join(house, "lock"), flags, 0o600)
    finally:
        os.close(handle)


def try_lock(lock: int) -> bool:
    """Take the lock alone; False when somebody has it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def acquire(house: str, record: State) -> int:
    """Take the host for a run, or join the run that has it; refuse when that is another."""
    with guard(house) as lock:
        if try_lock(lock):
            os.ftruncate(lock, 0)
            os.pwrite(lock, json.dumps(record).encode(), 0)
        else:
            holder = present_holder(house)
            if holder.get("run") != record["run"]:
                os.close(lock)
                raise Refused("busy", f"the host is held by {holder.get('run')}", holder=holder)
        fcntl.flock(lock, fcntl.LOCK_SH)
        return lock


def present_holder(house: str) -> State:
    """Read who took the lock, naming a process of that run that still lives."""
    holder = read_json(os.path.join(house, "lock"))
    for state in processes(house):
        if state["run"] == holder.get("run") and not state["complete"] and state["state"] != "lost":
            return dict(holder, process=state["process"], pid=state["supervisor"])
    return holder


def processes(house: str) -> Iterator[State]:
    """Read the state of every process of every run."""
    for run in sorted(next(os.walk(house), ("", [], []))[1]):
        for process in sorted(next(os.walk(os.path.join(house, run)))[1]):
            folder = os.path.join(house, run, process)
            if os.path.exists(os.path.join(folder, "state.json")):
                yield dict(settled(folder, dial(folder, "ask")), folder=folder)


# The supervisor


class Supervisor:
    """One process, its descent, and whoever watches it through the control socket."""

    def __init__(self, spec: State, folder: str, lock: int) -> None:
        self.spec = spec
        self.folder = folder
        self.lock = lock
        self.grace_s = float(spec["grace_s"])
        self.marker = f"{MARKER}={spec['run']}/{spec['process']}".encode()
        self.ladder: Optional[Ladder] = None
        self.cause = ""
        self.unsaved = False
        self.watchers: Set[socket.socket] = set()
        self.selector = selectors.DefaultSelector()
        self.began = self.renewed = time.monotonic()
        self.state: State = {
            "run": spec["run"],
            "process": spec["process"],
            "state": "running",
            "exit_code": None,
            "signal": None,
            "started_at": now_text(),
            "ended_at": None,
            "pid": None,
            "supervisor": os.getpid(),
            "guardian": os.getppid(),
            "survivors": [],
            "killed": 0,
            "escalated": False,
            "complete": False,
            "boot_id": boot_id(),
        }
        self.lease = os.path.join(folder, "lease")
        os.close(os.open(self.lease, os.O_CREAT | os.O_WRONLY, 0o600))
        self.lease_mtime = os.stat(self.lease).st_mtime_ns
        self.catch_signals()
        self.listener = listen(folder)
        self.selector.register(self.listener, selectors.EVENT_READ, self.greet)

    def catch_signals(self) -> None:
        """Turn signals into events, so that an end is seen at once."""
        self.wake, writer = socket.socketpair()
        self.wake_writer = writer
        for end in (self.wake, writer):
            end.settimeout(0)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        # Handlers, not SIG_IGN: the child would inherit that.
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        self.selector.register(self.wake, selectors.EVENT_READ, self.woken)

    def launch(self) -> None:
        """Start the process; returns when it has been exec'ed, raises Refused when it cannot be."""
        log = os.open(
            os.path.join(self.folder, "log"),
            os.O_WRONLY | os.O_CREAT | os.O_APPEND,
            0o600,
        )
        try:
            self.child = subprocess.Popen(
                self.spec["argv"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.spec["cwd"] or self.folder,
                env=child_environment(self.spec),
                start_new_session=True,
                preexec_fn=lambda: LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0),  # noqa: PLW1509 - this process has one thread
            )
        except OSError as error:
            raise Refused("exec", f"{error.filename}: {error.strerror}") from None
        finally:
            os.close(log)
        self.state["pid"] = self.child.pid
        self.publish()

    def loop(self) -> None:
        """Run until nothing is left of the descent."""
        while not self.state["complete"]:
            events = self.selector.select(self.pause_s())
            self.reap()
            for key, _ in events:
                key.data()
            if self.ladder is None:
                self.check_bounds()
            if self.ladder is not None:
                self.press(self.ladder)
            if self.unsaved:
                self.save()

    def pause_s(self) -> float:
        """How long nothing needs doing unless something happens."""
        return self.ladder.pause_s if self.ladder else min(TICK_S, self.spec["lease_s"] / 4)

    def woken(self) -> None:
        """Take the signals that came; SIGCHLD needs no more than the waking."""
        with contextlib.suppress(BlockingIOError):
            if set(self.wake.recv(4096)) & {signal.SIGTERM, signal.SIGINT}:
                self.end("stopped", self.grace_s)

    def reap(self) -> None:
        """Collect ended children, adopted ones too."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid == self.state["pid"]:
                    self.note_end(status)

    def note_end(self, status: int) -> None:
        """Tell at once how the process itself ended, then see to the rest of its descent."""
        if os.WIFSIGNALED(status):
            self.state["signal"] = os.WTERMSIG(status)
        else:
            self.state["exit_code"] = os.WEXITSTATUS(status)
        self.child.returncode = status
        self.state["ended_at"] = now_text()
        self.end("exited", min(self.grace_s, REST_GRACE_S))
        self.state["state"] = self.cause
        self.publish()

    def check_bounds(self) -> None:
        """End the process when its lease or its deadline has passed."""
        now = time.monotonic()
        # The wall clock may jump, so the lease's time only tells that it was renewed, not when.
        with contextlib.suppress(OSError):
            mtime = os.stat(self.lease).st_mtime_ns
            if mtime != self.lease_mtime:
                self.lease_mtime, self.renewed = mtime, now
        if now - self.renewed > self.spec["lease_s"]:
            self.end("lease_expired", min(self.grace_s, LEFT_ALONE_GRACE_S))
        elif self.spec["deadline_s"] is not None and now - self.began > self.spec["deadline_s"]:
            self.end("deadline", self.grace_s)

    def end(self, cause: str, grace_s: float) -> None:
        """Step on the ladder; the first cause stays, a shorter grace counts."""
        if self.ladder is None:
            self.cause = cause
            self.ladder = Ladder(os.getpid(), self.marker, grace_s)
        self.ladder.kill_at = min(self.ladder.kill_at, time.monotonic() + grace_s)

    def press(self, ladder: Ladder) -> None:
        """Take the ladder's next step, and finish when nobody is left."""
        left = ladder.press()
        if not left:
            # The last one may have become a zombie only now.
            self.reap()
        before = self.state["survivors"]
        self.state.update(ladder.report(left))
        if not left and self.state["ended_at"]:
            self.finish()
        elif self.state["survivors"] != before:
            self.publish()

    def finish(self) -> None:
        """Free the host first: who hears of the end may start the next process at once."""
        self.state["complete"] = True
        shutil.rmtree(self.spec["tmp"], ignore_errors=True)
        fcntl.flock(self.lock, fcntl.LOCK_UN)  # the guardian has it open, too
        self.publish()
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(self.folder, "control"))

    def fail(self, error: BaseException) -> None:
        """Leave nothing behind after a defect of our own."""
        self.state["error"] = "".join(traceback.format_exception_only(type(error), error)).strip()
        ladder = sweep(os.getpid(), self.marker, 0)
        self.reap()
        self.state.update(ladder, state="lost", ended_at=now_text())
        self.finish()

    def publish(self) -> None:
        """Keep the state and tell the watchers."""
        self.save()
        for watcher in list(self.watchers):
            self.tell(watcher)

    def save(self) -> None:
        """Write the state; a full disk must not end the supervision, so it is tried again."""
        try:
            write_json(os.path.join(self.folder, "state.json"), self.state)
            self.unsaved = False
        except OSError:
            self.unsaved = True

    def tell(self, watcher: socket.socket) -> None:
        """Send the state to one watcher."""
        try:
            watcher.send(json.dumps(self.state).encode())
        except OSError:
            self.drop(watcher)

    def drop(self, watcher: socket.socket) -> None:
        """Forget a watcher."""
        self.watchers.discard(watcher)
        with contextlib.suppress(KeyError, ValueError):
            self.selector.unregister(watcher)
        watcher.close()

    def greet(self) -> None:
        """Let a watcher in."""
        with contextlib.suppress(OSError):
            watcher, _ = self.listener.accept()
            watcher.settimeout(0)
            self.watchers.add(watcher)
            self.selector.register(
                watcher,
                selectors.EVENT_READ,
                functools.partial(self.hear, watcher),
            )

    def hear(self, watcher: socket.socket) -> None:
        """Do what a watcher asks: `ask`, `renew` or `stop [grace]`."""
        try:
            words = watcher.recv(MESSAGE_BYTES).decode().split()
        except OSError:
            words = []
        if not words:
            self.drop(watcher)
        elif words[0] == "ask":
            self.tell(watcher)
        elif words[0] == "renew":
            self.renewed = time.monotonic()
            with contextlib.suppress(OSError):
                os.utime(self.lease)
        elif words[0] == "stop":
            self.end("stopped", float(words[1]) if words[1:] else self.grace_s)


def sweep(root: int, marker: bytes, grace_s: float) -> State:
    """Climb the whole ladder without a supervisor's event loop."""
    ladder = Ladder(root, marker, grace_s)
    while True:
        left = ladder.press()
        if not left or ladder.given_up:
            return ladder.report(left)
        time.sleep(0.02)


def child_environment(spec: State) -> Dict[str, str]:
    """Build the child's environment; names in `expand` may refer to the host's own values."""
    env = dict(os.environ, TMPDIR=spec["tmp"])
    for name, value in spec["env"].items():
        if name in spec["expand"]:
            value = re.sub(r"\$\{?(\w+)\}?", lambda m: os.environ.get(m[1], ""), value)  # noqa: PLW2901
        env[name] = value
    # SPT_NOENV keeps setproctitle, which vLLM uses, from wiping the marker.
    env.update({MARKER: f"{spec['run']}/{spec['process']}", "SPT_NOENV": "1"})
    return env


# The control socket


@contextlib.contextmanager
def short_path(folder: str) -> Iterator[str]:
    """Name the control socket in few bytes: a socket's path is limited to 108."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{handle}/control"
    finally:
        os.close(handle)


def listen(folder: str) -> socket.socket:
    """Open the control socket. SEQPACKET: every message arrives whole."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with short_path(folder) as path:
        listener.bind(path)
    listener.listen(16)
    listener.settimeout(0)
    return listener


def dial(folder: str, message: str) -> Optional[socket.socket]:
    """Reach a folder's supervisor with a first message; None when there is none any more."""
    caller = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        with short_path(folder) as path:
            caller.connect(path)
        caller.send(message.encode())
    except OSError:
        caller.close()
        return None
    return caller


def receive(caller: socket.socket) -> State:
    """Wait for the next state; empty when the supervisor has gone."""
    try:
        return json.loads(caller.recv(MESSAGE_BYTES) or b"{}")  # type: ignore[no-any-return]
    except OSError:
        return {}


def settled(folder: str, caller: Optional[socket.socket] = None) -> State:
    """Give the state as its supervisor tells it, else as it was written."""
    if caller is not None:
        with caller:
            caller.settimeout(ANSWER_S)
            state = receive(caller)
        if state:
            return state
    state = read_json(os.path.join(folder, "state.json"))
    if not state:
        run, process = os.path.normpath(folder).split(os.sep)[-2:]
        state = {"run": run, "process": process, "complete": False, "supervisor": None}
    return state if state["complete"] else dict(state, state="lost")


# Subcommands


def say(value: object) -> None:
    """Print one JSON line now."""
    os.write(1, json.dumps(value).encode() + b"\n")


def start() -> int:
    """Start a supervisor in the background; answer when its process runs or cannot."""
    spec = json.load(sys.stdin)
    reader, writer = os.pipe()
    middle = os.fork()
    if middle == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        guard_supervisor(spec, writer)
    os.close(writer)
    os.waitpid(middle, 0)
    with os.fdopen(reader) as pipe:
        told = json.loads(pipe.readline() or "{}")
    say(told or {"kind": "supervisor", "error": "the supervisor ended without an answer"})
    return 0 if "pid" in told else 1


def guard_supervisor(spec: State, answers: int) -> NoReturn:
    """Detach, take the host, then wait on a supervisor, to end its orphans should it be killed."""
    detach(answers)
    try:
        folder, lock = take_host(spec)
        # vLLM leaves sockets and stores in the temporary folder: give it one that goes with it.
        # Not in the workspace: a socket's path may have 107 bytes, which a run's folder can fill.
        spec["tmp"] = tempfile.mkdtemp(prefix="lamplighter-")
    except Exception as error:  # noqa: BLE001 - whatever it is, the controller is told
        answer(answers, refusal(error))
        os._exit(1)
    supervisor = os.fork()
    if supervisor == 0:
        supervise(spec, folder, lock, answers)
    os.close(answers)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _, status = os.waitpid(supervisor, 0)
    if os.WIFSIGNALED(status):
        end_orphans(folder, os.getpid(), REST_GRACE_S)
    shutil.rmtree(spec["tmp"], ignore_errors=True)
    os._exit(0)


def detach(keep: int) -> None:
    """Let go of everything of the caller's, and become the parent of every orphan below."""
    null = os.open(os.devnull, os.O_RDWR)
    for handle in map(int, os.listdir("/proc/self/fd")):
        if handle < 3:  # noqa: PLR2004 - stdin, stdout, stderr
            os.dup2(null, handle)
        elif handle != keep:
            with contextlib.suppress(OSError):
                os.close(handle)
    os.chdir("/")
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def supervise(spec: State, folder: str, lock: int, answers: int) -> NoReturn:
    """Be the supervisor: one answer, then the loop."""
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        supervisor = Supervisor(spec, folder, lock)
        supervisor.launch()
    except Exception as error:  # noqa: BLE001 - whatever it is, the controller is told
        shutil.rmtree(folder, ignore_errors=True)
        answer(answers, refusal(error))
        os._exit(1)
    answer(answers, dict(supervisor.state, folder=folder))
    try:
        supervisor.loop()
    except Exception as error:  # noqa: BLE001 - whatever it is, nothing may stay behind
        supervisor.fail(error)
    os._exit(0)


def answer(answers: int, value: State) -> None:
    """Tell the waiting `start` what came of it."""
    with contextlib.suppress(OSError):
        os.write(answers, json.dumps(value).encode() + b"\n")
    os.close(answers)


def refusal(error: Exception) -> State:
    """Say why there is no process."""
    if isinstance(error, Refused):
        return error.answer
    return {"kind": "workspace", "error": f"{type(error).__name__}: {error}"}


def take_host(spec: State) -> Tuple[str, int]:
    """Take the host's lock and make the process's folder; returns both."""
    for name in (spec["run"], spec["process"]):
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", name):
            raise Refused("spec", f"{name!r} cannot be a folder's name")
    house = os.path.join(spec["workspace"], ".lamplighter")
    folder = os.path.join(house, spec["run"], spec["process"])
    os.makedirs(house, exist_ok=True)
    record = {key: spec[key] for key in ("run", "owner", "process")}
    record.update(pid=os.getpid(), host=socket.gethostname(), since=now_text(), boot_id=boot_id())
    lock = acquire(house, record)
    try:
        os.makedirs(folder, mode=0o700)
    except FileExistsError:
        raise Refused("exists", f"{folder} is there already") from None
    public = {key: value for key, value in spec.items() if key != "env"}
    try:
        write_json(os.path.join(folder, "spec.json"), dict(public, env=sorted(spec["env"])))
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder, lock


def watch(folder: str) -> int:
    """Print the state now and at every change; lines on stdin renew the lease."""
    caller = dial(folder, "ask")
    state: State = {}
    while caller is not None:
        ready, _, _ = select.select([caller.fileno(), 0], [], [])
        if caller.fileno() in ready:
            change = receive(caller)
            if not change:
                break
            state = change
            say(state)
        if 0 in ready:
            if not os.read(0, 4096):
                return 0
            with contextlib.suppress(OSError):
                caller.send(b"renew")
    if not state.get("complete"):
        say(settled(folder))
    return 0


def stop(folder: str, grace_s: Optional[float]) -> int:
    """End a process and its descent; print the outcome."""
    caller = dial(folder, "stop" if grace_s is None else f"stop {grace_s}")
    state: State = {}
    while caller is not None:
        change = receive(caller)
        state = change or state
        if not change or state["complete"] or state["survivors"]:
            caller.close()
            break
    if not state.get("complete") and not state.get("survivors"):
        await_guardian(folder)
        state = end_orphans(folder, -1, REST_GRACE_S if grace_s is None else grace_s)
    say(state)
    return 1 if state["survivors"] else 0


def await_guardian(folder: str) -> None:
    """Let the guardian of a killed supervisor do its work: it knows more orphans than we do."""
    until = time.monotonic() + REST_GRACE_S + KILL_PATIENCE_S + TICK_S
    while time.monotonic() < until:
        state = settled(folder)
        guardian = look(str(state.get("guardian")))
        if state["complete"] or not (guardian and guardian.alive):
            return
        time.sleep(0.02)


def end_orphans(folder: str, root: int, grace_s: float) -> State:
    """End what a killed supervisor left: the descent of `root`, and what carries the marker."""
    state = settled(folder)
    if state["complete"]:
        return state
    marker = f"{MARKER}={state['run']}/{state['process']}".encode()
    state.update(sweep(root, marker, grace_s))
    state.update(complete=not state["survivors"], ended_at=state.get("ended_at") or now_text())
    with contextlib.suppress(OSError):
        write_json(os.path.join(folder, "state.json"), state)
    return state


def show(workspace: str) -> int:
    """Print every process of every run, and who holds the host."""
    house = os.path.join(workspace, ".lamplighter")
    holder = None
    if os.path.exists(os.path.join(house, "lock")):
        with guard(house) as lock:
            holder = None if try_lock(lock) else present_holder(house)
            os.close(lock)
    rows = [dict(state, alive=has_life(state)) for state in processes(house)]
    say({"holder": holder, "processes": rows})
    return 0


def has_life(state: State) -> bool:
    """Tell whether anything of a process's descent is known to be running."""
    if state["complete"] or state["state"] != "lost":
        return not state["complete"]
    return bool(members(-1, f"{MARKER}={state['run']}/{state['process']}".encode()))


def main() -> int:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("start")
    commands.add_parser("watch").add_argument("--folder", required=True)
    stopping = commands.add_parser("stop")
    stopping.add_argument("--folder", required=True)
    stopping.add_argument("--grace-s", type=float)
    commands.add_parser("list").add_argument("--workspace", required=True)
    options = parser.parse_args()
    if options.command == "start":
        return start()
    if options.command == "watch":
        return watch(options.folder)
    if options.command == "stop":
        return stop(options.folder, options.grace_s)
    return show(options.workspace)


if __name__ == "__main__":
    sys.exit(main())
