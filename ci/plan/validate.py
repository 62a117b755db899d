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
    first, share = group[0]
    for process, other in group[1:]:
        if other.size != share.size:
            _refuse(
                case,
                process,
                f"{process.name} has --data-parallel-size {other.size}, but {first.name} with "
                f"the same head has {share.size}; give all the same size",
            )


def _check_ranks(case: Case, group: Shares) -> None:
    size, owner = group[0][1].size, dict[int, str]()
    for process, share in group:
        ranks = range(share.start, share.start + share.local)
        if ranks and ranks[-1] >= size:
            _refuse(
                case,
                process,
                f"{process.name} has data-parallel ranks {_span(ranks)}, but "
                f"--data-parallel-size is {size}; correct --data-parallel-start-rank or "
                "--data-parallel-size-local",
            )
        for rank in ranks:
            if owner.setdefault(rank, process.name) != process.name:
                _refuse(
                    case,
                    process,
                    f"{process.name} and {owner[rank]} both have data-parallel rank {rank}; "
                    "correct --data-parallel-start-rank",
                )
    if len(owner) != size:
        names = ", ".join(process.name for process, _ in group)
        _refuse(
            case,
            group[0][0],
            f"--data-parallel-size is {size}, but the servers of one head ({names}) have only "
            f"{len(owner)} in total; correct --data-parallel-size-local, or give all the same "
            "--data-parallel-address and --data-parallel-rpc-port",
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
    node = next((node for node in case.nodes if node.name == process.name), None)
    line, column = node.position if node else (1, 1)
    key_path = node.key_path if node else process.name
    raise CaseError((Problem(case.path, line, column, key_path, message),))


def _span(ranks: range) -> str:
    return str(ranks[0]) if len(ranks) == 1 else f"{ranks[0]} to {ranks[-1]}"
