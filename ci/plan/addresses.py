"""Find each host's address, interface and home folder from its settings and its facts. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Any

from ci.errors import UserError
from ci.paths import at_home, of_machine
from ci.plan.model import Host

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci.inventory.target import Target
    from ci.plan.inputs import PlanInputs
    from ci.plan.model import Preparation

LOOPBACK = "127.0.0.1"
_LOOPBACKS = frozenset({LOOPBACK, "::1"})
# What `with_addresses` reads of a host's facts.
ADDRESS_FACTS = ("addresses", "default_interface", "ssh_address", "home", "machine")


@dataclass(frozen=True)
class _InterfaceAddress:
    """One address of a host's network interface."""

    interface: str
    address: IPv4Address | IPv6Address


def configured_host(target: Target, workspace: str, *, alone: bool) -> Host:
    """Make a host of the plan from its configuration alone, before its facts are known.

    Args:
        target: how to connect to it.
        workspace: the folder on it.
        alone: whether this machine is the plan's only host.
    """
    if alone:
        return Host(target.name, LOOPBACK, "lo", workspace)
    return Host(target.name, target.address, target.interface or "", workspace)


def with_addresses(inputs: PlanInputs, facts: Mapping[str, Mapping[str, Any]]) -> PlanInputs:
    """Fill in each host's own address, interface and workspace from its facts.

    Inputs with this machine as the only host stay unchanged; so do hosts without facts.

    Args:
        inputs: from `ci.resolve.resolve`.
        facts: host → its `ADDRESS_FACTS`. An address has `interface` and `address`; `ssh_address`
            is the host's end of the controller's connection.

    Raises:
        UserError: a host's own address cannot be determined, or two hosts have the same.
    """
    if inputs.local:
        return inputs
    several = len({host.name for host in inputs.hosts}) > 1
    hosts = {
        host.name: _with_address(target, host, facts[host.name], several=several)
        if host.name in facts
        else host
        for target, host in zip(inputs.targets, inputs.hosts, strict=True)
    }
    # The others could not be asked: their address is that of their settings.
    _refuse_same_address({name: host for name, host in hosts.items() if name in facts})
    homes = {name: _home(name, facts[name]) for name in hosts if name in facts}
    machines = {name: facts[name].get("machine") or "" for name in homes}

    def there(made: Preparation) -> Preparation:
        return _for_machine(_at_home(made, homes), machines.get(made.host, ""))

    return replace(
        inputs,
        hosts=tuple(hosts[host.name] for host in inputs.hosts),
        serving={name: there(made) for name, made in inputs.serving.items()},
        model={name: there(made) for name, made in inputs.model.items()},
        tools={name: there(made) for name, made in inputs.tools.items()},
    )


def _with_address(
    target: Target,
    host: Host,
    facts: Mapping[str, Any],
    *,
    several: bool,
) -> Host:
    listed = facts.get("addresses") or ()
    addresses = [
        _InterfaceAddress(entry["interface"], ip_address(entry["address"])) for entry in listed
    ]
    own = _own_address(target, facts, addresses, several=several)
    if own is None and not several and not target.interface:
        own = next(iter(addresses), None)  # no other host has to reach it
    if own is None:
        raise UserError(_no_address(target, facts, addresses))
    return replace(
        host,
        address=str(own.address),
        interface=own.interface,
        workspace=at_home(host.workspace, _home(host.name, facts)),
    )


def _own_address(
    target: Target,
    facts: Mapping[str, Any],
    addresses: list[_InterfaceAddress],
    *,
    several: bool,
) -> _InterfaceAddress | None:
    """Choose the configured interface, else the configured address, else SSH's, else default's."""
    if target.interface:
        return _first_of(target.interface, addresses)
    for text in (target.address, facts.get("ssh_address")):
        own = _find(text, addresses)
        # Every host has the loopback address: other hosts cannot reach this one by it.
        if own and not (several and str(own.address) in _LOOPBACKS):
            return own
    return _first_of(facts.get("default_interface"), addresses)


def _first_of(
    interface: str | None, addresses: list[_InterfaceAddress]
) -> _InterfaceAddress | None:
    """Return an address of an interface, IPv4 before IPv6."""
    matching = [item for item in addresses if item.interface == interface]
    return min(matching, key=lambda item: item.address.version, default=None)


def _find(text: str | None, addresses: list[_InterfaceAddress]) -> _InterfaceAddress | None:
    try:
        wanted = ip_address(text or "")
    except ValueError:
        return None
    for item in addresses:
        # A loopback interface has all of 127.0.0.0/8, whatever it lists.
        both_loop = item.address.is_loopback and wanted.is_loopback
        if item.address == wanted or (both_loop and item.address.version == wanted.version):
            return replace(item, address=wanted)
    return None


def _no_address(
    target: Target, facts: Mapping[str, Any], addresses: list[_InterfaceAddress]
) -> str:
    """Write the message for a host without an address that the other hosts can use."""
    there = ", ".join(f"{item.interface} ({item.address})" for item in addresses)
    there = there or "none with an address"
    if target.interface:
        return (
            f"{target.name}: no interface {target.interface} with an address; there are: {there}; "
            "correct `interface` in the cluster file"
        )
    return (
        f"{target.name}: cannot determine the address that the other hosts use to reach it: "
        f"neither {target.address} nor the address of the SSH connection "
        f"({facts.get('ssh_address') or 'none'}) is an address of its own that they can use, and "
        f"no interface with an address has the default route; there are: {there}; set "
        "`interface` in a cluster file"
    )


def _home(name: str, facts: Mapping[str, Any]) -> str:
    home = facts.get("home")
    if not isinstance(home, str) or not home.startswith("/"):
        raise UserError(f"{name}: its user has no home folder there; name another `user`")
    return home


def _refuse_same_address(hosts: Mapping[str, Host]) -> None:
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
    """Replace a leading `~` in a preparation's folders by the host's home."""
    home = homes.get(made.host, "~")
    spec = {
        key: at_home(value, home) if isinstance(value, str) else value
        for key, value in made.spec.items()
    }
    return replace(made, path=at_home(made.path, home), spec=spec)


def _for_machine(made: Preparation, machine: str) -> Preparation:
    """Put an environment into the folder for its host's architecture; a model suits them all."""
    if made.kind == "environment":
        path = of_machine(made.path, machine)
        return replace(made, path=path, spec={**made.spec, "path": path})
    python = str(made.spec["python_bin"]).removesuffix("/bin/python")
    return replace(
        made, spec={**made.spec, "python_bin": f"{of_machine(python, machine)}/bin/python"}
    )
