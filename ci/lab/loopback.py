"""Hosts made of plain sshds, one per loopback address, for who is not root. Processes only."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from ci.errors import InfrastructureError, UserError
from ci.lab.look import began, listening, pids, read_process
from ci.lab.programs import find_program
from ci.lab.sshd import last_word
from ci.lab.wait import wait_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.lab.model import Lab

MARK = "LAMPLIGHTER_LAB"
PORTS = range(22022, 23022)


def free_port(addresses: Sequence[str]) -> int:
    """Find a port that is free on all of the addresses.

    Raises:
        UserError: there is none.
    """
    for port in PORTS:
        if all(_is_free(address, port) for address in addresses):
            return port
    raise UserError(f"no port from {PORTS.start} on is free on {addresses[0]} and further")


def _is_free(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


def mark(lab: Lab) -> dict[str, str]:
    """What every session has in its environment, so that its processes are found again."""
    return {MARK: f"{lab.folder}"}


def make_hosts(lab: Lab) -> None:
    """Start every host's sshd.

    Raises:
        InfrastructureError: one does not listen; carries its own words.
    """
    for host in lab.hosts:
        start(lab, host.name)


def start(lab: Lab, name: str) -> None:
    """Start one host's sshd and wait until it listens."""
    host, home = lab.host(name), lab.home(name)
    (home / "workspace").mkdir(exist_ok=True)
    command = [str(find_program("sshd")), "-D", "-e", "-f", str(home / "etc/sshd_config")]
    with (home / "sshd.log").open("a") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            env={**os.environ, **mark(lab)},
        )  # fmt: skip
    (home / "pid").write_text(f"{process.pid} {began(process.pid)}\n")
    here = (host.address, lab.port)
    wait_for(lambda: here in listening("self") or process.poll() is not None, timeout_s=20)
    if process.poll() is not None or here not in listening("self"):
        raise InfrastructureError(f"{name}'s sshd does not listen, {last_word(lab, name)}")
    process.returncode = 0  # it outlives us by intent; Popen would warn


def listener(lab: Lab, name: str) -> int | None:
    """A host's sshd; None when it has ended."""
    try:
        pid, ticks = (lab.home(name) / "pid").read_text().split()
    except (OSError, ValueError):
        return None
    return int(pid) if began(int(pid)) == ticks else None


def residents(lab: Lab) -> set[int]:
    """Every process of a lab: its sshds, their descent, and all that carry the lab's mark."""
    seen = [process for process in map(read_process, pids()) if process]
    found = {pid for host in lab.hosts if (pid := listener(lab, host.name))}
    found |= {process.pid for process in seen if _marked(process.pid, lab)}
    while more := {p.pid for p in seen if p.parent in found} - found:
        found |= more
    # A session whose sshd has ended hangs on init, its environment overwritten by its title.
    return found | {
        parent.pid
        for process in seen
        if process.pid in found
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
        InfrastructureError: some do not end.
    """

    def none_left() -> bool:
        found = residents(lab) - {os.getpid()}
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        return not found

    if not wait_for(none_left, timeout_s=20):
        raise InfrastructureError(f"processes of lab {lab.name} do not end: {residents(lab)}")
