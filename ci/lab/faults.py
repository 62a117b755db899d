"""Inject faults into a lab's hosts, and repair them. Only for labs made as root.

Network faults drop packets silently, in the switch and at the host's interface. `boot` repairs
them all, and so does ending the lab.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from typing import TYPE_CHECKING

from ci.errors import InfrastructureError, UserError
from ci.lab import clock, inside, look, namespaces, network
from ci.lab.programs import find_compiler
from ci.lab.run_tool import PATH, run_tool
from ci.lab.sshd import make_key
from ci.lab.wait import wait_for

if TYPE_CHECKING:
    from ci.lab.model import Lab

RESTART_S = 20


def cut(lab: Lab, host: str) -> None:
    """Drop all IP packets to and from the host; its link and address stay."""
    _drop(lab, host, "cut", "meta protocol ip", both_directions=True)


def pull_cable(lab: Lab, host: str) -> None:
    """Set the host's link down: no carrier."""
    run_tool(["ip", "-n", network.switch(lab), "link", "set", _port(lab, host), "down"])


def lose_packets(lab: Lab, host: str, percent: int) -> None:
    """Drop a percentage of the packets at random, in both directions.

    Raises:
        UserError: the percentage is not from 1 to 99.
    """
    if not 1 <= percent <= 99:  # noqa: PLR2004 - per cent
        raise UserError(
            f"packet loss: expected 1 to 99 %, got {percent} %; for all packets, cut the host"
        )
    rule = f"meta protocol ip numgen random mod 100 < {percent}"
    _drop(lab, host, "loss", rule, both_directions=True)


def filter_port(lab: Lab, host: str, port: int) -> None:
    """Drop new connections to a port; open connections stay."""
    rule = f"tcp dport {port} tcp flags & (syn | ack) == syn"
    _drop(lab, host, f"port_{port}", rule, both_directions=False)


def repair(lab: Lab, host: str) -> None:
    """Remove all faults of the host's network."""
    _nft(network.namespace(lab, lab.host(host)), "flush ruleset")
    _repair_switch(lab, host)
    run_tool(["ip", "-n", network.switch(lab), "link", "set", _port(lab, host), "up"])


def _repair_switch(lab: Lab, host: str) -> None:
    for fault in ("cut", "loss"):
        table = f"netdev {_port(lab, host)}_{fault}"
        _nft(network.switch(lab), f"add table {table}\ndelete table {table}")


def crash(lab: Lab, host: str) -> None:
    """Kill a host at once, without closing its connections. Its disk stays.

    Raises:
        InfrastructureError: the host is already down, or does not end.
    """
    first = inside.first_process(lab, host)
    groups = look.cgroups_of(namespaces.processes_on(lab, host))
    pull_cable(lab, host)
    os.kill(first, signal.SIGKILL)
    # A process that ends leaves its network namespace some moments before it counts as ended.
    if not wait_for(
        lambda: (
            not namespaces.processes_on(lab, host) and namespaces.first_process(lab, host) is None
        ),
        RESTART_S,
    ):
        raise InfrastructureError(f"lab host {host} does not end; its process 1 has PID {first}")
    look.remove_cgroups(groups)


def boot(lab: Lab, host: str, *, empty: bool = True) -> None:
    """Start a host with a new boot id, and wait for its sshd; a running host crashes first.

    Args:
        lab: the lab.
        host: name of the host.
        empty: whether it gets an empty disk; else it keeps all but /tmp and /run.

    Raises:
        InfrastructureError: the host does not start.
    """
    if namespaces.first_process(lab, host) is not None:
        crash(lab, host)
    _repair_switch(lab, host)  # since Linux 6.16 rules stay for the next device of that name
    network.renew_namespace(lab, lab.host(host))
    namespaces.start_hosts(lab, [lab.host(host)], empty=empty)


def stop_sshd(lab: Lab, host: str, *, kill_sessions: bool = False) -> None:
    """Stop a host's sshd, so that connections are refused; sessions survive by default."""
    (inside.root_of(lab, host) / "run/lab/hold").touch()
    _end_sshd(lab, host, kill_sessions=kill_sessions)
    if not wait_for(lambda: not namespaces.serves(lab, host), RESTART_S):
        raise InfrastructureError(f"{host}'s sshd still listens")


def start_sshd(lab: Lab, host: str) -> None:
    """Undo `stop_sshd`."""
    (inside.root_of(lab, host) / "run/lab/hold").unlink(missing_ok=True)
    if not wait_for(lambda: namespaces.serves(lab, host), RESTART_S):
        raise InfrastructureError(f"{host}'s sshd does not listen")


def restart_sshd(lab: Lab, host: str, *, kill_sessions: bool = True) -> None:
    """Kill a host's sshd, with or without its sessions, and wait until a new sshd listens.

    The pipes of the killed sessions' commands break, as on any host.
    """
    stop_sshd(lab, host, kill_sessions=kill_sessions)
    start_sshd(lab, host)


