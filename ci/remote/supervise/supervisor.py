"""Starts one process on a host, owns its whole descent, and ends it when asked to or left alone.

Touches `<workspace>/.lamplighter`, a folder in the temporary one, the processes that it started
and what they leave in /dev/shm, nothing else.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import time

from ci.remote.names import LEASE
from ci.remote.poller import Poller
from ci.remote.supervise import cgroup
from ci.remote.supervise.child import environment, expanded, spawn
from ci.remote.supervise.control import MESSAGE_BYTES, accept, listen
from ci.remote.supervise.lock import Refused
from ci.remote.supervise.presence import announce, hang_up
from ci.remote.supervise.proc import (
    MARKER,
    REST_GRACE_S,
    TICK_S,
    Termination,
    members,
    terminate_tree,
)
from ci.remote.supervise.store import boot_id, now_text, remove, write_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, Optional

    from ci.remote.supervise.shared import Shared
    from ci.remote.supervise.store import State

LEFT_ALONE_GRACE_S = 5.0  # a lease of 20 s, a tick and this stay under 30 s


class Supervisor:
    """One process, its descent, and whoever watches it through the control socket."""

    def __init__(self, spec: State, folder: str, lock: int, shared: Shared) -> None:
        self.spec = spec
        self.shared = shared
        self.folder = folder
        self.lock = lock
        self.grace_s = float(spec["grace_s"])
        self.marker = f"{MARKER}={spec['run']}/{spec['process']}".encode()
        self.termination: Optional[Termination] = None
        self.cause = ""
        self.unsaved = False
        self.watchers: Dict[int, socket.socket] = {}
        self.poller = Poller()
        self.began = self.renewed = time.monotonic()
        self.state: State = {
            "run": spec["run"],
            "process": spec["process"],
            "owner": spec["owner"],
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
        self.presence: Optional[socket.socket] = None
        self.group = "" if spec["process"] == LEASE else cgroup.make(folder)
        self.catch_signals()
        self.listener = listen(folder)
        self.poller.register(self.listener.fileno(), self.accept_watcher)

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
        self.poller.register(self.wake.fileno(), self.woken)

    def launch(self) -> None:
        """Start the process; returns when it has been exec'ed, raises Refused when it cannot be."""
        log = os.open(
            os.path.join(self.folder, "log"),
            os.O_WRONLY | os.O_CREAT | os.O_APPEND,
            0o600,
        )
        env = environment(self.spec)
        argv = [expanded(word, self.spec["expand"], env) for word in self.spec["argv"]]
        try:
            cwd = self.spec["cwd"] or self.folder
            self.state["pid"] = spawn(argv, env, cwd, log, self.group)
        except OSError as error:
            cgroup.remove(self.group)
            raise Refused("exec", f"{error.filename}: {error.strerror}") from None
        finally:
            os.close(log)
        self.announce()
        self.publish()

    def announce(self) -> None:
        """Announce the run, now that a process proves it; one socket does so for all of them."""
        announcement = announce(self.spec["run"], self.spec["owner"])
        if announcement is not None:
            self.presence = announcement
            self.poller.register(announcement.fileno(), lambda: hang_up(announcement))

    def loop(self) -> None:
        """Run until nothing is left of the descent."""
        while not self.state["complete"]:
            ready = list(self.poller.ready(self.pause_s()))
            self.reap()
            for callback in ready:
                callback()
            if self.termination is None:
                self.look_at_shared()
                self.check_bounds()
            if self.termination is not None:
                self.terminate(self.termination)
            if self.unsaved:
                self.save()

    def look_at_shared(self) -> None:
        """Keep on the disk what is held in /dev/shm, for whoever outlives this process."""
        if self.shared.look(
            lambda: [one.pid for one in members(os.getpid(), self.marker, self.group)]
        ):
            self.state["shared"] = sorted(self.shared.held)
            self.unsaved = True

    def pause_s(self) -> float:
        """How long nothing needs doing unless something happens."""
        return (
            self.termination.pause_s if self.termination else min(TICK_S, self.spec["lease_s"] / 4)
        )

    def woken(self) -> None:
        """Read the signals that came; SIGCHLD only has to wake the loop."""
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
        """Report at once how the process itself ended, then end the rest of its descent."""
        if os.WIFSIGNALED(status):
            self.state["signal"] = os.WTERMSIG(status)
        else:
            self.state["exit_code"] = os.WEXITSTATUS(status)
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
        """Begin to terminate; the first cause stays, a shorter grace counts."""
        if self.termination is None:
            self.cause = cause
            self.termination = Termination(
                os.getpid(), self.marker, grace_s, self.shared, self.group
            )
        self.termination.kill_at = min(self.termination.kill_at, time.monotonic() + grace_s)

    def terminate(self, termination: Termination) -> None:
        """Take the termination's next step, and finish when no process is left."""
        left = termination.step()
        if not left:
            # The last one may have become a zombie only now.
            self.reap()
        before = self.state["survivors"]
        self.state.update(termination.report(left))
        if not left and self.state["ended_at"]:
            self.finish()
        elif self.state["survivors"] != before:
            self.publish()

    def finish(self) -> None:
        """Free the host before the end is reported: the next process may start at once."""
        self.state["complete"] = True
        remove(self.spec["tmp"])
        self.shared.remove()
        cgroup.remove(self.group)
        if self.presence:
            self.poller.unregister(self.presence.fileno())
            self.presence.close()
        fcntl.flock(self.lock, fcntl.LOCK_UN)  # the guardian has it open, too
        self.publish()
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(self.folder, "control"))

    def fail(self, error: BaseException) -> None:
        """Leave nothing behind after a defect of our own."""
        self.state["error"] = f"{type(error).__name__}: {error}"
        termination = terminate_tree(os.getpid(), self.marker, 0, self.shared, self.group)
        self.reap()
        self.state.update(termination, state="lost", ended_at=now_text())
        self.finish()

    def publish(self) -> None:
        """Save the state and send it to the watchers."""
        self.save()
        for watcher in list(self.watchers.values()):
            self.send_state(watcher)

    def save(self) -> None:
        """Write the state; a full disk must not end the supervision, so it is tried again."""
        try:
            write_json(os.path.join(self.folder, "state.json"), self.state)
            self.unsaved = False
        except OSError:
            self.unsaved = True

    def send_state(self, watcher: socket.socket) -> None:
        """Send the state to one watcher."""
        try:
            watcher.send(json.dumps(self.state).encode())
        except OSError:
            self.drop(watcher)

    def drop(self, watcher: socket.socket) -> None:
        """Forget a watcher."""
        if self.watchers.pop(watcher.fileno(), None):
            self.poller.unregister(watcher.fileno())
        watcher.close()

    def accept_watcher(self) -> None:
        """Accept a watcher."""
        with contextlib.suppress(OSError):
            watcher = accept(self.listener)
            self.watchers[watcher.fileno()] = watcher
            self.poller.register(watcher.fileno(), lambda: self.take_message(watcher))

    def take_message(self, watcher: socket.socket) -> None:
        """Do what a watcher asks: `ask`, `renew`, `keep seconds` or `stop [grace]`."""
        try:
            message = watcher.recv(MESSAGE_BYTES).decode().split()
        except OSError:
            message = []
        if not message:
            self.drop(watcher)
        elif message[0] == "ask":
            self.send_state(watcher)
        elif message[0] == "renew":
            self.renewed = time.monotonic()
            with contextlib.suppress(OSError):
                os.utime(self.lease)
        elif message[0] == "keep":
            self.renewed, self.spec["lease_s"] = time.monotonic(), float(message[1])
        elif message[0] == "stop":
            self.end("stopped", float(message[1]) if message[1:] else self.grace_s)
