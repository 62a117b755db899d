"""Build the Plan of a Case: addresses, ports, argv, environment, endpoint, order. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.case.without_router import behind_router
from ci.documents.counted import counted
from ci.errors import Problem, UserError
from ci.plan.devices import device_warnings, with_devices
from ci.plan.evaluations import Setting, plan_evaluations
from ci.plan.model import Plan
from ci.plan.names import recipe_name
from ci.plan.router import VLLM_ROUTER, plan_router, plan_service
from ci.plan.servers import plan_server
from ci.plan.validate import head_of, ranks_of, validate
from ci.tools.model import Endpoint
from ci.vllm.api import scheme
from ci.vllm.command_line import client_address, served_name
from ci.vllm.model_source import tokenizer_source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ci.case.model import Case
    from ci.plan.inputs import PlanInputs
    from ci.plan.model import Host, PlannedProcess, Preparation


def build(case: Case, inputs: PlanInputs) -> Plan:
    """Plan a night. The plan of a case without nodes has only hosts.

    Args:
        case: what to serve and what to measure.
        inputs: its hosts, preparations and datasets.

    Raises:
        UserError: the case cannot run on these hosts; the message has the reason.
    """
    if not case.nodes and inputs.hosts:
        return _hosts_alone(case, inputs)
    if case.num_hosts != len(inputs.hosts):
        raise UserError(
            f"{case.path}: the case has {counted(case.num_hosts, 'node')} and "
            f"{counted(len(inputs.hosts), 'host')}; "
            "give as many cluster_hosts as nodes",
        )
    planned = tuple(plan_server(case, inputs, node) for node in case.nodes)
    servers = with_devices(case, inputs.devices, planned)
    services = tuple(plan_service(case, inputs, service) for service in case.services)
    router = plan_router(case, inputs, servers)
    hosts = {host.name: host for host in inputs.hosts}
    others = (*services, *servers, *([router] if router else []))
    validate(case, others, hosts)
    head = head_of(servers, case.path)
    leader = hosts[(router or head).host]
    endpoint = _endpoint(case, router or head, head, hosts)
    taken = frozenset({*(process.name for process in others), *_recipes(inputs)})
    on_leader = (process for process in (*servers, *([router] if router else [])))
    scripts = next(item.env_script for item in on_leader if item.host == leader.name)
    setting = Setting(inputs, leader, endpoint, taken, scripts, _tokenizer(case, inputs, head))
    behind = behind_router(servers) if router else None
    direct = (behind.name, _endpoint(case, behind, behind, hosts)) if behind else None
    evaluations = plan_evaluations(case, setting, direct)
    bins = {item.bin for item in evaluations} | _bins_of_router(case, inputs)
    return Plan(
        case=case,
        hosts=tuple(hosts.values()),
        leader=leader.name,
        preparations=_preparations(inputs, tuple(hosts), bins),
        servers=servers,
        endpoint=endpoint,
        ranks=None if router else ranks_of(head, servers),
        evaluations=evaluations,
        services=services,
        router=router,
        warnings=(*device_warnings(case, inputs.devices, servers), *_doubts(case, inputs)),
    )


def _doubts(case: Case, inputs: PlanInputs) -> Iterator[Problem]:
    """Warn of benchmarks for which `repeats: auto` could not choose a number."""
    for name, passes in inputs.passes.items():
        if passes.doubt:
            yield Problem(case.path, 1, 1, f"benchmarks.{name}.repeats", passes.doubt)


def _endpoint(
    case: Case, front: PlannedProcess, server: PlannedProcess, hosts: Mapping[str, Host]
) -> Endpoint:
    """Return the endpoint of a router or server; the model has the name that `server` gives it."""
    return Endpoint(
        client_address(front.argv, hosts[front.host].address),
        front.port,
        served_name(server.argv, case.model),
        scheme(front.argv),
    )


def _tokenizer(case: Case, inputs: PlanInputs, head: PlannedProcess) -> str:
    """Return the tokenizer of the head's command line, else the model's own."""
    source = tokenizer_source(head.argv, head.env, head.cwd or "")
    made = inputs.model.get(head.host)
    return source.key if source else made.path if made else case.model


def _bins_of_router(case: Case, inputs: PlanInputs) -> set[str]:
    used = case.router is not None and case.router.kind == VLLM_ROUTER
    return (
        {f"{inputs.tools[VLLM_ROUTER].path}/bin"} if used and VLLM_ROUTER in inputs.tools else set()
    )


def _recipes(inputs: PlanInputs) -> set[str]:
    """Name the processes that may create an environment or a model before the servers start."""
    parts = (*inputs.serving.values(), *inputs.model.values(), *inputs.tools.values())
    return {recipe_name(part.kind, part.name) for part in parts}


def _hosts_alone(case: Case, inputs: PlanInputs) -> Plan:
    hosts = tuple({host.name: host for host in inputs.hosts}.values())
    no_endpoint = Endpoint(host=hosts[0].address, port=0, model=case.model)
    return Plan(case, hosts, hosts[0].name, (), (), no_endpoint, None, ())


def _preparations(
    inputs: PlanInputs, hosts: tuple[str, ...], bins: set[str]
) -> tuple[Preparation, ...]:
    """List the preparations in order: vLLM before the model, because it converts the model."""
    everywhere = [
        made[host] for made in (inputs.serving, inputs.model) for host in hosts if host in made
    ]
    tools = [made for made in inputs.tools.values() if f"{made.path}/bin" in bins]
    return (*everywhere, *tools)
