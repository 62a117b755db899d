"""Compare a host's interfaces and addresses with the plan. Pure."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from ci.doctor.model import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.doctor.model import Facts
    from ci.plan.model import Host


def network_findings(host: Host, facts: Facts) -> Iterator[Finding]:
    """Check that a host has the interface and the address that the plan gives it."""
    links = {link["name"]: link for link in facts.get("interfaces") or ()}
    known = facts.get("addresses") or []
    has = ", ".join(f"{entry['address']} on {entry['interface']}" for entry in known)
    advice = "set `interface:` or `address:` of the host in the cluster file"
    if links and host.interface and host.interface not in links:
        message = f"interface {host.interface} does not exist; this host has {has}"
        yield Finding(host.name, "interface", "error", message, advice)
    elif links and host.interface and not links[host.interface]["up"]:
        message = f"interface {host.interface} is down; this host has {has}"
        yield Finding(host.name, "interface", "error", message, "bring the link up")
    carriers = carriers_of(host.address, facts)
    if carriers is None or not known:
        return
    if not carriers:
        message = f"{host.address} is not an address of this host; it has {has}"
        yield Finding(host.name, "address", "error", message, advice)
    elif host.interface in links and host.interface not in carriers:
        message = f"{host.address} is on {carriers[0]}, the plan's interface is {host.interface}"
        yield Finding(host.name, "interface", "warning", message, advice)


def carriers_of(address: str, facts: Facts) -> list[str] | None:
    """Return the interfaces that have an address; None for a host name, which is not resolved."""
    try:
        wanted = ipaddress.ip_address(address)
    except ValueError:
        return None
    return [
        entry["interface"]
        for entry in facts.get("addresses") or ()
        if wanted == (has := ipaddress.ip_interface(f"{entry['address']}/{entry['prefix']}")).ip
        # All of 127.0.0.0/8 is this host.
        or (wanted.is_loopback and has.is_loopback and wanted in has.network)
    ]
