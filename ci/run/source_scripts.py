"""Source the environment scripts of a plan on their hosts, once per run."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

from ci.agent.ask_all import gather
from ci.connect.fan_out import all_of
from ci.connect.printed import one_line
from ci.errors import InfrastructureError, LamplighterError
from ci.plan.model import CLIENT_KEY
from ci.vllm.api import KEY_VARIABLE, key_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci.plan.model import Plan, PlannedProcess
    from ci.record.record import Record
    from ci.run.processes import Processes

TIMEOUT_S = 60.0
MARGIN_S = 15.0
SHOWN_CHARS = 400

Scripts = tuple[str, ...]


def source_scripts(plan: Plan, processes: Processes, record: Record) -> None:
    """Source every host's scripts, all hosts in parallel; `processes.sourced` gets the changes.

    Servers, router, services and tools run below the resulting environment. Preparations do not:
    they make environments of their own.

    Args:
        plan: the plan of the night.
        processes: the processes of the run.
        record: gets a step, if there are scripts.

    Raises:
        InfrastructureError: a script failed; the message names host and script, with its output.
    """
    needed = [(process.host, process.env_script) for process in plan.processes]
    needed += [(item.host, item.env_script) for item in plan.evaluations]
    asked = [item for item in dict.fromkeys(needed) if item[1]]
    if not asked:
        return
    with record.step("source the environment scripts"):
        agents = processes.agents
        futures = [
            (
                f"{host} {number}",
                agents[host],
                "source",
                agents[host].ask(
                    "source", scripts=[shlex.split(item) for item in scripts], timeout_s=TIMEOUT_S
                ),
            )
            for number, (host, scripts) in enumerate(asked)
        ]
        answers = gather(futures, TIMEOUT_S + MARGIN_S)
        outcomes = {
            key: answer
            if isinstance(answer, LamplighterError)
            else environment_of(answer.value, agent.host)
            for (key, agent, _, _), answer in zip(futures, answers.values(), strict=True)
        }
        changes = all_of(outcomes)
        processes.sourced.update(zip(asked, changes.values(), strict=True))


def with_keys(plan: Plan, processes: Processes) -> Plan:
    """Give the servers' API keys that only environment scripts set to their clients, too.

    Args:
        plan: the plan of the night.
        processes: after `source_scripts`.
    """

    def keyed(process: PlannedProcess) -> PlannedProcess:
        key = processes.sourced.get((process.host, process.env_script), {}).get(KEY_VARIABLE)
        if not key or key_of(process.argv, process.env):
            return process
        return replace(process, env={**process.env, KEY_VARIABLE: key})

    servers = tuple(map(keyed, plan.servers))
    key = next(filter(None, (server.access.key for server in servers)), "")
    router = plan.router
    if router and key:
        router = replace(router, env={CLIENT_KEY: key, **router.env})
    return replace(plan, servers=servers, router=router)


def environment_of(answer: object, host: str) -> Mapping[str, str | None] | InfrastructureError:
    """Read a host's answer: what its scripts changed, or why they failed."""
    reply = answer if isinstance(answer, dict) else {}
    env = reply.get("env")
    if isinstance(env, dict) and all(isinstance(value, str | None) for value in env.values()):
        return env
    script, problem = (one_line(str(reply.get(key, "?"))) for key in ("script", "problem"))
    output = one_line(str(reply.get("output", "")))[-SHOWN_CHARS:]
    printed = f": {output}" if output else ""
    return InfrastructureError(
        f"{host}: the environment script {script} {problem}{printed}; try `bash -c '. {script}'` "
        "there, then repair it, or correct env_script in the case or the cluster file"
    )
