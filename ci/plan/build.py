"""Case + Site → Plan: addresses, ports, argv, environment, endpoint, order. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.errors import UserError
from ci.plan.consistency import check, head_of, ranks_of
from ci.plan.evaluations import Setting, evaluations
from ci.plan.model import Plan
from ci.plan.names import recipe_name
from ci.plan.router import VLLM_ROUTER, router, service
from ci.plan.servers import server
from ci.tools.model import Endpoint
from ci.vllm.command_line import answers_at, served_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci.case.model import Case
    from ci.plan.model import Host, Preparation, Process
    from ci.plan.site import Site


def build(case: Case, site: Site) -> Plan:
    """Plan a night. Of a case without nodes, the plan is the hosts alone.

    Args:
        case: what to serve and what to prove.
        site: where.

    Raises:
        UserError: the case cannot run on this site; says why.
    """
    if not case.nodes and site.hosts:
        return _hosts_alone(case, site)
    if case.num_hosts != len(site.hosts):
        raise UserError(
            f"{case.path}: the case has {case.num_hosts} nodes and {len(site.hosts)} hosts; "
            "give as many cluster_hosts as nodes",
        )
    processes = tuple(server(case, site, node) for node in case.nodes)
    services = tuple(service(case, site, one) for one in case.services)
    front = router(case, site, processes)
    hosts = {host.name: host for host in site.hosts}
    others = (*services, *processes, *([front] if front else []))
    check(case, others, hosts)
    head = head_of(processes, case.path)
    lead = hosts[(front or head).host]
    endpoint = _endpoint(case, head, front, hosts)
    taken = frozenset({*(process.name for process in others), *_recipes(site)})
    asked = evaluations(case, Setting(site, lead, endpoint, taken))
    bins = {item.bin for item in asked} | _bins_of_router(case, site)
    return Plan(
        case=case,
        hosts=tuple(hosts.values()),
        leader=lead.name,
        preparations=_preparations(site, tuple(hosts), bins),
        processes=processes,
        endpoint=endpoint,
        ranks=None if front else ranks_of(head, processes),
        evaluations=asked,
        services=services,
        router=front,
    )


def _endpoint(
    case: Case, head: Process, front: Process | None, hosts: Mapping[str, Host]
) -> Endpoint:
    """Where requests go: the router where there is one, else the first server that answers."""
    model = served_name(head.argv, case.model)
    if front:
        return Endpoint(answers_at(front.argv, hosts[front.host].address), front.port, model)
    return Endpoint(answers_at(head.argv, hosts[head.host].address), head.port, model)


def _bins_of_router(case: Case, site: Site) -> set[str]:
    ours = case.router is not None and case.router.kind == VLLM_ROUTER
    return {f"{site.tools[VLLM_ROUTER].path}/bin"} if ours and VLLM_ROUTER in site.tools else set()


def _recipes(site: Site) -> set[str]:
    """Name the processes that may make something before the servers start."""
    parts = (*site.serving.values(), *site.model.values(), *site.tools.values())
    return {recipe_name(made.kind, made.name) for made in parts}


def _hosts_alone(case: Case, site: Site) -> Plan:
    hosts = tuple({host.name: host for host in site.hosts}.values())
    nowhere = Endpoint(host=hosts[0].address, port=0, model=case.model)
    return Plan(case, hosts, hosts[0].name, (), (), nowhere, None, ())


def _preparations(site: Site, hosts: tuple[str, ...], bins: set[str]) -> tuple[Preparation, ...]:
    """What is made first, in order: serving before the model, which it converts."""
    everywhere = [
        made[host] for made in (site.serving, site.model) for host in hosts if host in made
    ]
    tools = [made for made in site.tools.values() if f"{made.path}/bin" in bins]
    return (*everywhere, *tools)
