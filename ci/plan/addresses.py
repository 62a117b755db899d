"""Hosts as written, and as their facts tell: addresses, interfaces, home folders. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Any

from ci.errors import UserError
from ci.paths import at_home
from ci.plan.model import Host

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci.inventory.target import Target
    from ci.plan.model import Preparation
    from ci.plan.site import Site

LOOPBACK = "127.0.0.1"
_EVERYBODYS = frozenset({LOOPBACK, "::1"})


@dataclass(frozen=True)
class _Carried:
    """An address that one of a host's interfaces carries."""

    interface: str
    address: IPv4Address | IPv6Address


def as_written(target: Target, workspace: str, *, alone: bool) -> Host:
    """Tell of a host what can be told without asking it.

    Args:
        target: how it is reached.
        workspace: the folder there.
        alone: the plan has this machine and no other host.
    """
    if alone:
        return Host(target.name, LOOPBACK, "lo", workspace)
    return Host(target.name, target.address, target.interface or "", workspace)


def located(site: Site, facts: Mapping[str, Mapping[str, Any]]) -> Site:
    """Fill in each host's own address, interface and workspace from its facts.

    A site that has no host but this machine is left as it is, and so is a host without facts.

    Args:
        site: from `ci.resolve.survey`.
        facts: host → `addresses` (each with `interface`, `address`), `default_interface`,
            `ssh_address` (the host's end of the controller's connection), `home`.

    Raises:
        UserError: a host's own address cannot be told, or two hosts have the same.
    """
    if site.local:
        return site
    several = len({host.name for host in site.hosts}) > 1
    found = {
        host.name: _located(target, host, facts[host.name], several=several)
        if host.name in facts
        else host
        for target, host in zip(site.targets, site.hosts, strict=True)
    }
    _refuse_twins(found)
    homes = {name: _home(name, facts[name]) for name in found if name in facts}
    return replace(
        site,
        hosts=tuple(found[host.name] for host in site.hosts),
        serving={name: _at_home(made, homes) for name, made in site.serving.items()},
        model={name: _at_home(made, homes) for name, made in site.model.items()},
        tools={name: _at_home(made, homes) for name, made in site.tools.items()},
    )


def _located(
    target: Target,
    host: Host,
    facts: Mapping[str, Any],
    *,
    several: bool,
) -> Host:
    listed = facts.get("addresses") or ()
    every = [_Carried(one["interface"], ip_address(one["address"])) for one in listed]
    one = _own(target, facts, every, several=several)
    if one is None and not several and not target.interface:
        one = next(iter(every), None)  # nobody else has to reach it
    if one is None:
        raise UserError(_none_fits(target, facts, every))
    return replace(
        host,
        address=str(one.address),
        interface=one.interface,
        workspace=at_home(host.workspace, _home(host.name, facts)),
    )


def _own(
    target: Target,
    facts: Mapping[str, Any],
    carried: list[_Carried],
    *,
    several: bool,
) -> _Carried | None:
    """The interface that was named; else what was written, else what SSH reached, else default."""
    if target.interface:
        return _first_on(target.interface, carried)
    for written in (target.address, facts.get("ssh_address")):
        one = _carrying(written, carried)
        # Where others have to reach it, the address that every host has is none.
        if one and not (several and str(one.address) in _EVERYBODYS):
            return one
    return _first_on(facts.get("default_interface"), carried)


def _first_on(interface: str | None, carried: list[_Carried]) -> _Carried | None:
    there = [one for one in carried if one.interface == interface]
    return min(there, key=lambda one: one.address.version, default=None)


def _carrying(text: str | None, carried: list[_Carried]) -> _Carried | None:
    try:
        wanted = ip_address(text or "")
    except ValueError:
        return None
    for one in carried:
        # A loopback interface carries all of 127.0.0.0/8, whatever it lists.
        both_loop = one.address.is_loopback and wanted.is_loopback
        if one.address == wanted or (both_loop and one.address.version == wanted.version):
            return replace(one, address=wanted)
    return None


def _none_fits(target: Target, facts: Mapping[str, Any], every: list[_Carried]) -> str:
    there = ", ".join(f"{one.interface} ({one.address})" for one in every) or "none with an address"
    if target.interface:
        return (
            f"{target.name}: no interface {target.interface} with an address; there are: {there}; "
            "mend `interface` in the cluster file"
        )
    return (
        f"{target.name}: at which address the other hosts reach it cannot be told: neither "
        f"{target.address} nor where SSH came in ({facts.get('ssh_address') or 'it did not'}) is "
        f"an address of its own for that, and there is no default route with one; there are: "
        f"{there}; name the right one as `interface` in a cluster file"
    )


def _home(name: str, facts: Mapping[str, Any]) -> str:
    home = facts.get("home")
    if not isinstance(home, str) or not home.startswith("/"):
        raise UserError(f"{name}: its user has no home folder there; name another `user`")
    return home


def _refuse_twins(hosts: Mapping[str, Host]) -> None:
    by_address: dict[str, Host] = {}
    for host in hosts.values():
        other = by_address.setdefault(host.address, host)
        if other is not host:
            raise UserError(
                f"{other.name} and {host.name} both have the address {host.address} "
                f"({other.interface}, {host.interface}): one host named twice, or an interface "
                "that does not connect them; name the right one as `interface` in a cluster file",
            )


def _at_home(made: Preparation, homes: Mapping[str, str]) -> Preparation:
    """Write a preparation's folders with the host's home in place of `~`."""
    home = homes.get(made.host, "~")
    spec = {
        key: at_home(value, home) if isinstance(value, str) else value
        for key, value in made.spec.items()
    }
    return replace(made, path=at_home(made.path, home), spec=spec)
