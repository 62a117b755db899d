"""Define `config` of an `external_dp` file: the ranks and ports of every host. Pure."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from ci.documents.address import MAX_PORT
from ci.documents.strict import Strict
from ci.documents.values import Index, Port, Size, invalid

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ci.documents.source import Source
    from ci.errors import Problem

_MAX_DEVICES = 1024
_GROUP = " of its group"
_PARALLEL = ("tp_size", "cp_size", "sp_size", "pp_size")
_SAME_IN_GROUP = ("dp_size", "dp_rpc_port", *_PARALLEL)


class HostRanks(Strict):
    """One entry of `config`: the ranks of one host."""

    node_index: Index | None = None
    port_start: Port = Field(description="it is the port of this host's first rank")
    dp_rpc_port: Port = Field(description="it is the port at which the ranks of the group meet")
    dp_size: Size = 1
    dp_size_local: Size = 1
    dp_rank_start: Index = 0
    tp_size: Size = 1
    cp_size: Size = 1
    sp_size: Size = 1
    pp_size: Size = 1
    dp_address: str = Field(min_length=1, description="it is the address of the group's rank 0")

    @model_validator(mode="after")
    def _not_too_large(self) -> Self:
        if self.dp_size_local * self.devices_per_rank > _MAX_DEVICES:
            raise invalid("its sizes need more devices than any host has; lower them")
        return self

    @property
    def devices_per_rank(self) -> int:
        """Return the number of devices of one rank."""
        return self.tp_size * self.cp_size * self.sp_size * self.pp_size

    @property
    def ranks(self) -> range:
        """Return the ranks of this host, by their numbers in the group."""
        return range(self.dp_rank_start, self.dp_rank_start + self.dp_size_local)

    @property
    def ports(self) -> range:
        """Return the API ports of this host's ranks."""
        return range(self.port_start, self.port_start + self.dp_size_local)


def rank_variables(member: HostRanks, index: int, local_rank: int) -> dict[str, str]:
    """Return the variables of one rank.

    Args:
        member: its host's entry.
        index: index of the entry and of its host.
        local_rank: the rank's number on its host, from 0.
    """
    first = local_rank * member.devices_per_rank
    devices = range(first, first + member.devices_per_rank)
    return {
        "PORT_START": str(member.port_start),
        "PORT": str(member.port_start + local_rank),
        "DP_SIZE": str(member.dp_size),
        "DP_SIZE_LOCAL": str(member.dp_size_local),
        "DP_RANK_START": str(member.dp_rank_start),
        "DP_RANK": str(member.dp_rank_start + local_rank),
        "LOCAL_RANK": str(local_rank),
        "TP_SIZE": str(member.tp_size),
        "CP_SIZE": str(member.cp_size),
        "SP_SIZE": str(member.sp_size),
        "PP_SIZE": str(member.pp_size),
        "DP_ADDRESS": member.dp_address,
        "DP_RPC_PORT": str(member.dp_rpc_port),
        "VISIBLE_DEVICES": ",".join(map(str, devices)),
        "NODE_INDEX": str(index),
        "CONFIG_INDEX": str(index),
    }


def head_of(address: str, index: int, hosts: Sequence[str]) -> int | str:
    """Return the index of the host with this `dp_address`; the address itself if there is none."""
    name = re.sub(r"^\$(?:\{(\w+)\}|(\w+))$", r"\1\2", address)
    if node := re.fullmatch(r"NODE_(\d{1,6})_IP", name):
        return int(node[1])
    if name in {"LOCAL_IP", "MASTER_IP"}:
        return index if name == "LOCAL_IP" else 0
    return hosts.index(address) if address in hosts else address


def with_head_variable(member: HostRanks, index: int, hosts: Sequence[str]) -> HostRanks:
    """Replace an entry's `dp_address` by the variable of the host that it names, if any."""
    head = head_of(member.dp_address, index, hosts)
    if not isinstance(head, int):
        return member
    return member.model_copy(update={"dp_address": f"${{NODE_{head}_IP}}"})


def groups(
    members: Mapping[int, HostRanks], hosts: Sequence[str]
) -> dict[int | str, dict[int, HostRanks]]:
    """Group the entries of several ranks by their `dp_address`."""
    by_head: dict[int | str, dict[int, HostRanks]] = {}
    for index, member in members.items():
        if member.dp_size > 1:
            head = head_of(member.dp_address, index, hosts)
            by_head.setdefault(head, {})[index] = member
    return by_head