def _end_sshd(lab: Lab, host: str, *, kill_sessions: bool) -> None:
    main = inside.listener(lab, host)
    sessions = [
        process.pid
        for process in inside.processes(lab, host)
        if kill_sessions and process.name.startswith("sshd")
    ]
    for pid in [*([main] if main else ()), *sessions]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def hide_python(lab: Lab, host: str) -> None:
    """Remove every `python3` from the host's PATH."""
    _rename(lab, host, "python3", "python3.hidden")


def show_python(lab: Lab, host: str) -> None:
    """Undo `hide_python`."""
    _rename(lab, host, "python3.hidden", "python3")


def _rename(lab: Lab, host: str, old: str, new: str) -> None:
    script = 'IFS=:; for d in $PATH; do [ ! -e "$d/$0" ] || mv "$d/$0" "$d/$1" || exit 1; done'
    ended = inside.run_in(lab, host, ["sh", "-c", script, old, new])
    if ended.returncode != 0:
        raise InfrastructureError(f"{host}: {old} could not be renamed: {ended.stderr.strip()}")


def fill_disk(lab: Lab, host: str) -> None:
    """Fill a host's disk by shrinking it to its content, without writing to it.

    Raises:
        InfrastructureError: the content grows too fast.
    """
    disk = lab.home(host) / "disk"
    errors: list[str] = []

    def shrunk() -> bool:
        space = os.statvfs(disk)
        used_kb = (space.f_blocks - space.f_bfree) * space.f_frsize // 1024
        try:
            run_tool(["mount", "-o", f"remount,size={used_kb}k", str(disk)])
        except InfrastructureError as error:  # the host has written since the size was read
            errors.append(str(error))
            return False
        return True

    if not wait_for(shrunk, RESTART_S):
        raise InfrastructureError(f"{host}'s disk cannot be filled: {errors[-1]}")


def free_disk(lab: Lab, host: str) -> None:
    """Undo `fill_disk`."""
    size = f"{lab.disk_mb}m" if lab.disk_mb else "50%"
    run_tool(["mount", "-o", f"remount,size={size}", str(lab.home(host) / "disk")])


def new_host_key(lab: Lab, host: str) -> None:
    """Give a host a key that differs from known_hosts. Open sessions continue."""
    make_key(inside.root_of(lab, host) / "run/lab/host_key", f"{host} changed")
    restart_sshd(lab, host, kill_sessions=False)


def old_host_key(lab: Lab, host: str) -> None:
    """Undo `new_host_key`."""
    shutil.copy(lab.home(host) / "etc/host_key", inside.root_of(lab, host) / "run/lab/host_key")
    restart_sshd(lab, host, kill_sessions=False)


def set_clock(lab: Lab, host: str, seconds: int) -> None:
    """Shift a host's wall clock by a number of seconds; 0 undoes it.

    All hosts share the kernel's clock, so each program that starts on the host after this loads a
    library (/etc/ld.so.preload) that shifts the time it reads. Static programs, file times and
    running programs keep the true time; monotonic clocks are never shifted.

    Raises:
        UserError: there is no C compiler, and it could not be installed.
    """
    root = inside.root_of(lab, host)
    (root / "etc/ld.so.preload").unlink(missing_ok=True)
    if seconds:
        library = root / "run/lab" / f"clock{seconds}.so"
        flags = ["-shared", "-fPIC", "-O1", f"-DSHIFT_S=({seconds})"]
        run_tool([find_compiler(), *flags, "-o", str(library), "-x", "c", "-"], clock.SOURCE)
        (root / "etc/ld.so.preload").write_text(f"/run/lab/{library.name}\n")


def _port(lab: Lab, host: str) -> str:
    return f"port{lab.host(host).index}"


def _drop(lab: Lab, host: str, fault: str, rule: str, *, both_directions: bool) -> None:
    """Drop matching packets: incoming ones at the host's eth0, outgoing ones at the switch."""
    inside.first_process(lab, host)
    _nft(network.namespace(lab, lab.host(host)), _table(fault, "eth0", rule))
    if both_directions:
        port = _port(lab, host)
        _nft(network.switch(lab), _table(f"{port}_{fault}", port, rule))


def _table(name: str, device: str, rule: str) -> str:
    return (
        f"add table netdev {name}\ndelete table netdev {name}\n"
        f"table netdev {name} {{\n chain in {{\n"
        f'  type filter hook ingress device "{device}" priority 0;\n'
        f"  {rule} drop\n }}\n}}\n"
    )


def _nft(netns: str, rules: str) -> None:
    enter = ["nsenter", f"--net={network.NAMESPACES / netns}"]
    run_tool(["env", f"PATH={PATH}", *enter, "nft", "-f", "-"], rules)
