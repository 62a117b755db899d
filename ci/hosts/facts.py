"""Read a host's facts. Runs on the host: stdlib only, Python 3.8 and later, prints JSON."""

import json
import os
import platform
import shutil
import socket
import sys
from typing import Dict, List, Optional, Set, Tuple

_LISTEN = "0A"  # state of a listening socket in /proc/net/tcp, Linux include/net/tcp_states.h


def listening() -> Dict[int, Set[str]]:
    """Port → the inodes of the sockets that listen on it."""
    ports: Dict[int, Set[str]] = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table, encoding="ascii") as lines:
                rows = [line.split() for line in lines][1:]
        except OSError:
            continue
        for row in rows:
            if row[3] == _LISTEN:
                ports.setdefault(int(row[1].rsplit(":", 1)[1], 16), set()).add(row[9])
    return ports


def owner_of(inodes: Set[str]) -> Tuple[Optional[int], str]:
    """Find the first process that has one of these sockets open, and its command."""
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            for handle in os.listdir(f"/proc/{pid}/fd"):
                if os.readlink(f"/proc/{pid}/fd/{handle}") in wanted:
                    with open(f"/proc/{pid}/cmdline", "rb") as text:
                        return int(pid), text.read().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
    return None, "a process of another user"


def cpu_model() -> str:
    """Give the processor's name as the kernel has it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def first_line(path: str) -> str:
    """Read a file's first line, empty when it cannot be read."""
    try:
        with open(path, encoding="utf-8") as lines:
            return lines.readline().strip()
    except OSError:
        return ""


def main(workspace: str, wanted_ports: List[int]) -> None:
    """Gather and print."""
    folder = workspace
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder) or "/"
    taken = {}
    for port, inodes in listening().items():
        if port in wanted_ports:
            pid, command = owner_of(inodes)
            taken[port] = {"pid": pid, "command": command.strip()}
    facts = {
        "hostname": socket.gethostname(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "disk_free_bytes": shutil.disk_usage(folder).free,
        "python": platform.python_version(),
        "boot_id": first_line("/proc/sys/kernel/random/boot_id"),
        "ports_taken": taken,
    }
    print(json.dumps(facts))


if __name__ == "__main__":
    main(sys.argv[1], [int(port) for port in sys.argv[2:]])
