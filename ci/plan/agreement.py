"""Whether a plan's servers fit together: ports on one host, data-parallel ranks. Pure.

Refuses only what surely cannot work; what may, is left to vLLM.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.errors import UserError
from ci.plan.argv import Parallel, parallel
from ci.plan.ports import named_ports

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ci.plan.model import Process

Shares = list[tuple["Process", Parallel]]


def check(processes: Sequence[Process], addresses: Mapping[str, str], path: str) -> None:
    """Refuse servers that cannot run together.

    Args:
        processes: of the plan.
        addresses: host → its own address.
        path: of the case file, for the error.

    Raises:
        UserError: two servers want one port of one host, or data-parallel ranks do not add up.
    """
    _check_ports(processes, addresses, path)
    groups: dict[tuple[object, ...], Shares] = {}
    for process in processes:
        share = parallel(process.argv)
        if share:
            head = share.address or process.name
            groups.setdefault((head, share.rpc_port), []).append((process, share))
    _check_heads(processes, addresses, path)
    for group in groups.values():
        _check_sizes(group, path)
        _check_ranks(group, path)


def head_of(processes: Sequence[Process], path: str) -> Process:
    """The server that requests go to: the first that answers any.

    Raises:
        UserError: all are headless.
    """
    for process in processes:
        if not process.headless:
            return process
    raise UserError(
        f"{path}: deployment: every server is --headless, so that none answers; start one without",
    )


def ranks_of(head: Process, processes: Sequence[Process]) -> int | None:
    """How many data-parallel ranks answer through the head; None where nothing tells."""
    share = parallel(head.argv)
    others = [one for one in processes if one is not head and parallel(one.argv)]
    if share is None or share.own_endpoint or not all(one.headless for one in others):
        return None
    return share.size


def _check_ports(processes: Sequence[Process], addresses: Mapping[str, str], path: str) -> None:
    taken: dict[tuple[str, int], Process] = {}
    for process in processes:
        address = addresses[process.host]
        for port in dict.fromkeys(named_ports(process.argv, address, _where(process, path))):
            other = taken.setdefault((process.host, port), process)
            if other is not process:
                raise UserError(
                    f"{_where(process, path)}.server_cmd: {process.name} and {other.name} both "
                    f"take port {port} of {process.host}; give each a port of its own",
                )


def _check_sizes(group: Shares, path: str) -> None:
    first, share = group[0]
    for process, other in group[1:]:
        if other.size != share.size:
            raise UserError(
                f"{_where(process, path)}.server_cmd: {process.name} has --data-parallel-size "
                f"{other.size}, but {first.name} at the same head has {share.size}; all need the "
                "same",
            )


def _check_ranks(group: Shares, path: str) -> None:
    size, owner = group[0][1].size, dict[int, str]()
    for process, share in group:
        ranks = range(share.start, share.start + share.local)
        if ranks and ranks[-1] >= size:
            raise UserError(
                f"{_where(process, path)}.server_cmd: {process.name} computes data-parallel ranks "
                f"{_span(ranks)}, but --data-parallel-size is {size}; mend "
                "--data-parallel-start-rank or --data-parallel-size-local",
            )
        for rank in ranks:
            if owner.setdefault(rank, process.name) != process.name:
                raise UserError(
                    f"{_where(process, path)}.server_cmd: {process.name} and {owner[rank]} both "
                    f"compute data-parallel rank {rank}; mend --data-parallel-start-rank",
                )
    if len(owner) != size:
        names = ", ".join(process.name for process, _ in group)
        raise UserError(
            f"{path}: deployment: --data-parallel-size is {size}, but {names} at one head "
            f"together compute {len(owner)} of them; mend --data-parallel-size-local, or give all "
            "the same --data-parallel-address and --data-parallel-rpc-port",
        )


def _check_heads(processes: Sequence[Process], addresses: Mapping[str, str], path: str) -> None:
    answering = {addresses[process.host] for process in processes if not process.headless}
    for process in processes:
        share = parallel(process.argv)
        at = share.address if share and process.headless else None
        if at in set(addresses.values()) - answering:
            raise UserError(
                f"{_where(process, path)}.server_cmd: {process.name} reports to {at}, where every "
                "server is --headless; --data-parallel-address has to be the head's ($MASTER_IP "
                "is that of the node that `master_index` names, else of the first)",
            )


def _where(process: Process, path: str) -> str:
    return f"{path}: deployment[{process.node}]"


def _span(ranks: range) -> str:
    return str(ranks[0]) if len(ranks) == 1 else f"{ranks[0]} to {ranks[-1]}"