def size_errors(
    members: Mapping[int, HostRanks], devices: int | None, source: Source
) -> Iterator[Problem]:
    """Report entries with impossible sizes.

    Args:
        members: index → entry, of the valid entries.
        devices: devices of a host; 0 for CPU, None if unknown.
        source: the file.
    """
    needs = {member.dp_size_local * member.devices_per_rank for member in members.values()}
    if devices and len(members) > 1 and len(needs) == 1 and min(needs) > devices:
        message = f"{devices}, but every host of config needs {min(needs)} devices; raise it"
        yield source.at_value(("npu_per_node",), message)
        devices = None
    for index, member in members.items():
        path = ("config", index)
        taken = member.dp_size_local * member.devices_per_rank
        if devices and member.devices_per_rank > devices:
            size = max(_PARALLEL, key=lambda name: int(getattr(member, name)))
            message = (
                f"a rank of {member.devices_per_rank} devices fits on no host: npu_per_node is "
                f"{devices}; lower the parallel sizes"
            )
            yield source.at_key((*path, size), message)
        elif devices and taken > devices:
            message = (
                f"{member.dp_size_local} ranks of {member.devices_per_rank} devices need {taken}, "
                f"but npu_per_node is {devices}; lower dp_size_local or the parallel sizes"
            )
            yield source.at_key((*path, _odd_size(member, members)), message)
        elif member.ranks.stop > member.dp_size:
            message = (
                f"{_ranks(member.ranks.start, member.ranks.stop)} here, but dp_size is "
                f"{member.dp_size}, so the last rank is {member.dp_size - 1}"
            )
            yield source.at_key((*path, "dp_rank_start"), message)
        if member.ports[-1] > MAX_PORT:
            message = f"{member.dp_size_local} ranks from here on need ports above {MAX_PORT}"
            yield source.at_value((*path, "port_start"), message)


def _odd_size(member: HostRanks, members: Mapping[int, HostRanks]) -> str:
    """Return the size in which a host differs from one that has as many ranks of its group."""
    for other in members.values():
        if (other.dp_address, other.dp_size_local) == (member.dp_address, member.dp_size_local):
            for name in _PARALLEL:
                if getattr(member, name) > getattr(other, name):
                    return name
    return "dp_size_local"


def group_errors(group: Mapping[int, HostRanks], source: Source) -> Iterator[Problem]:
    """Report entries of one group that have different sizes or ports."""
    for key in _SAME_IN_GROUP:
        values = {index: getattr(member, key) for index, member in group.items()}
        others = Counter(values.values()).most_common(1)[0][0]
        first = next(index for index, value in values.items() if value == others)
        for index, own in values.items():
            if own != others:
                message = (
                    f"{own}, but config[{first}] of the same dp_address has {others}; all entries "
                    "of a group need the same value"
                )
                yield source.at_key(("config", index, key), message)


def coverage_errors(
    head: int | str, group: Mapping[int, HostRanks], source: Source
) -> Iterator[Problem]:
    """Report ranks of a group on no host or on two, and an address that is not rank 0's."""
    size = max(member.dp_size for member in group.values())
    expected, before = 0, -1
    ordered = sorted(group.items(), key=lambda item: (item[1].dp_rank_start, item[0]))
    overlaps = False
    for index, member in ordered:
        path, start = ("config", index, "dp_rank_start"), member.dp_rank_start
        if start > expected:
            yield source.at_key(path, f"{_ranks(expected, start, _GROUP)} on no host")
        if start < expected:
            overlaps = True
            shared = _ranks(start, min(expected, start + member.dp_size_local))
            yield source.at_key(path, f"{shared} on config[{before}] already; start at {expected}")
        expected, before = max(expected, start + member.dp_size_local), index
    if expected < size and not overlaps:
        message = (
            f"{_ranks(expected, size, _GROUP)} on no host, but dp_size is {size}; correct it, or "
            "give all hosts of the group the same dp_address"
        )
        yield source.at_key(("config", before, "dp_size_local"), message)
    leader, lead = ordered[0]
    if isinstance(head, int) and head != leader and lead.dp_rank_start == 0:
        message = (
            f"is host {head}, but rank 0 of this group runs on host {leader}; write "
            f"${{NODE_{leader}_IP}} in all its entries"
        )
        yield source.at_value(("config", leader, "dp_address"), message)


def port_errors(
    members: Mapping[int, HostRanks],
    by_head: Mapping[int | str, Mapping[int, HostRanks]],
    taken: Mapping[tuple[int, int], str],
    source: Source,
) -> Iterator[Problem]:
    """Report ports that two processes of one host use.

    Args:
        members: index → entry.
        by_head: from `groups`.
        taken: host, port → name of another process with that port.
        source: the file.
    """
    for (host, port), what in taken.items():
        if host in members and port in members[host].ports:
            message = f"the ranks' ports from here on include {port}, which is used by {what}"
            yield source.at_value(("config", host, "port_start"), message)
    for head, group in by_head.items():
        if not isinstance(head, int) or head not in members:
            continue
        for index, member in group.items():
            path, port = ("config", index, "dp_rpc_port"), member.dp_rpc_port
            if port in members[head].ports:
                yield source.at_value(
                    path, f"{port} is the port of a rank on host {head}; choose another"
                )
            if other := taken.get((head, port)):
                yield source.at_value(
                    path, f"{port} is used by {other} on host {head}; choose another"
                )


def _ranks(start: int, end: int, suffix: str = "") -> str:
    single = end - start == 1
    return f"rank {start}{suffix} runs" if single else f"ranks {start} to {end - 1}{suffix} run"
