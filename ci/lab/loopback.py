"""Make lab hosts without root: an sshd per loopback address. Starts and ends processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from ci.errors import InfrastructureError, UserError
from ci.lab.look import listening, pids, read_process, start_ticks
from ci.lab.programs import find_program
from ci.lab.sshd import last_log_line
from ci.lab.wait import wait_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.lab.model import Lab

MARK = "LAMPLIGHTER_LAB"
PORTS = range(22022, 23022)


def free_port(addresses: Sequence[str]) -> int:
    """Find a port that is free on all of the addresses.

    Raises:
        UserError: no port is free.
    """
    for port in PORTS:
        if all(_is_free(address, port) for address in addresses):
            return port
    raise UserError(f"no port from {PORTS.start} to {PORTS.stop - 1} is free on {addresses}")


def _is_free(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


def mark(lab: Lab) -> dict[str, str]:
    """Return the variable that marks every session, so that its processes can be found."""
    return {MARK: f"{lab.folder}"}


def make_hosts(lab: Lab) -> None:
    """Start every host's sshd.

    Raises:
        InfrastructureError: an sshd does not listen; has the last line of its log.
    """
    for host in lab.hosts:
        start(lab, host.name)


def start(lab: Lab, name: str) -> None:
    """Start a host's sshd and wait until it listens."""
    host, home = lab.host(name), lab.home(name)
    (home / "workspace").mkdir(exist_ok=True)
    command = [str(find_program("sshd")), "-D", "-e", "-f", str(home / "etc/sshd_config")]
    with (home / "sshd.log").open("a") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            env={**os.environ, **mark(lab)},
        )  # fmt: skip
    (home / "pid").write_text(f"{process.pid} {start_ticks(process.pid)}\n")
    endpoint = (host.address, lab.port)
    wait_for(lambda: endpoint in listening("self") or process.poll() is not None, timeout_s=20)
    if process.poll() is not None or endpoint not in listening("self"):
        raise InfrastructureError(f"{name}'s sshd does not listen; {last_log_line(lab, name)}")
    process.returncode = 0  # it outlives this process on purpose; Popen would warn


def listener(lab: Lab, name: str) -> int | None:
    """Return the PID of a host's sshd; None if it has ended."""
    try:
        pid, ticks = (lab.home(name) / "pid").read_text().split()
    except (OSError, ValueError):
        return None
    return int(pid) if start_ticks(int(pid)) == ticks else None


def processes_of(lab: Lab) -> set[int]:
    """Return the PIDs of a lab: its sshds, their descendants, and all with the lab's mark."""
    running = [process for process in map(read_process, pids()) if process]
    members = {pid for host in lab.hosts if (pid := listener(lab, host.name))}
    members |= {process.pid for process in running if _marked(process.pid, lab)}
    while children := {p.pid for p in running if p.parent in members} - members:
        members |= children
    # A session whose sshd has ended is a child of init; its title has overwritten its environment.
    return members | {
        parent.pid
        for process in running
        if process.pid in members
        and (parent := read_process(process.parent))
        and parent.name.startswith("sshd")
    }


def _marked(pid: int, lab: Lab) -> bool:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
    return f"{MARK}={lab.folder}".encode() in environment


def end_hosts(lab: Lab) -> None:
    """End every process of a lab.

    Raises:
        InfrastructureError: some processes do not end.
    """

    def none_left() -> bool:
        remaining = processes_of(lab) - {os.getpid()}
        for pid in remaining:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        return not remaining

    if not wait_for(none_left, timeout_s=20):
        raise InfrastructureError(f"processes of lab {lab.name} do not end: {processes_of(lab)}")
