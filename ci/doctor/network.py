"""A host's interfaces and addresses × what the plan says of them → findings. Pure."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from ci.doctor.model import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.doctor.model import Facts
    from ci.plan.model import Host


def check(host: Host, facts: Facts) -> Iterator[Finding]:
    """Judge whether a host has the interface and the address that the plan gives it."""
    links = {link["name"]: link for link in facts.get("interfaces") or ()}
    known = facts.get("addresses") or []
    has = ", ".join(f"{one['address']} on {one['interface']}" for one in known)
    mend = "set `interface:` or `address:` of the host in the cluster file"
    if links and host.interface and host.interface not in links:
        message = f"there is no interface {host.interface}; it has {has}"
        yield Finding(host.name, "interface", "error", message, mend)
    elif links and host.interface and not links[host.interface]["up"]:
        message = f"the interface {host.interface} is down; it has {has}"
        yield Finding(host.name, "interface", "error", message, "bring the link up")
    carriers = carriers_of(host.address, facts)
    if carriers is None or not known:
        return
    if not carriers:
        message = f"{host.address} is no address of this host; it has {has}"
        yield Finding(host.name, "address", "error", message, mend)
    elif host.interface in links and host.interface not in carriers:
        message = f"{host.address} is on {carriers[0]}, the plan's interface is {host.interface}"
        yield Finding(host.name, "interface", "warning", message, mend)


def carriers_of(address: str, facts: Facts) -> list[str] | None:
    """Name the interfaces that carry an address; None for a name, which is not looked up here."""
    try:
        wanted = ipaddress.ip_address(address)
    except ValueError:
        return None
    return [
        one["interface"]
        for one in facts.get("addresses") or ()
        if wanted == (has := ipaddress.ip_interface(f"{one['address']}/{one['prefix']}")).ip
        # All of 127.0.0.0/8 is this host.
        or (wanted.is_loopback and has.is_loopback and wanted in has.network)
    ]
