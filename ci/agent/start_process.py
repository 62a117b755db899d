"""Start a process on a host, under a supervisor of its own."""

from __future__ import annotations

import secrets
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ci.agent.answers import Refusal, result_of
from ci.agent.process import RemoteProcess
from ci.errors import HostBusy, InfrastructureError, LamplighterError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ci.agent.client import Agent
    from ci.agent.process_spec import ProcessSpec

START_S = 30.0
# Kind of refusal → what to do.
ADVICE = {
    "exec": "see that the command exists there and may be executed",
    "workspace": "see that its workspace {workspace} can be written and has room, or set another "
    "`workspace:` in the cluster file",
    "temporary": "see that the host's TMPDIR can be written and has room: change it where the host "
    "sets it, or unset it there to have /tmp",
    "exists": "give the process another name; if it is new, another host has this one's name and "
    "/etc/machine-id and shares its workspace: give it a hostname of its own",
    "spec": "use letters, digits, dots, dashes and underscores",
}


def start(
    agent: Agent, spec: ProcessSpec, on_end: Callable[[RemoteProcess], None]
) -> RemoteProcess:
    """Start a process; returns after its exec.

    Args:
        agent: the host.
        spec: the process.
        on_end: called exactly once, from another thread, as soon as the process ends for any
            reason (`stop` included) or contact with it is lost (`state.state == "lost"`).

    Raises:
        HostBusy: another run holds the host.
        InfrastructureError: it could not be started; the message has the reason.
    """
    process = RemoteProcess(agent, spec, on_end)
    # If the answer is lost with the connection, the request is sent again: by the token the host
    # knows that it is the same process.
    body = {**asdict(spec), "workspace": agent.workspace, "token": secrets.token_hex(8)}
    # Its end may be reported right after its start.
    reply = agent.ask_and_listen("start", "state", process.folder, process.take_state, spec=body)
    try:
        answer = result_of(agent, "start", reply, START_S)
    except Refusal as refusal:
        agent.forget("state", process.folder)
        raise _refused(agent, spec.process, refusal.details) from None
    except LamplighterError:
        agent.forget("state", process.folder)
        raise
    process.started(answer)
    return process


def _refused(agent: Agent, process: str, details: Mapping[str, Any]) -> InfrastructureError:
    if details.get("kind") == "busy":
        return HostBusy(agent.host, details.get("holder") or {})
    advice = ADVICE.get(details.get("kind", ""), "see the host").format(workspace=agent.workspace)
    return InfrastructureError(
        f"{agent.host}: cannot start {process}: {details.get('error')}; {advice}"
    )
