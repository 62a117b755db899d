"""What stands around the servers: the router in front of them, the services behind. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.case.variables import expand, expand_env
from ci.documents.address import url_of
from ci.errors import UserError
from ci.plan.model import Process
from ci.plan.servers import from_environment, known_on, network_env
from ci.vllm.command_line import answers_at, has

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.case.model import Case, Router, Service
    from ci.plan.site import Site

VLLM_ROUTER = "vllm-router"
NAME = "router"
# vllm-router's own default for its metrics.
METRICS_PORT = 29000


def router(case: Case, site: Site, servers: Sequence[Process]) -> Process | None:
    """Plan the router of a case that has one.

    Raises:
        UserError: there is nothing for it to send requests to, or it names an unknown variable.
    """
    front = case.router
    if front is None:
        return None
    host = site.hosts[front.host]
    where = f"{case.path}: {front.where or NAME}"
    known = {**known_on(case, site, front.host, NAME), "PORT": str(front.port)}
    network = {key: known[key] for key in ("LOCAL_IP", "NIC_NAME", "MASTER_IP")}
    env = expand_env({**front.env, **network_env(host), **network}, known, where)
    words = tuple(expand(word, {**known, **env}, where) for word in front.argv)
    argv = words if front.kind == "command" else _argv(front, site, servers, words, where)
    made = site.tools.get(VLLM_ROUTER) if front.kind == VLLM_ROUTER else site.serving.get(host.name)
    argv, env = from_environment(argv, env, made, frozenset({"vllm", VLLM_ROUTER}))
    return Process(
        name=NAME,
        node=front.host,
        host=host.name,
        role="router",
        headless=False,
        argv=argv,
        env=env,
        port=front.port,
        health_url=f"{url_of(answers_at(argv, host.address), front.port)}{front.health_path}",
        ports=(front.port, *((METRICS_PORT,) if front.kind == VLLM_ROUTER else ())),
        cwd=front.folder if front.kind != VLLM_ROUTER and front.folder else None,
    )


def service(case: Case, site: Site, one: Service) -> Process:
    """Plan a service that servers need.

    Raises:
        UserError: it names an unknown variable.
    """
    host = site.hosts[one.host]
    where = f"{case.path}: {one.name}"
    known = known_on(case, site, one.host, one.name)
    env = expand_env(one.env, known, where)
    variables = {**known, **env}
    argv = tuple(expand(word, variables, where) for word in one.argv)
    argv, env = from_environment(argv, env, site.serving.get(host.name))
    return Process(
        name=one.name,
        node=one.host,
        host=host.name,
        role="service",
        headless=True,
        argv=argv,
        env=env,
        port=next(iter(one.ports), 0),
        health_url=None,
        ports=tuple(sorted(one.ports)),
        files={path: expand(text, variables, where) for path, text in one.files.items()},
    )


def _argv(
    front: Router,
    site: Site,
    servers: Sequence[Process],
    more: tuple[str, ...],
    where: str,
) -> tuple[str, ...]:
    """The command line of a router whose arguments are of a known form."""
    prefill, decode = (_targets(site, servers, role, where) for role in ("prefill", "decode"))
    here = ("--host", site.hosts[front.host].address, "--port", str(front.port))
    if front.kind == VLLM_ROUTER:
        policy = () if has(more, "--policy") else ("--policy", "round_robin")
        urls = [("--prefill", url_of(*one)) for one in prefill]
        urls += [("--decode", url_of(*one)) for one in decode]
        flat = tuple(word for pair in urls for word in pair)
        return (VLLM_ROUTER, "--vllm-pd-disaggregation", *flat, *policy, *here, *more)
    lists = [
        *("--prefiller-hosts", *(host for host, _ in prefill)),
        *("--prefiller-ports", *(str(port) for _, port in prefill)),
        *("--decoder-hosts", *(host for host, _ in decode)),
        *("--decoder-ports", *(str(port) for _, port in decode)),
    ]
    return ("python", front.script, *here, *lists, *more)


def _targets(
    site: Site, servers: Sequence[Process], role: str, where: str
) -> tuple[tuple[str, int], ...]:
    """Address and port of each server of a role that answers requests."""
    found = tuple(
        (site.hosts[one.node].address, one.port)
        for one in servers
        if one.role == role and not one.headless
    )
    if not found:
        raise UserError(f"{where}: no {role} server answers requests; start one without --headless")
    return found
