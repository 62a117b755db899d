"""Node + Site → a server's process: its variables, environment, command line and ports. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.case.variables import RUN_FOLDER, expand, expand_env
from ci.documents.address import url_of
from ci.plan.model import Process
from ci.vllm.command_line import answers_at, port
from ci.vllm.ports import SERVER_PORT, ports_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci.case.model import Case, Node
    from ci.plan.model import Host, Preparation
    from ci.plan.site import Site

_PYTHONS = frozenset({"python", "python3"})


def server(case: Case, site: Site, node: Node) -> Process:
    """Plan one server.

    Raises:
        UserError: an unknown variable, or a port that is none.
    """
    host = site.hosts[node.host]
    where = f"{case.path}:{node.at[0]}:{node.at[1]}: {node.where}"
    known = known_on(case, site, node.host, node.name, master=node.master)
    known |= expand_env(node.known, known, where)
    network = {key: known[key] for key in ("LOCAL_IP", "NIC_NAME", "MASTER_IP")}
    own = {**_defaults(host), **node.env, **network_env(host), **network}
    for service in case.services:
        own |= service.server_env
    env = expand_env(own, known, where)
    variables = {**known, **env}
    argv = tuple(expand(word, variables, where) for word in node.argv)
    argv, env = from_environment(argv, env, site.serving.get(host.name))
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
        files={
            path: expand(text, variables, where)
            for service in case.services
            for path, text in service.server_files.items()
        },
    )


def known_on(case: Case, site: Site, at: int, process: str, *, master: int = 0) -> dict[str, str]:
    """The variables that every process on a host has; see `ci.case.variables`.

    Args:
        case: what is served.
        site: where.
        at: the host's index.
        process: its name, which names its folder.
        master: the index of the host that it reports to.
    """
    host = site.hosts[at]
    model = site.model.get(host.name)
    indices = ("NODE_INDEX", "NODE_RANK", "CONFIG_INDEX", "LWS_WORKER_INDEX")
    return {
        "LOCAL_IP": host.address,
        "MASTER_IP": site.hosts[master].address,
        "NIC_NAME": _interface(host),
        "WORKSPACE": host.workspace,
        "FOLDER": RUN_FOLDER.format(workspace=host.workspace, process=process),
        "MODEL": model.path if model else case.model,
        "NUM_NODES": str(case.num_hosts),
        "NPU_PER_NODE": str(case.npu_per_node),
        **dict.fromkeys(indices, str(at)),
        **{f"NODE_{index}_IP": other.address for index, other in enumerate(site.hosts)},
    }


def network_env(host: Host) -> dict[str, str]:
    """What collectives need to know of the host's own network, whatever the case says.

    As in the field's own runner, where these win over a case's own.
    """
    interface = _interface(host)
    return {
        "HCCL_IF_IP": host.address,
        "HCCL_SOCKET_IFNAME": interface,
        "GLOO_SOCKET_IFNAME": interface,
        "TP_SOCKET_IFNAME": interface,
    }


def from_environment(
    argv: tuple[str, ...],
    env: Mapping[str, str],
    made: Preparation | None,
    programs: frozenset[str] = frozenset({"vllm"}),
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Name the environment's own program, and put its folder first for what that starts.

    Args:
        argv: a command line.
        env: its environment.
        made: the environment of ours that it runs from; None for the host's own.
        programs: that the environment has besides Python.
    """
    if made is None:
        return argv, dict(env)
    folder = f"{made.path}/bin"
    program = f"{folder}/{argv[0]}" if argv[0] in programs | _PYTHONS else argv[0]
    return (program, *argv[1:]), {**env, "PATH": f"{folder}:{env.get('PATH', '$PATH')}"}


def _defaults(host: Host) -> dict[str, str]:
    """What holds unless the case says otherwise."""
    return {"VLLM_HOST_IP": host.address, "NCCL_SOCKET_IFNAME": _interface(host)}


def _interface(host: Host) -> str:
    """The interface's name, or what stands for it until the host is asked."""
    return host.interface or f"<interface of {host.name}>"
