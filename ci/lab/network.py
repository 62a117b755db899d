"""Make and remove the network of a lab made as root: a switch, and a namespace per host.

Everything is in namespaces, the bridge too, so that this machine's firewall does not affect traffic
between hosts, and this machine gets only a single interface.
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
# The size of the neighbour table before a large lab; the file exists while a large lab is up.
NEIGHBOURS_BEFORE = Path("/run/lamplighter-lab-neighbours")
HOST_NAMESPACE = re.compile(r"lamplighter-(.+)-\d+")
MAX_HOSTS = 250
PREFIXES = ("10.213", "10.214", "172.29")


def interface(lab: Lab) -> str:
    """Return the name of this machine's interface to the lab; names have at most 15 characters."""
    return f"lamp{lab.key}"


def switch(lab: Lab) -> str:
    """Return the name of the namespace with the bridge."""
    return f"lamplighter-{lab.name}-switch"


def namespace(lab: Lab, host: LabHost) -> str:
    """Return the name of a host's namespace."""
    return f"lamplighter-{lab.name}-{host.index}"


def gateway(lab: Lab) -> str:
    """Return this machine's address in the lab's network."""
    return str(next(ipaddress.ip_network(lab.subnet).hosts()))


def address(subnet: str, index: int) -> str:
    """Return the address of a host; this machine has the first address."""
    return str(ipaddress.ip_network(subnet)[index + 1])


def free_subnet() -> str:
    """Find a private network that overlaps no route and no interface of this machine.

    Raises:
        UserError: all networks that labs use are taken.
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
    """Return the folder of the lab of this name that is up; None if none is up."""
    links: list[dict[str, Any]] = json.loads(run_tool(["ip", "-j", "link"]))
    for link in links:
        if link["ifname"] == interface(lab):
            return Path(link.get("ifalias", "?"))
    return None


def fit_neighbours() -> None:
    """Enlarge the kernel's neighbour table for large labs; restore it when none is up.

    All namespaces share that table (arp(7), gc_thresh3). Once every host has connected to every
    other, it is full, and packets are lost. Labs start and end in any order, so a file keeps the
    original size until the last large lab has ended. The caller holds the lock of lock.py.
    """
    try:
        now = int(NEIGHBOURS.read_text())
        before = int(NEIGHBOURS_BEFORE.read_text()) if NEIGHBOURS_BEFORE.exists() else now
        needed = sum(2 * count * count for count in hosts_by_lab().values())
        if needed > before:
            NEIGHBOURS_BEFORE.write_text(f"{before}\n")
        if max(before, needed) != now:
            NEIGHBOURS.write_text(str(max(before, needed)))
        if needed <= before:
            NEIGHBOURS_BEFORE.unlink(missing_ok=True)
    except (OSError, ValueError):  # then a large lab loses packets; all else works
        return


def hosts_by_lab() -> dict[str, int]:
    """Return the number of host namespaces of each lab that is up, of any user."""
    matches = (HOST_NAMESPACE.fullmatch(name) for name in names_of_all())
    return dict(Counter(match[1] for match in matches if match))


def make_network(lab: Lab) -> None:
    """Make the switch and the hosts' namespaces, and connect them."""
    uplink = interface(lab)
    batch("", [
        f"netns add {switch(lab)}",
        *(f"netns add {namespace(lab, host)}" for host in lab.hosts),
        f"link add {uplink} type veth peer name uplink netns {switch(lab)}",
    ])  # fmt: skip
    fit_neighbours()
    run_tool(["ip", "link", "set", uplink, "alias", str(lab.folder)[:255]])
    batch("", [
        f"link set {uplink} addrgenmode none",
        f"addr add {gateway(lab)}/24 dev {uplink}",
        f"link set {uplink} up",
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
    """Return the lines for `ip -batch` in the switch that connect a host."""
    port, target = f"port{host.index}", namespace(lab, host)
    pairs = (lab.key[start : start + 2] for start in range(0, 8, 2))
    # A host keeps its MAC address when it reboots, as others have it in their neighbour tables.
    mac = f"02:{':'.join(pairs)}:{host.index:02x}"
    return [
        f"link add {port} type veth peer name eth0 address {mac} netns {target}",
        f"link set {port} addrgenmode none",
        f"link set {port} master bridge up",
    ]


def renew_namespace(lab: Lab, host: LabHost) -> None:
    """Replace a host's network namespace: no connection, rule or counter remains."""
    run_tool(["ip", "netns", "del", namespace(lab, host)])
    batch("", [f"netns add {namespace(lab, host)}"])
    delete_port = ["ip", "-n", switch(lab), "link", "del", f"port{host.index}"]
    with contextlib.suppress(InfrastructureError):  # it ends with the namespace, later
        run_tool(delete_port)
    batch(switch(lab), wire(lab, host))


def batch(netns: str, lines: list[str]) -> None:
    """Run many lines in a single `ip -batch`, in a namespace or (if empty) on this machine."""
    run_tool(["ip", *(("-n", netns) if netns else ()), "-batch", "-"], "\n".join(lines) + "\n")


def names_here(lab: Lab) -> list[str]:
    """Return the existing namespaces of a lab in any state."""
    prefix = f"lamplighter-{lab.name}-"
    names = names_of_all()
    return [n for n in names if n.startswith(prefix) and _is_ours(n.removeprefix(prefix))]


def _is_ours(rest: str) -> bool:
    # `lab` must not match the namespaces of `lab-2`: a number or `switch` follows the name.
    return rest.isdecimal() or rest == "switch"


def remove_network(lab: Lab) -> None:
    """Remove what `make_network` made, even if incomplete; also ip's folder if it is empty."""
    if owner_of(lab) is not None:
        run_tool(["ip", "link", "del", interface(lab)])
    names = names_here(lab)
    if names:
        batch("", [f"netns del {name}" for name in names])
        fit_neighbours()
    if any(mount.path == str(NAMESPACES) for mount in read_mounts()) and not names_of_all():
        # Another program may use `ip` to make a namespace at this moment, without our lock.
        with contextlib.suppress(InfrastructureError, OSError):
            run_tool(["umount", str(NAMESPACES)])
            NAMESPACES.rmdir()


def names_of_all() -> list[str]:
    """Return all named network namespaces of this machine."""
    return [path.name for path in NAMESPACES.iterdir()] if NAMESPACES.is_dir() else []
