"""Plan one server: its variables, environment, command line and ports. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.case.variables import RUN_FOLDER, expand, expand_env
from ci.documents.address import url_of
from ci.errors import UserError
from ci.plan.model import PlannedProcess
from ci.vllm.api import scheme, unsupported
from ci.vllm.command_line import SERVER_PORT, api_port, client_address
from ci.vllm.devices import require_sizes
from ci.vllm.ports import ports_of
from ci.vllm.programs import is_script

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci.case.model import Case, Node
    from ci.plan.inputs import PlanInputs
    from ci.plan.model import Host, Preparation

_PYTHONS = frozenset({"python", "python3"})

# Variables of collective libraries that every night sets, and the variable that has their value.
OVERRIDDEN = {
    "HCCL_IF_IP": "LOCAL_IP",
    "HCCL_SOCKET_IFNAME": "NIC_NAME",
    "GLOO_SOCKET_IFNAME": "NIC_NAME",
    "TP_SOCKET_IFNAME": "NIC_NAME",
}


def plan_server(case: Case, inputs: PlanInputs, node: Node) -> PlannedProcess:
    """Plan one server.

    Raises:
        UserError: it refers to an unknown variable, an option's value is not a port or size, or how
            to ask the server is unknown.
    """
    host = inputs.hosts[node.host]
    location = f"{case.path}:{node.position[0]}:{node.position[1]}: {node.key_path}"
    known = host_variables(case, inputs, node.host, node.name, master=node.master)
    known |= expand_env(node.variables, known, location)
    network = {key: known[key] for key in ("LOCAL_IP", "NIC_NAME", "MASTER_IP")}
    own = {**_defaults(host), **node.env, **network_env(host), **network}
    for service in case.services:
        own |= service.server_env
    env = expand_env(own, known, location)
    variables = {**known, **env}
    argv = tuple(expand(word, variables, location) for word in node.argv)
    if problem := unsupported(argv):
        raise UserError(f"{location}: {problem}")
    require_sizes(argv, location)
    argv, env = from_environment(argv, env, inputs.serving.get(host.name))
    if is_script(argv) and "SERVER_PORT" in known:
        env = {"SERVER_PORT": known["SERVER_PORT"], **env}
    own_port = SERVER_PORT if node.headless else api_port(argv, env, location)
    url = url_of(client_address(argv, host.address), own_port, scheme(argv))
    return PlannedProcess(
        name=node.name,
        node=node.host,
        host=host.name,
        role=node.role,
        headless=node.headless,
        argv=argv,
        env=env,
        port=own_port,
        health_url=None if node.headless else f"{url}/health",
        ports=ports_of(argv, env, host.address, location),
        files={
            path: expand(text, variables, location)
            for service in case.services
            for path, text in service.server_files.items()
        },
        env_script=scripts_of(case, inputs, node.host, node.env_script),
    )


def scripts_of(
    case: Case, inputs: PlanInputs, index: int, own: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """Return the environment scripts of a process: its host's, the case's, its own; each once.

    Args:
        case: the case of the plan.
        inputs: its hosts.
        index: the host's index.
        own: those that the process's command line sources.
    """
    of_host = inputs.targets[index].env_script if inputs.targets else ()
    return tuple(dict.fromkeys((*of_host, *case.env_script, *own)))


def host_variables(
    case: Case, inputs: PlanInputs, index: int, process: str, *, master: int = 0
) -> dict[str, str]:
    """Return the variables that every process on a host has; see `ci.case.variables`.

    Args:
        case: the case of the plan.
        inputs: its hosts and models.
        index: the host's index.
        process: name of the process, and of its folder.
        master: index of the host whose address is `$MASTER_IP`.
    """
    host = inputs.hosts[index]
    model = inputs.model.get(host.name)
    indices = ("NODE_INDEX", "NODE_RANK", "CONFIG_INDEX", "LWS_WORKER_INDEX")
    return {
        "LOCAL_IP": host.address,
        "MASTER_IP": inputs.hosts[master].address,
        "NIC_NAME": _interface(host),
        "WORKSPACE": host.workspace,
        "FOLDER": RUN_FOLDER.format(workspace=host.workspace, process=process),
        "MODEL": model.path if model else case.model,
        "NUM_NODES": str(case.num_hosts),
        "NPU_PER_NODE": str(case.npu_per_node),
        **dict.fromkeys(indices, str(index)),
        **{f"NODE_{other}_IP": peer.address for other, peer in enumerate(inputs.hosts)},
    }


def network_env(host: Host) -> dict[str, str]:
    """Return the network variables of collective libraries; they override the case's own.

    vllm-ascend's own runner does the same.
    """
    values = {"LOCAL_IP": host.address, "NIC_NAME": _interface(host)}
    return {name: values[variable] for name, variable in OVERRIDDEN.items()}


def from_environment(
    argv: tuple[str, ...],
    env: Mapping[str, str],
    environment: Preparation | None,
    programs: frozenset[str] = frozenset({"vllm"}),
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Run a command line from an environment: its program, and its folder first in PATH.

    Args:
        argv: a command line.
        env: its environment variables.
        environment: the prepared environment; None to use the host's own programs.
        programs: the environment's programs besides Python.
    """
    if environment is None:
        return argv, dict(env)
    folder = f"{environment.path}/bin"
    program = f"{folder}/{argv[0]}" if argv[0] in programs | _PYTHONS else argv[0]
    return (program, *argv[1:]), {**env, "PATH": f"{folder}:{env.get('PATH', '$PATH')}"}


def _defaults(host: Host) -> dict[str, str]:
    """Return the variables that a case may override."""
    return {"VLLM_HOST_IP": host.address, "NCCL_SOCKET_IFNAME": _interface(host)}


def _interface(host: Host) -> str:
    """Return the interface's name, or a placeholder before the host's facts are known."""
    return host.interface or f"<interface of {host.name}>"
