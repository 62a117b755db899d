"""Validate a plan's processes together: ports of one host, data-parallel ranks. Pure.

Refuses only what certainly cannot work; the rest is left to vLLM.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from ci.errors import CaseError, Problem, UserError
from ci.vllm.command_line import Parallel, parallel
from ci.vllm.ports import named_ports

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ci.case.model import Case
    from ci.plan.model import Host, PlannedProcess

Shares = list[tuple["PlannedProcess", Parallel]]


def validate(case: Case, processes: Sequence[PlannedProcess], hosts: Mapping[str, Host]) -> None:
    """Refuse processes that cannot run together.

    Args:
        case: the case of the plan.
        processes: all of the plan: services, servers, router.
        hosts: by name.

    Raises:
        CaseError: two processes use the same port of a host, or the data-parallel ranks do not
            add up.
    """
    addresses = {name: host.address for name, host in hosts.items()}
    _check_ports(case, processes, addresses)
    servers = [process for process in processes if process.role not in {"router", "service"}]
    groups: dict[tuple[object, ...], Shares] = {}
    for process in servers:
        share = parallel(process.argv)
        if share:
            head = share.address or process.name
            groups.setdefault((head, share.rpc_port), []).append((process, share))
    _check_heads(case, servers, addresses)
    for group in groups.values():
        _check_sizes(case, group)
        _check_ranks(case, group)
    for group in groups.values():
        _check_complete(case, group, groups, addresses)


def head_of(processes: Sequence[PlannedProcess], path: str) -> PlannedProcess:
    """Return the server that receives requests: the first that is not headless.

    Raises:
        UserError: all servers are headless.
    """
    for process in processes:
        if not process.headless:
            return process
    raise UserError(
        f"{path}: deployment: every server is --headless, so none answers requests; "
        "start a server without it",
    )


def ranks_of(head: PlannedProcess, processes: Sequence[PlannedProcess]) -> int | None:
    """Return the number of data-parallel ranks behind the head; None if unknown."""
    share = parallel(head.argv)
    others = [process for process in processes if process is not head and parallel(process.argv)]
    if share is None or share.own_endpoint or not all(process.headless for process in others):
        return None
    return share.size


def _check_ports(
    case: Case, processes: Sequence[PlannedProcess], addresses: Mapping[str, str]
) -> None:
    taken: dict[tuple[str, int], PlannedProcess] = {}
    for process in processes:
        for port in dict.fromkeys(_named(process, addresses[process.host], case)):
            other = taken.setdefault((process.host, port), process)
            if other is not process:
                _refuse(
                    case,
                    process,
                    f"{process.name} and {other.name} both use port {port} of {process.host}; "
                    "give each its own port",
                )


def _named(process: PlannedProcess, address: str, case: Case) -> Iterator[int]:
    if process.role in {"router", "service"}:
        yield from process.ports
    else:
        yield from named_ports(process.argv, process.env, address, case.path)


def _check_sizes(case: Case, group: Shares) -> None:
    total = sum(share.local for _, share in group)
    right = [member for member in group if member[1].size == total]
    first, share = (right or group)[0]
    for process, other in group:
        if other.size != share.size:
            _refuse(
                case,
                process,
                f"{process.name} has --data-parallel-size {other.size}, but {first.name} with "
                f"the same head has {share.size}; give all the same size",
            )


def _check_ranks(case: Case, group: Shares) -> None:
    size = group[0][1].size
    owner: dict[int, PlannedProcess] = {}
    shares = {process.name: share for process, share in group}
    too_many = sum(share.local for _, share in group) > size
    for process, share in group:
        ranks = range(share.start, share.start + share.local)
        if ranks and ranks[-1] >= size:
            sizes = (
                f"--data-parallel-start-rank {share.start}"
                if share.start and share.local <= size
                else f"--data-parallel-size-local {share.local}"
            )
            _refuse(
                case,
                process,
                f"with {sizes}, {process.name} has data-parallel ranks {_span(ranks)}, but "
                f"--data-parallel-size is {size}; lower the first, or raise the second",
            )
        for rank in ranks:
            other = owner.setdefault(rank, process)
            if other is not process and too_many:
                _refuse(
                    case,
                    other,
                    f"with --data-parallel-size-local {shares[other.name].local}, {other.name} has "
                    f"data-parallel rank {rank}, as {process.name} has; lower it, or raise "
                    "--data-parallel-size",
                )
            if other is not process:
                _refuse(
                    case,
                    process,
                    f"{process.name} and {other.name} both have data-parallel rank {rank}; "
                    "correct --data-parallel-start-rank",
                )


def _check_complete(
    case: Case,
    group: Shares,
    groups: Mapping[tuple[object, ...], Shares],
    addresses: Mapping[str, str],
) -> None:
    """Refuse a head with fewer ranks than --data-parallel-size, and find the missing ones."""
    process, share = group[0]
    found = sum(member.local for _, member in group)
    if found == share.size:
        return
    names = ", ".join(process.name for process, _ in group)
    for other, theirs in (members[0] for members in groups.values() if members is not group):
        if theirs.size != share.size:
            continue
        if theirs.address == share.address:
            _refuse_rpc_ports(case, (process, share), (other, theirs), names)
        if theirs.address not in addresses.values() and share.address in addresses.values():
            _refuse(
                case,
                other,
                f"--data-parallel-address {theirs.address} is not a host of this case, so the "
                f"servers of one head ({names}) have only {found} of {share.size} ranks; "
                "write $MASTER_IP, or the address of the head",
            )
    _refuse(
        case,
        process,
        f"--data-parallel-size is {share.size}, but the servers of one head ({names}) have only "
        f"{found} in total; correct --data-parallel-size-local, or give all the same "
        "--data-parallel-address and --data-parallel-rpc-port",
    )


def _refuse_rpc_ports(
    case: Case,
    one: tuple[PlannedProcess, Parallel],
    other: tuple[PlannedProcess, Parallel],
    names: str,
) -> NoReturn:
    """Refuse servers that meet at different ports of one head."""
    if one[1].rpc_port is None:
        one, other = other, one
    first, second = one[1].rpc_port, other[1].rpc_port
    _refuse(
        case,
        other[0],
        f"--data-parallel-rpc-port is {second or 'missing'}, but {one[0].name} with the same "
        f"--data-parallel-address has {first}, so the servers of one head ({names}) have not all "
        "ranks; make the ports equal",
    )


def _check_heads(
    case: Case, servers: Sequence[PlannedProcess], addresses: Mapping[str, str]
) -> None:
    answering = {addresses[process.host] for process in servers if not process.headless}
    serving = {addresses[process.host] for process in servers}
    for process in servers:
        share = parallel(process.argv)
        address = share.address if share and process.headless else None
        if address in serving - answering:
            _refuse(
                case,
                process,
                f"{process.name} reports to {address}, where every server is --headless; "
                "set --data-parallel-address to the head's address ($MASTER_IP is the address of "
                "the node in `master_index`, by default of the first node of its group)",
            )


def _refuse(case: Case, process: PlannedProcess, message: str) -> NoReturn:
    """Refuse the case because of one process, at its position in the file."""
    raise CaseError((problem_of(case, process.name, message),))


def problem_of(case: Case, name: str, message: str) -> Problem:
    """Return a problem at the position of a process in the case's file.

    Args:
        case: the case.
        name: of the process.
        message: the problem, and what to do.
    """
    node = next((node for node in case.nodes if node.name == name), None)
    line, column = node.position if node else (1, 1)
    return Problem(case.path, line, column, node.key_path if node else name, message)


def _span(ranks: range) -> str:
    return str(ranks[0]) if len(ranks) == 1 else f"{ranks[0]} to {ranks[-1]}"
