"""Start lab hosts as child processes with their own mounts, PIDs, hostname, network and sshd.

A separate program, with the standard library only, because it forks and changes namespaces, which a
process with threads must not do. `main` reads the hosts from standard input, and returns when all
have started.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import struct
import sys
from pathlib import Path
from typing import Any

from ci.lab.host_files import REC, enter, make_disk, make_root
from ci.lab.system_calls import attach, call

# Linux headers: sched.h, mount.h, sockios.h, prctl.h.
NEW_MOUNTS, NEW_NAMES, NEW_IPC, NEW_PIDS = 0x20000, 0x4000000, 0x8000000, 0x20000000
PRIVATE = 1 << 18
SET_FLAGS, SET_ADDRESS, SET_MASK, UP = 0x8914, 0x8916, 0x891C, 1
DIE_WITH_PARENT = 1

# A restart ends sshd but not the host: process 1 starts sshd again and reaps orphans.
FIRST_PROCESS = """
while :; do
  while [ -e /run/lab/hold ]; do sleep 0.1; done
  "$0" -D -e -f /run/lab/sshd_config
  sleep 0.05
done
"""


def start(host: dict[str, Any], shared: dict[str, Any]) -> None:
    """Enter the host's network, make its other namespaces and fork process 1; runs in a child."""
    call("prctl", DIE_WITH_PARENT, signal.SIGKILL)
    with Path("/run/netns", host["netns"]).open() as network:
        call("setns", network.fileno(), 0)
    call("unshare", NEW_MOUNTS | NEW_NAMES | NEW_IPC | NEW_PIDS)
    # Both share a mount namespace: this process must write before the child changes its root.
    go_read, go_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(go_write)
        os.read(go_read, 1)
        become(host, shared)
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    Path(host["home"], "pid").write_text(f"{pid} {ticks}\n")


def become(host: dict[str, Any], shared: dict[str, Any]) -> None:
    """Become process 1 of a host; never returns."""
    os.setsid()
    log = os.open(f"{host['home']}/sshd.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.closerange(3, 1024)
    try:
        attach("none", Path("/"), None, REC | PRIVATE)
        socket.sethostname(host["name"])
        bring_up_network(host)
        root = make_root(host, shared)
        enter(root)
        environment = {"PATH": shared["path"], "HOME": "/root", "USER": "root", "SHELL": "/bin/sh"}
        os.execve(  # noqa: S606 - a shell on purpose
            "/bin/sh", ["sh", "-c", FIRST_PROCESS, shared["sshd"], host["netns"]], environment
        )
    except OSError as error:
        print(f"host {host['name']} cannot start: {error}", file=sys.stderr, flush=True)  # noqa: T201
    os._exit(1)


def bring_up_network(host: dict[str, Any]) -> None:
    """Set the addresses of lo and eth0 by ioctl, which is faster than running `ip`."""
    disable_ipv6 = Path("/proc/sys/net/ipv6/conf/eth0/disable_ipv6")
    if disable_ipv6.exists():  # IPv6 announcements of 128 hosts take seconds
        disable_ipv6.write_text("1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for request, value in ((SET_ADDRESS, host["address"]), (SET_MASK, host["netmask"])):
            address = struct.pack("16sHH4s8x", b"eth0", 2, 0, socket.inet_aton(value))
            fcntl.ioctl(control, request, address)
        for name in (b"lo", b"eth0"):
            fcntl.ioctl(control, SET_FLAGS, struct.pack("16sH14x", name, UP))


def main() -> int:
    """Start every host that standard input describes; return 1 if any could not start."""
    call("prctl", DIE_WITH_PARENT, signal.SIGKILL)
    shared = json.load(sys.stdin)
    children = []
    for host in shared["hosts"]:
        make_disk(host)
        pid = os.fork()
        if pid == 0:
            try:
                start(host, shared)
            except OSError as error:
                print(f"{host['name']}: {error}", file=sys.stderr, flush=True)  # noqa: T201
                os._exit(1)
            os._exit(0)
        children.append(pid)
    return int(any(os.waitpid(pid, 0)[1] for pid in children))
