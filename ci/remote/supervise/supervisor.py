"""Start a process on a host, and end it with all its descendants: on request, or without contact.

Touches only `<workspace>/.lamplighter`, a folder in the temporary folder, the processes that it
started, and their files in /dev/shm.
"""

from __future__ import annotations

import fcntl
import os
import time

from ci.remote.lean import signal, socket, suppress
from ci.remote.names import LEASE
from ci.remote.poller import Poller
from ci.remote.supervise import cgroup
from ci.remote.supervise.child import environment, expanded, spawn
from ci.remote.supervise.lease import Lease
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
from ci.remote.supervise.watchers import Watchers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Optional

    from ci.remote.supervise.shared import Shared
    from ci.remote.supervise.store import State

LEASE_GRACE_S = 5.0  # a lease of 20 s, a tick and this stay under 30 s


class Supervisor:
    """A process, its descendants, and the agents that watch it."""

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
        self.poller = Poller()
        self.began = time.monotonic()
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
        self.lease = Lease(folder, float(spec["lease_s"]))
        self.presence: Optional[socket.socket] = None
        self.group = "" if spec["process"] == LEASE else cgroup.make(folder)
        self.catch_signals()
        self.watchers = Watchers(folder, self.poller, self.state, self.take_message)

    def catch_signals(self) -> None:
        """Turn signals into events, so that the loop notices an end at once."""
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
        """Start the process; return after its exec, or raise Refused."""
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
        """Announce the run, which its process now proves; the first process does so for all."""
        announcement = announce(self.spec["run"], self.spec["owner"])
        if announcement is not None:
            self.presence = announcement
            self.poller.register(announcement.fileno(), lambda: hang_up(announcement))

    def loop(self) -> None:
        """Run until the process and all its descendants have ended."""
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
        """Note the files that the descendants hold in /dev/shm, for the guardian."""
        if self.shared.look(
            lambda: [process.pid for process in members(os.getpid(), self.marker, self.group)]
        ):
            self.state["shared"] = sorted(self.shared.held)
            self.unsaved = True

    def pause_s(self) -> float:
        """Return how long the loop may wait for an event."""
        return self.termination.pause_s if self.termination else min(TICK_S, self.lease.seconds / 4)

    def woken(self) -> None:
        """Read the received signals; SIGCHLD only has to wake the loop."""
        with suppress(BlockingIOError):
            if set(self.wake.recv(4096)) & {signal.SIGTERM, signal.SIGINT}:
                self.end("stopped", self.grace_s)

    def reap(self) -> None:
        """Reap ended children, also adopted orphans."""
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid == self.state["pid"]:
                    self.note_end(status)

    def note_end(self, status: int) -> None:
        """Report the end of the process at once, then end the rest of its descendants."""
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
        deadline_s = self.spec["deadline_s"]
        if self.lease.has_expired():
            self.end("lease_expired", min(self.grace_s, LEASE_GRACE_S))
        elif deadline_s is not None and time.monotonic() - self.began > deadline_s:
            self.end("deadline", self.grace_s)

    def end(self, cause: str, grace_s: float) -> None:
        """Begin to terminate. The first cause is kept; a shorter grace replaces a longer."""
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
            # The last process may have become a zombie only now.
            self.reap()
        before = self.state["survivors"]
        self.state.update(termination.report(left))
        if not left and self.state["ended_at"]:
            self.finish()
        elif self.state["survivors"] != before:
            self.publish()

    def finish(self) -> None:
        """Free the host, then report the end: the next process may start at once."""
        self.state["complete"] = True
        remove(self.spec["tmp"])
        self.shared.remove()
        cgroup.remove(self.group)
        if self.presence:
            self.poller.unregister(self.presence.fileno())
            self.presence.close()
        fcntl.flock(self.lock, fcntl.LOCK_UN)  # the guardian has it open too
        self.publish()
        with suppress(OSError):
            os.unlink(os.path.join(self.folder, "control"))

    def fail(self, error: BaseException) -> None:
        """Clean up after a defect of the supervisor."""
        self.state["error"] = f"{type(error).__name__}: {error}"
        termination = terminate_tree(os.getpid(), self.marker, 0, self.shared, self.group)
        self.reap()
        self.state.update(termination, state="lost", ended_at=now_text())
        self.finish()

    def publish(self) -> None:
        """Save the state and send it to the watchers."""
        self.save()
        self.watchers.send_state()

    def save(self) -> None:
        """Write the state; retry later if the disk is full, which must not end the supervision."""
        try:
            write_json(os.path.join(self.folder, "state.json"), self.state)
            self.unsaved = False
        except OSError:
            self.unsaved = True

    def take_message(self, words: List[str]) -> None:
        """Obey a watcher: `renew`, `keep seconds` or `stop [grace]`."""
        if words[0] == "renew":
            self.lease.renew()
        elif words[0] == "keep":
            self.lease.keep(float(words[1]))
        elif words[0] == "stop":
            self.end("stopped", float(words[1]) if words[1:] else self.grace_s)
