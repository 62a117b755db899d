"""Prefill and decode on servers of their own: who does what, reports to whom, and the router. Pure.

The rules are the field's own runner's, except where a headless server is concerned.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from ci.case.command_line import Arguments, CommandLine
from ci.case.model import CHECKOUT, Router
from ci.documents.strict import Strict
from ci.documents.values import Env, Index, Port

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ci.case.model import Node, Role

PROXY = "examples/disaggregated_prefill_v1/load_balance_proxy_server_example.py"
PROXY_VARIABLE = "DISAGGREGATED_PREFILL_PROXY_SCRIPT"
_HEALTH = {"script": "/healthcheck", "vllm-router": "/health", "command": "/health"}


class Separation(Strict):
    """`disaggregated_prefill`: which hosts prefill and which decode.

    `ranktable_gen_path` and `ranktable_path` are of the oldest files; nothing reads them.
    """

    enabled: bool = True
    prefiller_host_index: list[Index] = Field(default_factory=list)
    decoder_host_index: list[Index] = Field(default_factory=list)
    ranktable_gen_path: str | None = None
    ranktable_path: str | None = None


class RouterEntry(Strict):
    """`router`: what stands in front of prefill and decode servers, where it is to be chosen."""

    kind: Literal["script", "vllm-router", "command"] = "script"
    script: Annotated[str, Field(min_length=1)] | None = None
    folder: Annotated[str, Field(pattern="^/")] | None = Field(
        default=None,
        description="working folder on the host; a relative `script` is relative to it",
    )
    command: CommandLine | None = None
    arguments: Arguments = ""
    envs: Env | None = None
    host: Index = 0
    port: Port | None = None
    health_path: Annotated[str, Field(pattern="^/")] | None = None


def roles(separation: Separation, headless: Sequence[bool]) -> tuple[Role, ...]:
    """What each server does.

    One that is headless and in no list does what its head does, the nearest before it that answers.
    """
    found: list[Role] = []
    for at, without_api in enumerate(headless):
        if at in separation.prefiller_host_index:
            found.append("prefill")
        elif at in separation.decoder_host_index:
            found.append("decode")
        else:
            head = _head_before(at, headless)
            found.append(found[head] if without_api and head < at else "mixed")
    return tuple(found)


def master(at: int, separation: Separation, roles: Sequence[Role], headless: Sequence[bool]) -> int:
    """The host that `$MASTER_IP` names: host 0 for prefill, the first decoder's for all others.

    A headless prefill server in neither list is served by its own head instead.
    """
    if at in separation.prefiller_host_index:
        return 0
    if roles[at] == "prefill":
        return _head_before(at, headless)
    return separation.decoder_host_index[0]


def router(entry: RouterEntry | None, nodes: Sequence[Node], taken: Collection[int]) -> Router:
    """The router of a case whose prefill and decode are separated.

    Args:
        entry: the file's own wish.
        nodes: the servers.
        taken: ports of the router's host that servers listen on.
    """
    wish = entry or RouterEntry()
    own = next((node.env for node in nodes if node.host == wish.host), {})
    free = next(port for port in range(1999, 65536) if port not in taken)
    words = wish.command if wish.kind == "command" else wish.arguments
    return Router(
        kind=wish.kind,
        script=(wish.script or own.get(PROXY_VARIABLE) or PROXY) if wish.kind == "script" else "",
        folder=wish.folder or (CHECKOUT if wish.kind == "script" else ""),
        argv=tuple(shlex.split(words or "")),
        env=own | (wish.envs or {}),
        host=wish.host,
        port=wish.port or free,
        health_path=wish.health_path or _HEALTH[wish.kind],
        where="router" if entry else "disaggregated_prefill",
    )


def _head_before(at: int, headless: Sequence[bool]) -> int:
    """The nearest server before this one that answers requests; itself where there is none."""
    return next((one for one in range(at - 1, -1, -1) if not headless[one]), at)
