"""Plan the router in front of the servers, and the services that servers need. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.case.variables import expand, expand_env
from ci.documents.address import url_of
from ci.errors import UserError
from ci.plan.model import CLIENT_KEY, PlannedProcess
from ci.plan.servers import from_environment, host_variables, network_env, scripts_of
from ci.vllm.api import scheme
from ci.vllm.command_line import client_address, has

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.case.model import Case, Router, Service
    from ci.plan.inputs import PlanInputs

VLLM_ROUTER = "vllm-router"
NAME = "router"
# vllm-router's own default for its metrics.
METRICS_PORT = 29000


def plan_router(
    case: Case, inputs: PlanInputs, servers: Sequence[PlannedProcess]
) -> PlannedProcess | None:
    """Plan the router; None if the case has none.

    Raises:
        UserError: no server can receive its requests, or it refers to an unknown variable.
    """
    entry = case.router
    if entry is None:
        return None
    host = inputs.hosts[entry.host]
    location = f"{case.path}: {entry.key_path or NAME}"
    known = {**host_variables(case, inputs, entry.host, NAME), "PORT": str(entry.port)}
    network = {key: known[key] for key in ("LOCAL_IP", "NIC_NAME", "MASTER_IP")}
    env = expand_env(
        {**_access(servers), **entry.env, **network_env(host), **network}, known, location
    )
    words = tuple(expand(word, {**known, **env}, location) for word in entry.argv)
    argv = words if entry.kind == "command" else _argv(entry, inputs, servers, words, location)
    made = (
        inputs.tools.get(VLLM_ROUTER)
        if entry.kind == VLLM_ROUTER
        else inputs.serving.get(host.name)
    )
    argv, env = from_environment(argv, env, made, frozenset({"vllm", VLLM_ROUTER}))
    url = url_of(client_address(argv, host.address), entry.port, scheme(argv))
    return PlannedProcess(
        name=NAME,
        node=entry.host,
        host=host.name,
        role="router",
        headless=False,
        argv=argv,
        env=env,
        port=entry.port,
        health_url=f"{url}{entry.health_path}",
        ports=(entry.port, *((METRICS_PORT,) if entry.kind == VLLM_ROUTER else ())),
        cwd=entry.folder if entry.kind != VLLM_ROUTER and entry.folder else None,
        env_script=scripts_of(case, inputs, entry.host, entry.env_script),
    )


def _access(servers: Sequence[PlannedProcess]) -> dict[str, str]:
    """Return the variables from which a router takes the servers' key and authorities."""
    asked = [server.access for server in servers if not server.headless]
    key = next((access.key for access in asked if access.key), "")
    trusted = next((access.trust_env for access in asked if access.authorities), {})
    return ({CLIENT_KEY: key} if key else {}) | trusted


def plan_service(case: Case, inputs: PlanInputs, service: Service) -> PlannedProcess:
    """Plan a service that servers need.

    Raises:
        UserError: it refers to an unknown variable.
    """
    host = inputs.hosts[service.host]
    location = f"{case.path}: {service.name}"
    known = host_variables(case, inputs, service.host, service.name)
    env = expand_env(service.env, known, location)
    variables = {**known, **env}
    argv = tuple(expand(word, variables, location) for word in service.argv)
    argv, env = from_environment(argv, env, inputs.serving.get(host.name))
    return PlannedProcess(
        name=service.name,
        node=service.host,
        host=host.name,
        role="service",
        headless=True,
        argv=argv,
        env=env,
        port=next(iter(service.ports), 0),
        health_url=None,
        ports=tuple(sorted(service.ports)),
        files={path: expand(text, variables, location) for path, text in service.files.items()},
        env_script=scripts_of(case, inputs, service.host),
    )


def _argv(
    entry: Router,
    inputs: PlanInputs,
    servers: Sequence[PlannedProcess],
    arguments: tuple[str, ...],
    location: str,
) -> tuple[str, ...]:
    """Build the command line of a router of kind `script` or `vllm-router`."""
    prefill, decode = (_targets(inputs, servers, role, location) for role in ("prefill", "decode"))
    bind = ("--host", inputs.hosts[entry.host].address, "--port", str(entry.port))
    if entry.kind == VLLM_ROUTER:
        policy = () if has(arguments, "--policy") else ("--policy", "round_robin")
        urls = [("--prefill", url_of(*target)) for target in prefill]
        urls += [("--decode", url_of(*target)) for target in decode]
        flat = tuple(word for pair in urls for word in pair)
        return (VLLM_ROUTER, "--vllm-pd-disaggregation", *flat, *policy, *bind, *arguments)
    lists = [
        *("--prefiller-hosts", *(host for host, _ in prefill)),
        *("--prefiller-ports", *(str(port) for _, port in prefill)),
        *("--decoder-hosts", *(host for host, _ in decode)),
        *("--decoder-ports", *(str(port) for _, port in decode)),
    ]
    return ("python", entry.script, *bind, *lists, *arguments)


def _targets(
    inputs: PlanInputs, servers: Sequence[PlannedProcess], role: str, location: str
) -> tuple[tuple[str, int], ...]:
    """Return address and port of each server of a role that has an API."""
    targets = tuple(
        (inputs.hosts[server.node].address, server.port)
        for server in servers
        if server.role == role and not server.headless
    )
    for server in servers:
        if scheme(server.argv) == "https":
            raise UserError(
                f"{location}: {server.name} has --ssl-…, but a router asks its servers over http; "
                "remove it, or write your own router with `kind: command`"
            )
    if not targets:
        raise UserError(
            f"{location}: no {role} server answers requests; start one without --headless"
        )
    return targets
