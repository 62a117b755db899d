"""Separate prefill and decode servers: their roles, masters and router. Pure.

The rules are those of vllm-ascend's own runner, except for headless servers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from ci.case.command_line import Arguments, CommandLine
from ci.case.model import CHECKOUT, Router
from ci.case.shell import Started, understand, words_of
from ci.documents.strict import Strict
from ci.documents.values import Env, Index, Port

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ci.case.model import Node, Role

PROXY = "examples/disaggregated_prefill_v1/load_balance_proxy_server_example.py"
PROXY_VARIABLE = "DISAGGREGATED_PREFILL_PROXY_SCRIPT"
_HEALTH = {"script": "/healthcheck", "vllm-router": "/health", "command": "/health"}


class Disaggregation(Strict):
    """`disaggregated_prefill`: which hosts prefill and which decode.

    `ranktable_gen_path` and `ranktable_path` occur in the oldest files and have no effect.
    """

    enabled: bool = True
    prefiller_host_index: list[Index] = Field(default_factory=list)
    decoder_host_index: list[Index] = Field(default_factory=list)
    ranktable_gen_path: str | None = None
    ranktable_path: str | None = None


class RouterEntry(Strict):
    """`router`: the process in front of prefill and decode servers."""

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
    prove_health: bool = False


def roles(disaggregation: Disaggregation, headless: Sequence[bool]) -> tuple[Role, ...]:
    """Return the role of each server.

    A headless server in neither list has the role of its head: the nearest server before it that
    is not headless.
    """
    result: list[Role] = []
    for index, is_headless in enumerate(headless):
        if index in disaggregation.prefiller_host_index:
            result.append("prefill")
        elif index in disaggregation.decoder_host_index:
            result.append("decode")
        else:
            head = _head_before(index, headless)
            result.append(result[head] if is_headless and head < index else "mixed")
    return tuple(result)


def master(
    index: int, disaggregation: Disaggregation, roles: Sequence[Role], headless: Sequence[bool]
) -> int:
    """Return the host of `$MASTER_IP`: host 0 for prefill, the first decoder's for all others.

    For a headless prefill server in neither list it is the host of its head.
    """
    if index in disaggregation.prefiller_host_index:
        return 0
    if roles[index] == "prefill":
        return _head_before(index, headless)
    return disaggregation.decoder_host_index[0]


def router(entry: RouterEntry | None, nodes: Sequence[Node], taken: Collection[int]) -> Router:
    """Make the router of a case with separate prefill and decode servers.

    Args:
        entry: the file's `router`, if any.
        nodes: the servers.
        taken: ports that servers use on the router's host.
    """
    settings = entry or RouterEntry()
    own = next((node.env for node in nodes if node.host == settings.host), {})
    free = next(port for port in range(1999, 65536) if port not in taken)
    script = settings.script or own.get(PROXY_VARIABLE) or PROXY
    # A script of the operator's own may be on hosts without vllm-ascend.
    elsewhere = script.startswith("/") and not script.startswith(f"{CHECKOUT}/")
    checkout = "" if settings.kind != "script" or elsewhere else CHECKOUT
    words = Started(tuple(words_of(settings.arguments)))
    if settings.kind == "command" and settings.command:
        words = understand(settings.command)
    return Router(
        kind=settings.kind,
        script=script if settings.kind == "script" else "",
        folder=settings.folder or checkout,
        argv=words.argv,
        env=own | (settings.envs or {}),
        host=settings.host,
        port=settings.port or free,
        health_path=settings.health_path or _HEALTH[settings.kind],
        prove_health=settings.prove_health,
        key_path="router" if entry else "disaggregated_prefill",
        env_script=words.env_script,
    )


def _head_before(index: int, headless: Sequence[bool]) -> int:
    """Return the nearest server before this that is not headless; itself if there is none."""
    return next((head for head in range(index - 1, -1, -1) if not headless[head]), index)
