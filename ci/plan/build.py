"""Case + Site → Plan: addresses, ports, argv, environment, endpoint, order. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ci.errors import UserError
from ci.evaluate.model import job_of
from ci.evaluate.tools import TOOLS
from ci.plan.model import Endpoint, Evaluation, Plan, Process
from ci.plan.variables import expand, expand_env

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci.case.model import Benchmark, Case
    from ci.plan.model import Dataset, Preparation

# vLLM's own default: https://docs.vllm.ai/en/stable/cli/serve.html
DEFAULT_PORT = 8000


@dataclass(frozen=True)
class Host:
    """One host as the plan needs to know it."""

    name: str
    address: str
    interface: str


@dataclass(frozen=True)
class Site:
    """What a case meets: hosts, the workspace on them, and what is made there first.

    Attributes:
        hosts: one per node of the case, leader first.
        workspace: the folder on every host that holds environments, models and runs.
        serving: the environment that vLLM runs from; None leaves `vllm` to the host's PATH.
        tools: evaluation environment → how it is made.
        model: how the case's model is made, None where it is the operator's own.
        datasets: `dataset_path` → what it stands for.
    """

    hosts: tuple[Host, ...]
    workspace: str
    serving: Preparation | None
    tools: Mapping[str, Preparation]
    model: Preparation | None
    datasets: Mapping[str, Dataset]


def build(case: Case, site: Site) -> Plan:
    """Plan a night.

    Args:
        case: what to serve and what to prove.
        site: where.

    Raises:
        UserError: the case cannot run on this site; says why.
    """
    if len(case.nodes) != len(site.hosts):
        raise UserError(
            f"{case.path}: the case has {len(case.nodes)} nodes and {len(site.hosts)} hosts; "
            "give as many cluster_hosts as nodes",
        )
    _refuse_what_is_not_planned_yet(case)
    processes = tuple(_process(case, site, index) for index in range(len(case.nodes)))
    leader = processes[0]
    endpoint = Endpoint(
        host=site.hosts[0].address,
        port=leader.port,
        model=_served_name(leader.argv, case.model),
    )
    evaluations = tuple(_evaluation(case, site, endpoint, item) for item in case.benchmarks)
    return Plan(
        case=case,
        hosts=tuple(host.name for host in site.hosts),
        workspace=site.workspace,
        preparations=_preparations(site, {item.bin for item in evaluations}),
        processes=processes,
        endpoint=endpoint,
        evaluations=evaluations,
    )


def _refuse_what_is_not_planned_yet(case: Case) -> None:
    reasons = {
        "num_nodes: only one node can be planned so far": len(case.nodes) > 1,
        "disaggregated_prefill: needs a router, which is not started yet": case.prefill,
        "special_dependencies: are not installed yet; make an environment that has them, leave "
        "out `vllm:` and put it first on the PATH": case.special_dependencies,
    }
    for reason, holds in reasons.items():
        if holds:
            raise UserError(f"{case.path}: {reason}")


def _process(case: Case, site: Site, index: int) -> Process:
    node, host = case.nodes[index], site.hosts[index]
    where = f"{case.path}: deployment[{index}]"
    known = _known(case, site, index)
    env = expand_env({**node.env, **_network_env(host)}, known, f"{where}.envs")
    argv = tuple(expand(word, {**known, **env}, f"{where}.server_cmd") for word in node.argv)
    argv, env = _from_environment(argv, env, site.serving)
    port = _port(argv, where)
    return Process(
        name=f"server-{index}",
        node=index,
        host=host.name,
        role="mixed",
        headless=node.headless,
        argv=argv,
        env=env,
        port=port,
        health_url=None if node.headless else f"http://{host.address}:{port}/health",
    )


def _known(case: Case, site: Site, index: int) -> dict[str, str]:
    host, leader = site.hosts[index], site.hosts[0]
    return {
        "LOCAL_IP": host.address,
        "MASTER_IP": leader.address,
        "NIC_NAME": host.interface,
        "MODEL": site.model.path if site.model else case.model,
        "WORKSPACE": site.workspace,
    }


def _network_env(host: Host) -> dict[str, str]:
    """What vLLM's collectives need to know of the host's own network."""
    return {
        "VLLM_HOST_IP": host.address,
        "HCCL_IF_IP": host.address,
        "HCCL_SOCKET_IFNAME": host.interface,
        "GLOO_SOCKET_IFNAME": host.interface,
        "TP_SOCKET_IFNAME": host.interface,
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


def _port(argv: tuple[str, ...], where: str) -> int:
    text = _option(argv, "--port")
    if text is None:
        return DEFAULT_PORT
    if not text.isdecimal() or not 0 < int(text) < 2**16:
        raise UserError(f"{where}.server_cmd: --port {text} is not a port (1 to 65535)")
    return int(text)


def _served_name(argv: tuple[str, ...], model: str) -> str:
    """The name that clients ask for: vLLM takes the first `--served-model-name`."""
    named = _option(argv, "--served-model-name") or _option(argv, "--model")
    if named:
        return named
    if "serve" in argv:
        after = argv[argv.index("serve") + 1 :]
        if after and not after[0].startswith("-"):
            return after[0]
    return model


def _option(argv: tuple[str, ...], name: str) -> str | None:
    """The value of `--name value` or `--name=value`; the last one given counts."""
    value = None
    for word, following in zip(argv, (*argv[1:], ""), strict=True):
        if word == name:
            value = following
        elif word.startswith(f"{name}="):
            value = word.removeprefix(f"{name}=")
    return value


def _evaluation(case: Case, site: Site, endpoint: Endpoint, benchmark: Benchmark) -> Evaluation:
    where = f"{case.path}: benchmarks.{benchmark.name}"
    tool = TOOLS[benchmark.tool]
    if benchmark.case_type not in tool.KINDS:
        able = [name for name, other in TOOLS.items() if benchmark.case_type in other.KINDS]
        raise UserError(
            f"{where}.tool: {benchmark.tool} does not measure {benchmark.case_type}; these do: "
            f"{', '.join(able)}",
        )
    made = site.serving if tool.ENVIRONMENT == "vllm" else site.tools[tool.ENVIRONMENT]
    evaluation = Evaluation(
        benchmark=benchmark,
        dataset=site.datasets[benchmark.dataset_path],
        host=site.hosts[0].name,
        bin=f"{made.path}/bin" if made else "",
        tokenizer=site.model.path if site.model else case.model,
        argv=(),
    )
    try:
        command = tool.command(
            job_of(evaluation, endpoint, f"{site.workspace}/<run>/{benchmark.name}")
        )
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    return replace(evaluation, argv=command.argv)


def _preparations(site: Site, bins: set[str]) -> tuple[Preparation, ...]:
    """What is made first, in order: serving before the model, which it converts."""
    tools = [made for made in site.tools.values() if f"{made.path}/bin" in bins]
    return tuple(made for made in (site.serving, site.model, *tools) if made)
