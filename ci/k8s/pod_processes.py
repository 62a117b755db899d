"""Start and end the processes of a pod, and relay their output to the pod's log.

Runs in a pod, beside `pod.py`: standard library only.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

FOLDER = Path(tempfile.gettempdir(), "lamplighter")
POLL_S = 0.1
RELAY_TIMEOUT_S = 5.0


class Group:
    """The processes of this pod, each in its own session together with its children."""

    def __init__(self) -> None:
        self.running: dict[int, str] = {}
        self._processes: list[subprocess.Popen[bytes]] = []
        self._relays: list[threading.Thread] = []
        self._lock = threading.Lock()

    def start(self, name: str, argv: list[str], env: dict[str, str]) -> None:
        """Start a process; its output goes to the pod's log, each line with the process's name."""
        log(f"starts {name}: {shlex.join(argv)}")
        (FOLDER / name).mkdir(parents=True, exist_ok=True)
        process = subprocess.Popen(
            argv,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.running[process.pid] = name
        self._processes.append(process)
        relay = threading.Thread(target=self._relay, args=(name, process), daemon=True)
        relay.start()
        self._relays.append(relay)

    def ended(self) -> tuple[str, int] | None:
        """Return a process that has ended and its code; also reap orphans, as this is PID 1."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return None
            if not pid:
                return None
            name = self.running.pop(pid, None)
            if name is not None:
                killed = os.WIFSIGNALED(status)
                return name, -os.WTERMSIG(status) if killed else os.WEXITSTATUS(status)

    def end(self, grace_s: float) -> None:
        """Send TERM to all processes, wait up to `grace_s` seconds, then send KILL to the rest."""
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + grace_s
        while self.running and time.monotonic() < deadline:
            self.ended()
            time.sleep(POLL_S)
        self._signal(signal.SIGKILL)
        for relay in self._relays:
            relay.join(RELAY_TIMEOUT_S)

    def _signal(self, number: int) -> None:
        for process in self._processes:
            with contextlib.suppress(OSError):  # that process has no children left
                os.killpg(process.pid, number)

    def _relay(self, name: str, process: subprocess.Popen[bytes]) -> None:
        prefix = f"[{name}] ".encode()
        for line in process.stdout or ():
            with self._lock:
                sys.stdout.buffer.write(prefix + line.rstrip(b"\n") + b"\n")
                sys.stdout.buffer.flush()


def log(text: str) -> None:
    """Print a line of this program to the pod's log."""
    sys.stdout.write(f"[lamplighter] {text}\n")
    sys.stdout.flush()
