"""Whether a plan's servers fit together: ports on one host, data-parallel ranks. Pure.

Refuses only what surely cannot work; what may, is left to vLLM.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from ci.errors import CaseError, Problem, UserError
from ci.vllm.command_line import Parallel, parallel
from ci.vllm.ports import named_ports

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ci.case.model import Case
    from ci.plan.model import Host, Process

Shares = list[tuple["Process", Parallel]]


def check(case: Case, processes: Sequence[Process], hosts: Mapping[str, Host]) -> None:
    """Refuse processes that cannot run together.

    Args:
        case: what they are of.
        processes: all of the plan: services, servers, router.
        hosts: by name.

    Raises:
        CaseError: two want one port of one host, or data-parallel ranks do not add up.
    """
    addresses = {name: host.address for name, host in hosts.items()}
    _check_ports(case, processes, addresses)
    servers = [one for one in processes if one.role not in {"router", "service"}]
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


def _check_ports(case: Case, processes: Sequence[Process], addresses: Mapping[str, str]) -> None:
    taken: dict[tuple[str, int], Process] = {}
    for process in processes:
        for port in dict.fromkeys(_named(process, addresses[process.host], case)):
            other = taken.setdefault((process.host, port), process)
            if other is not process:
                _refuse(
                    case,
                    process,
                    f"{process.name} and {other.name} both take port {port} of {process.host}; "
                    "give each a port of its own",
                )


def _named(process: Process, address: str, case: Case) -> Iterator[int]:
    if process.role in {"router", "service"}:
        yield from process.ports
    else:
        yield from named_ports(process.argv, address, case.path)


def _check_sizes(case: Case, group: Shares) -> None:
    first, share = group[0]
    for process, other in group[1:]:
        if other.size != share.size:
            _refuse(
                case,
                process,
                f"{process.name} has --data-parallel-size {other.size}, but {first.name} at the "
                f"same head has {share.size}; all need the same",
            )


def _check_ranks(case: Case, group: Shares) -> None:
    size, owner = group[0][1].size, dict[int, str]()
    for process, share in group:
        ranks = range(share.start, share.start + share.local)
        if ranks and ranks[-1] >= size:
            _refuse(
                case,
                process,
                f"{process.name} computes data-parallel ranks {_span(ranks)}, but "
                f"--data-parallel-size is {size}; mend --data-parallel-start-rank or "
                "--data-parallel-size-local",
            )
        for rank in ranks:
            if owner.setdefault(rank, process.name) != process.name:
                _refuse(
                    case,
                    process,
                    f"{process.name} and {owner[rank]} both compute data-parallel rank {rank}; "
                    "mend --data-parallel-start-rank",
                )
    if len(owner) != size:
        names = ", ".join(process.name for process, _ in group)
        _refuse(
            case,
            group[0][0],
            f"--data-parallel-size is {size}, but {names} at one head together compute "
            f"{len(owner)} of them; mend --data-parallel-size-local, or give all the same "
            "--data-parallel-address and --data-parallel-rpc-port",
        )


def _check_heads(case: Case, servers: Sequence[Process], addresses: Mapping[str, str]) -> None:
    answering = {addresses[process.host] for process in servers if not process.headless}
    serving = {addresses[process.host] for process in servers}
    for process in servers:
        share = parallel(process.argv)
        at = share.address if share and process.headless else None
        if at in serving - answering:
            _refuse(
                case,
                process,
                f"{process.name} reports to {at}, where every server is --headless; "
                "--data-parallel-address has to be the head's ($MASTER_IP is that of the node "
                "that `master_index` names, else of the first of its group)",
            )


def _refuse(case: Case, process: Process, message: str) -> NoReturn:
    """Refuse the case for one of its processes, at that one's place in the file."""
    node = next((one for one in case.nodes if one.name == process.name), None)
    line, column = node.at if node else (1, 1)
    where = node.where if node else process.name
    raise CaseError((Problem(case.path, line, column, where, message),))


def _span(ranks: range) -> str:
    return str(ranks[0]) if len(ranks) == 1 else f"{ranks[0]} to {ranks[-1]}"
