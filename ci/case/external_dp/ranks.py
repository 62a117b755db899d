"""The `config` of an `external_dp` file: its nodes, their data-parallel ranks and ports. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from ci.documents.address import MAX_PORT
from ci.documents.strict import Strict
from ci.documents.values import Index, Port, Size, defect

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ci.documents.source import Source
    from ci.errors import Problem

_MOST_DEVICES = 1024
_GROUP = " of its group"
_ALIKE = ("dp_size", "dp_rpc_port", "tp_size", "cp_size", "sp_size", "pp_size")


class Member(Strict):
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
        if self.dp_size_local * self.devices_per_rank > _MOST_DEVICES:
            raise defect("its sizes multiply to more devices than any host has; lower them")
        return self

    @property
    def devices_per_rank(self) -> int:
        """How many devices one rank takes."""
        return self.tp_size * self.cp_size * self.sp_size * self.pp_size

    @property
    def ranks(self) -> range:
        """The ranks of this host, as the group counts them."""
        return range(self.dp_rank_start, self.dp_rank_start + self.dp_size_local)

    @property
    def ports(self) -> range:
        """Where the ranks of this host answer."""
        return range(self.port_start, self.port_start + self.dp_size_local)


def known(member: Member, index: int, local_rank: int) -> dict[str, str]:
    """The variables of one rank.

    Args:
        member: its entry.
        index: the entry's position, which is its host's.
        local_rank: counts from 0 on each host.
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
    """The index of the host that an entry's `dp_address` names, the address where it is none's."""
    name = re.sub(r"^\$(?:\{(\w+)\}|(\w+))$", r"\1\2", address)
    if node := re.fullmatch(r"NODE_(\d{1,6})_IP", name):
        return int(node[1])
    if name in {"LOCAL_IP", "MASTER_IP"}:
        return index if name == "LOCAL_IP" else 0
    return hosts.index(address) if address in hosts else address


def at_head(member: Member, index: int, hosts: Sequence[str]) -> Member:
    """Write an entry's `dp_address` as that of a host of the case, where it is one's."""
    head = head_of(member.dp_address, index, hosts)
    if not isinstance(head, int):
        return member
    return member.model_copy(update={"dp_address": f"${{NODE_{head}_IP}}"})


def groups(
    members: Mapping[int, Member], hosts: Sequence[str]
) -> dict[int | str, dict[int, Member]]:
    """Sort the entries with several ranks into groups that share a `dp_address`."""
    by_head: dict[int | str, dict[int, Member]] = {}
    for index, member in members.items():
        if member.dp_size > 1:
            head = head_of(member.dp_address, index, hosts)
            by_head.setdefault(head, {})[index] = member
    return by_head


def sizes(members: Mapping[int, Member], devices: int | None, source: Source) -> Iterator[Problem]:
    """Report what is wrong with an entry on its own.

    Args:
        members: position → entry, of those that are sound.
        devices: how many a host has; 0 for CPU, None where the file does not tell.
        source: where everything stands.
    """
    for index, member in members.items():
        path = ("config", index)
        taken = member.dp_size_local * member.devices_per_rank
        if devices and taken > devices:
            message = (
                f"{member.dp_size_local} ranks of {member.devices_per_rank} devices take {taken}, "
                f"but npu_per_node is {devices}; lower dp_size_local or the parallel sizes"
            )
            yield source.at_key((*path, "dp_size_local"), message)
        if member.ranks.stop > member.dp_size:
            message = (
                f"{_ranks(member.ranks.start, member.ranks.stop)} here, but dp_size is "
                f"{member.dp_size}, so that the last is {member.dp_size - 1}"
            )
            yield source.at_key((*path, "dp_rank_start"), message)
        if member.ports[-1] > MAX_PORT:
            message = f"{member.dp_size_local} ranks from here on need ports above {MAX_PORT}"
            yield source.at_value((*path, "port_start"), message)


def agreement(group: Mapping[int, Member], source: Source) -> Iterator[Problem]:
    """Report where the entries of one group differ in what has to be alike."""
    first, lead = next(iter(group.items()))
    for index, member in group.items():
        for key in _ALIKE:
            own, others = getattr(member, key), getattr(lead, key)
            if own != others:
                message = (
                    f"{own}, but config[{first}] of the same dp_address has {others}; they form "
                    "one group and have to agree"
                )
                yield source.at_key(("config", index, key), message)


def coverage(head: int | str, group: Mapping[int, Member], source: Source) -> Iterator[Problem]:
    """Report ranks of a group that run twice or nowhere, and a rank 0 away from its address."""
    size = max(member.dp_size for member in group.values())
    expected, before = 0, -1
    ordered = sorted(group.items(), key=lambda item: (item[1].dp_rank_start, item[0]))
    for index, member in ordered:
        path, start = ("config", index, "dp_rank_start"), member.dp_rank_start
        if start > expected:
            yield source.at_key(path, f"{_ranks(expected, start, _GROUP)} on no host")
        if start < expected:
            shared = _ranks(start, min(expected, start + member.dp_size_local))
            yield source.at_key(path, f"{shared} on config[{before}] already; begin at {expected}")
        expected, before = max(expected, start + member.dp_size_local), index
    if expected < size:
        message = f"{_ranks(expected, size, _GROUP)} on no host, but dp_size is {size}"
        yield source.at_key(("config", before, "dp_size_local"), message)
    leader, lead = ordered[0]
    if isinstance(head, int) and head != leader and lead.dp_rank_start == 0:
        message = (
            f"is host {head}, but rank 0 of this group runs on host {leader}; write "
            f"${{NODE_{leader}_IP}} in all its entries"
        )
        yield source.at_value(("config", leader, "dp_address"), message)


def clashes(
    members: Mapping[int, Member],
    by_head: Mapping[int | str, Mapping[int, Member]],
    taken: Mapping[tuple[int, int], str],
    source: Source,
) -> Iterator[Problem]:
    """Report ports that two processes of one host would listen on.

    Args:
        members: position → entry.
        by_head: see `groups`.
        taken: host, port → what else listens there.
        source: where everything stands.
    """
    for (host, port), what in taken.items():
        if host in members and port in members[host].ports:
            message = f"the ranks from here on would take {port}, which is that of {what}"
            yield source.at_value(("config", host, "port_start"), message)
    for head, group in by_head.items():
        if not isinstance(head, int) or head not in members:
            continue
        for index, member in group.items():
            path, port = ("config", index, "dp_rpc_port"), member.dp_rpc_port
            if port in members[head].ports:
                yield source.at_value(path, f"{port} is the port of a rank on host {head}")
            if other := taken.get((head, port)):
                yield source.at_value(path, f"{port} is that of {other} on host {head}")


def _ranks(start: int, end: int, whose: str = "") -> str:
    one = end - start == 1
    return f"rank {start}{whose} runs" if one else f"ranks {start} to {end - 1}{whose} run"
