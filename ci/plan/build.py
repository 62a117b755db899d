"""Case + Site → Plan: addresses, ports, argv, environment, endpoint, order. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ci.errors import UserError
from ci.evaluate.model import job_of
from ci.evaluate.tools import TOOLS
from ci.plan.agreement import check, head_of, ranks_of
from ci.plan.argv import answers_at, port, served_name
from ci.plan.model import Endpoint, Evaluation, Plan, Process, url_of
from ci.plan.ports import SERVER_PORT, ports_of
from ci.plan.variables import expand, expand_env

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci.case.model import Benchmark, Case, Node
    from ci.hosts.target import Target
    from ci.plan.model import Dataset, Host, Preparation


@dataclass(frozen=True)
class Site:
    """What a case meets: hosts, and what is made on them first.

    Attributes:
        targets: how each node's host is reached, in the order of the nodes.
        hosts: the same hosts as the plan needs to know them; see `ci.plan.locate`.
        serving: host → the environment that vLLM runs from; without one its PATH has to have it.
        tools: evaluation environment → how it is made on the leader.
        model: host → how the case's model is made there, without one it is the operator's own.
        datasets: `dataset_path` → what it stands for.
        local: there is no host but this machine.
    """

    targets: tuple[Target, ...]
    hosts: tuple[Host, ...]
    serving: Mapping[str, Preparation]
    tools: Mapping[str, Preparation]
    model: Mapping[str, Preparation]
    datasets: Mapping[str, Dataset]
    local: bool = False


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
    _refuse_what_is_not_planned_yet(case)
    processes = tuple(_process(case, site, node) for node in case.nodes)
    hosts = {host.name: host for host in site.hosts}
    head = head_of(processes, case.path)
    check(processes, {name: host.address for name, host in hosts.items()}, case.path)
    lead = hosts[head.host]
    endpoint = Endpoint(
        host=answers_at(head.argv, lead.address),
        port=head.port,
        model=served_name(head.argv, case.model),
    )
    evaluations = tuple(_evaluation(case, site, lead, endpoint, item) for item in case.benchmarks)
    return Plan(
        case=case,
        hosts=tuple(hosts.values()),
        leader=lead.name,
        preparations=_preparations(site, tuple(hosts), {item.bin for item in evaluations}),
        processes=processes,
        endpoint=endpoint,
        ranks=ranks_of(head, processes),
        evaluations=evaluations,
    )


def _hosts_alone(case: Case, site: Site) -> Plan:
    hosts = tuple({host.name: host for host in site.hosts}.values())
    nowhere = Endpoint(host=hosts[0].address, port=0, model=case.model)
    return Plan(case, hosts, hosts[0].name, (), (), nowhere, None, ())


def _refuse_what_is_not_planned_yet(case: Case) -> None:
    reasons = {
        "disaggregated_prefill: needs a router, which is not started yet": case.router,
        "special_dependencies: are not installed yet; make an environment that has them, leave "
        "out `vllm:` and put it first on the PATH": case.special_dependencies,
    }
    for reason, holds in reasons.items():
        if holds:
            raise UserError(f"{case.path}: {reason}")


def _process(case: Case, site: Site, node: Node) -> Process:
    host = site.hosts[node.host]
    where = f"{case.path}: {node.where}"
    known = _known(case, site, node)
    env = expand_env({**_network_env(host), **node.env}, known, f"{where}.envs")
    argv = tuple(expand(word, {**known, **env}, f"{where}.server_cmd") for word in node.argv)
    argv, env = _from_environment(argv, env, site.serving.get(host.name))
    own_port = port(argv, "--port", where) or SERVER_PORT
    url = url_of(answers_at(argv, host.address), own_port)
    return Process(
        name=node.name,
        node=node.host,
        host=host.name,
        role=node.role,
        headless=node.headless,
        argv=argv,
        env=env,
        port=own_port,
        health_url=None if node.headless else f"{url}/health",
        ports=ports_of(argv, env, host.address, where),
    )


def _known(case: Case, site: Site, node: Node) -> dict[str, str]:
    host, master = site.hosts[node.host], site.hosts[node.master]
    model = site.model.get(host.name)
    return {
        "LOCAL_IP": host.address,
        "MASTER_IP": master.address,
        "NIC_NAME": _interface(host),
        "NODE_INDEX": str(node.host),
        "NODE_RANK": str(node.host),
        "NUM_NODES": str(case.num_hosts),
        "NPU_PER_NODE": str(case.npu_per_node),
        "MODEL": model.path if model else case.model,
        "WORKSPACE": host.workspace,
    }


def _interface(host: Host) -> str:
    """The interface's name, or what stands for it until the host is asked."""
    return host.interface or f"<interface of {host.name}>"


def _network_env(host: Host) -> dict[str, str]:
    """What collectives need to know of the host's own network, unless the case says otherwise."""
    interface = _interface(host)
    return {
        "VLLM_HOST_IP": host.address,
        "HCCL_IF_IP": host.address,
        "HCCL_SOCKET_IFNAME": interface,
        "GLOO_SOCKET_IFNAME": interface,
        "TP_SOCKET_IFNAME": interface,
        "NCCL_SOCKET_IFNAME": interface,
    }


def _from_environment(
    argv: tuple[str, ...],
    env: dict[str, str],
    serving: Preparation | None,
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Name the environment's own `vllm`, and put its folder first for what that starts."""
    if serving is None:
        return argv, env
    folder = f"{serving.path}/bin"
    program = f"{folder}/{argv[0]}" if argv[0] in {"vllm", "python", "python3"} else argv[0]
    return (program, *argv[1:]), {**env, "PATH": f"{folder}:{env.get('PATH', '$PATH')}"}


def _evaluation(
    case: Case,
    site: Site,
    lead: Host,
    endpoint: Endpoint,
    benchmark: Benchmark,
) -> Evaluation:
    where = f"{case.path}: benchmarks.{benchmark.name}"
    tool = TOOLS[benchmark.tool]
    if benchmark.case_type not in tool.KINDS:
        able = [name for name, other in TOOLS.items() if benchmark.case_type in other.KINDS]
        raise UserError(
            f"{where}.tool: {benchmark.tool} does not measure {benchmark.case_type}; these do: "
            f"{', '.join(able)}",
        )
    is_vllm = tool.ENVIRONMENT == "vllm"
    made = site.serving.get(lead.name) if is_vllm else site.tools[tool.ENVIRONMENT]
    model = site.model.get(lead.name)
    evaluation = Evaluation(
        benchmark=benchmark,
        dataset=site.datasets[benchmark.dataset_path],
        host=lead.name,
        bin=f"{made.path}/bin" if made else "",
        tokenizer=model.path if model else case.model,
        argv=(),
    )
    try:
        command = tool.command(
            job_of(evaluation, endpoint, f"{lead.workspace}/<run>/{benchmark.name}")
        )
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    return replace(evaluation, argv=command.argv)


def _preparations(site: Site, hosts: tuple[str, ...], bins: set[str]) -> tuple[Preparation, ...]:
    """What is made first, in order: serving before the model, which it converts."""
    everywhere = [
        made[host] for made in (site.serving, site.model) for host in hosts if host in made
    ]
    tools = [made for made in site.tools.values() if f"{made.path}/bin" in bins]
    return (*everywhere, *tools)
