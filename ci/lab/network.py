"""The network of a lab made as root: a switch and one namespace per host, made and taken away.

All of it sits in namespaces, a bridge too, so that this machine's firewall has no say between the
hosts and one interface is all that this machine gets.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ci.errors import InfrastructureError, UserError
from ci.lab.look import read_mounts
from ci.lab.run_tool import run_tool

if TYPE_CHECKING:
    from ci.lab.model import Lab, LabHost

NAMESPACES = Path("/run/netns")
NEIGHBOURS = Path("/proc/sys/net/ipv4/neigh/default/gc_thresh3")
# How many neighbours it remembered before a large lab; there while one is up.
BEFORE = Path("/run/lamplighter-lab-neighbours")
HOST_NAMESPACE = re.compile(r"lamplighter-(.+)-\d+")
MOST_HOSTS = 250
PREFIXES = ("10.213", "10.214", "172.29")


def interface(lab: Lab) -> str:
    """The one interface that this machine gets; names may have 15 characters."""
    return f"lamp{lab.key}"


def switch(lab: Lab) -> str:
    """The namespace with the bridge."""
    return f"lamplighter-{lab.name}-switch"


def namespace(lab: Lab, host: LabHost) -> str:
    """The namespace of one host."""
    return f"lamplighter-{lab.name}-{host.index}"


def gateway(lab: Lab) -> str:
    """This machine's address in the lab's network."""
    return str(next(ipaddress.ip_network(lab.subnet).hosts()))


def address(subnet: str, index: int) -> str:
    """The address of a host; this machine has the first."""
    return str(ipaddress.ip_network(subnet)[index + 1])


def free_subnet() -> str:
    """Find a private network that no route and no interface of this machine meets.

    Raises:
        UserError: all that labs use are taken.
    """
    routes = json.loads(run_tool(["ip", "-j", "-4", "route", "show", "table", "all"]) or "[]")
    taken = [_network(route["dst"]) for route in routes if route["dst"] != "default"]
    for prefix in PREFIXES:
        for third in range(256):
            candidate = ipaddress.ip_network(f"{prefix}.{third}.0/24")
            if not any(candidate.overlaps(network) for network in taken):
                return str(candidate)
    raise UserError(f"no free network for a lab in {', '.join(PREFIXES)}.x.x; end a lab first")


def _network(text: str) -> ipaddress.IPv4Network:
    return ipaddress.IPv4Network(text, strict=False)


def owner_of(lab: Lab) -> Path | None:
    """Say which folder the lab of this name that is up belongs to; None when none is up."""
    links: list[dict[str, Any]] = json.loads(run_tool(["ip", "-j", "link"]))
    for link in links:
        if link["ifname"] == interface(lab):
            return Path(link.get("ifalias", "?"))
    return None


def fit_neighbours() -> None:
    """Let the kernel remember all neighbours of all labs that are up; as before without large ones.

    All namespaces share that table (arp(7), gc_thresh3): once every host has spoken with every
    other, it is full, and packets vanish. Labs come and go in any order, so how it was before the
    first large one stands in a file until the last has gone. The caller is alone; see lock.py.
    """
    try:
        now = int(NEIGHBOURS.read_text())
        before = int(BEFORE.read_text()) if BEFORE.exists() else now
        needed = sum(2 * count * count for count in hosts_by_lab().values())
        if needed > before:
            BEFORE.write_text(f"{before}\n")
        if max(before, needed) != now:
            NEIGHBOURS.write_text(str(max(before, needed)))
        if needed <= before:
            BEFORE.unlink(missing_ok=True)
    except (OSError, ValueError):  # then a large lab loses packets, and nothing else
        return


def hosts_by_lab() -> dict[str, int]:
    """How many hosts each lab that is up has, as its namespaces tell, whoever made it."""
    named = (HOST_NAMESPACE.fullmatch(name) for name in names_of_all())
    return dict(Counter(found[1] for found in named if found))


def make_network(lab: Lab) -> None:
    """Make the switch and the hosts' namespaces, wired."""
    ours = interface(lab)
    batch("", [
        f"netns add {switch(lab)}",
        *(f"netns add {namespace(lab, host)}" for host in lab.hosts),
        f"link add {ours} type veth peer name uplink netns {switch(lab)}",
    ])  # fmt: skip
    fit_neighbours()
    run_tool(["ip", "link", "set", ours, "alias", str(lab.folder)[:255]])
    batch("", [
        f"link set {ours} addrgenmode none",
        f"addr add {gateway(lab)}/24 dev {ours}",
        f"link set {ours} up",
    ])  # fmt: skip
    batch(switch(lab), [
        "link add bridge type bridge mcast_snooping 0",
        "link set bridge addrgenmode none",
        "link set bridge up",
        "link set uplink addrgenmode none",
        "link set uplink master bridge up",
    ])  # fmt: skip
    batch(switch(lab), [line for host in lab.hosts for line in wire(lab, host)])


def wire(lab: Lab, host: LabHost) -> list[str]:
    """What to tell `ip -batch` in the switch, to plug one host in."""
    port, there = f"port{host.index}", namespace(lab, host)
    pairs = (lab.key[at : at + 2] for at in range(0, 8, 2))
    # A host that reboots keeps its card: others go on knowing it by the same address.
    card = f"02:{':'.join(pairs)}:{host.index:02x}"
    return [
        f"link add {port} type veth peer name eth0 address {card} netns {there}",
        f"link set {port} addrgenmode none",
        f"link set {port} master bridge up",
    ]


def renew_namespace(lab: Lab, host: LabHost) -> None:
    """Give a host a network without memory: no connection, rule or counter of the one before."""
    run_tool(["ip", "netns", "del", namespace(lab, host)])
    batch("", [f"netns add {namespace(lab, host)}"])
    forget = ["ip", "-n", switch(lab), "link", "del", f"port{host.index}"]
    with contextlib.suppress(InfrastructureError):  # it goes with the namespace, sooner or later
        run_tool(forget)
    batch(switch(lab), wire(lab, host))


def batch(where: str, lines: list[str]) -> None:
    """Give many lines to one `ip`, in a namespace or (empty) on this machine."""
    run_tool(["ip", *(("-n", where) if where else ()), "-batch", "-"], "\n".join(lines) + "\n")


def names_here(lab: Lab) -> list[str]:
    """The lab's namespaces that exist, whatever state the lab is in."""
    prefix = f"lamplighter-{lab.name}-"
    names = names_of_all()
    return [n for n in names if n.startswith(prefix) and _is_ours(n.removeprefix(prefix))]


def _is_ours(rest: str) -> bool:
    # `lab` must not take `lab-2`'s for its own: what follows the name is a number or the switch.
    return rest.isdecimal() or rest == "switch"


def remove_network(lab: Lab) -> None:
    """Take away what `make_network` made, all or part of it; also ip's folder when it is empty."""
    if owner_of(lab) is not None:
        run_tool(["ip", "link", "del", interface(lab)])
    names = names_here(lab)
    if names:
        batch("", [f"netns del {name}" for name in names])
        fit_neighbours()
    if any(mount.path == str(NAMESPACES) for mount in read_mounts()) and not names_of_all():
        # Whoever else makes a namespace just now, by `ip` alone, does not wait for us.
        with contextlib.suppress(InfrastructureError, OSError):
            run_tool(["umount", str(NAMESPACES)])
            NAMESPACES.rmdir()


def names_of_all() -> list[str]:
    """Every namespace of this machine that has a name."""
    return [path.name for path in NAMESPACES.iterdir()] if NAMESPACES.is_dir() else []
