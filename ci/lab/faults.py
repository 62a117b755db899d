"""Break a lab's hosts the way real ones break, and mend them. Labs made as root only.

The network is broken in the switch and at the host's own door, in silence: packets vanish, nobody
is told. A boot mends everything; so does `down`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from typing import TYPE_CHECKING

from ci.errors import InfrastructureError, UserError
from ci.lab import clock, inside, namespaces, network
from ci.lab.programs import find_compiler
from ci.lab.run_tool import PATH, run_tool
from ci.lab.sshd import make_key
from ci.lab.wait import wait_for

if TYPE_CHECKING:
    from ci.lab.model import Lab

RESTART_S = 20


def cut(lab: Lab, host: str) -> None:
    """Let no IP packet reach the host or leave it; its link and address stay."""
    _drop(lab, host, "cut", "meta protocol ip", both_ways=True)


def pull_cable(lab: Lab, host: str) -> None:
    """Take the host's link down: no carrier."""
    run_tool(["ip", "-n", network.switch(lab), "link", "set", _port(lab, host), "down"])


def lose_packets(lab: Lab, host: str, percent: int) -> None:
    """Lose that share of the packets, by chance, each way.

    Raises:
        UserError: the share is not from 1 to 99.
    """
    if not 1 <= percent <= 99:  # noqa: PLR2004 - per cent
        raise UserError(
            f"{percent} % of the packets: 1 to 99 can be lost by chance; or cut the host"
        )
    rule = f"meta protocol ip numgen random mod 100 < {percent}"
    _drop(lab, host, "loss", rule, both_ways=True)


def filter_port(lab: Lab, host: str, port: int) -> None:
    """Let nobody new connect to a port; connections that are open stay."""
    rule = f"tcp dport {port} tcp flags & (syn | ack) == syn"
    _drop(lab, host, f"port_{port}", rule, both_ways=False)


def mend(lab: Lab, host: str) -> None:
    """Undo everything that was done to the host's network."""
    _nft(network.namespace(lab, lab.host(host)), "flush ruleset")
    _mend_switch(lab, host)
    run_tool(["ip", "-n", network.switch(lab), "link", "set", _port(lab, host), "up"])


def _mend_switch(lab: Lab, host: str) -> None:
    for fault in ("cut", "loss"):
        table = f"netdev {_port(lab, host)}_{fault}"
        _nft(network.switch(lab), f"add table {table}\ndelete table {table}")


def crash(lab: Lab, host: str) -> None:
    """Let a host vanish from one moment to the next: no packet says goodbye. Its disk stays.

    Raises:
        InfrastructureError: it is down already, or does not go.
    """
    first = inside.first_process(lab, host)
    pull_cable(lab, host)
    os.kill(first, signal.SIGKILL)
    if not wait_for(lambda: not namespaces.residents_of(lab, host), RESTART_S):
        raise InfrastructureError(f"lab host {host} does not end: process {first}")


def boot(lab: Lab, host: str, *, empty: bool = True) -> None:
    """Start a host that crashed, with a boot id of its own, and wait for its sshd.

    Args:
        lab: the lab.
        host: which.
        empty: with a fresh disk; else with what was on it, except /tmp and /run.

    Raises:
        InfrastructureError: it does not come up.
    """
    if namespaces.first_process(lab, host) is not None:
        crash(lab, host)
    _mend_switch(lab, host)  # since Linux 6.16 rules wait for the next device of that name
    network.renew_namespace(lab, lab.host(host))
    namespaces.begin(lab, [lab.host(host)], empty=empty)


def stop_sshd(lab: Lab, host: str, *, kill_sessions: bool = False) -> None:
    """End a host's sshd for good: connections are refused. Sessions go on unless told."""
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
    """End a host's sshd, with or without its sessions, and wait until a new one listens.

    The commands of ended sessions live on or die as they would on any host: their pipes break.
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
    """Take every `python3` out of the host's PATH."""
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
    """Leave no free byte on a host's disk, without writing any: the disk shrinks to its content.

    Raises:
        InfrastructureError: it grows too fast.
    """
    disk = lab.home(host) / "disk"
    refused: list[str] = []

    def shrunk() -> bool:
        space = os.statvfs(disk)
        used_kb = (space.f_blocks - space.f_bfree) * space.f_frsize // 1024
        try:
            run_tool(["mount", "-o", f"remount,size={used_kb}k", str(disk)])
        except InfrastructureError as error:  # something was written since we looked
            refused.append(str(error))
            return False
        return True

    if not wait_for(shrunk, RESTART_S):
        raise InfrastructureError(f"{host}'s disk cannot be filled: {refused[-1]}")


def free_disk(lab: Lab, host: str) -> None:
    """Undo `fill_disk`."""
    size = f"{lab.disk_mb}m" if lab.disk_mb else "50%"
    run_tool(["mount", "-o", f"remount,size={size}", str(lab.home(host) / "disk")])


def new_host_key(lab: Lab, host: str) -> None:
    """Give a host another key than known_hosts has. Open sessions go on."""
    make_key(inside.root_of(lab, host) / "run/lab/host_key", f"{host} anew")
    restart_sshd(lab, host, kill_sessions=False)


def old_host_key(lab: Lab, host: str) -> None:
    """Undo `new_host_key`."""
    shutil.copy(lab.home(host) / "etc/host_key", inside.root_of(lab, host) / "run/lab/host_key")
    restart_sshd(lab, host, kill_sessions=False)


def set_clock(lab: Lab, host: str, seconds: int) -> None:
    """Let a host's clock go wrong by so many seconds; 0 undoes it.

    All hosts share the kernel's clock. So each program that starts on the host from now on loads a
    library (/etc/ld.so.preload) that shifts what it reads. Programs linked statically, times of
    files, and what runs already keep the true time; monotonic clocks are true everywhere.

    Raises:
        UserError: there is no C compiler to make that library with, and none could be installed.
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


def _drop(lab: Lab, host: str, fault: str, rule: str, *, both_ways: bool) -> None:
    """Drop what matches on its way in, at the host's door, and on its way out, at the switch."""
    inside.first_process(lab, host)
    _nft(network.namespace(lab, lab.host(host)), _table(fault, "eth0", rule))
    if both_ways:
        port = _port(lab, host)
        _nft(network.switch(lab), _table(f"{port}_{fault}", port, rule))


def _table(name: str, device: str, rule: str) -> str:
    return (
        f"add table netdev {name}\ndelete table netdev {name}\n"
        f"table netdev {name} {{\n chain in {{\n"
        f'  type filter hook ingress device "{device}" priority 0;\n'
        f"  {rule} drop\n }}\n}}\n"
    )


def _nft(where: str, rules: str) -> None:
    enter = ["nsenter", f"--net={network.NAMESPACES / where}"]
    run_tool(["env", f"PATH={PATH}", *enter, "nft", "-f", "-"], rules)
