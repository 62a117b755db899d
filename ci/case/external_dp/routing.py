"""`routing` of an `external_dp` file: which hosts prefill, which decode, and what stands before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ci.case.disaggregation import PROXY
from ci.case.model import Router
from ci.documents.strict import Strict
from ci.documents.values import Index

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ci.case.external_dp.ranks import Member
    from ci.case.model import Role
    from ci.documents.source import Source
    from ci.errors import Problem

ROUTER_HOST = 0
ROUTER_PORT = 1999
_HEALTH = "/healthcheck"
# Served by versions of the field before July 2026.
_GENERIC = "examples/external_online_dp/dp_load_balance_proxy_server.py"
_GROUPS = {"disaggregated_prefill": ("prefiller", "decoder"), "generic_dp": ("worker",)}
_ROLES: Mapping[str, Role] = {"prefiller": "prefill", "decoder": "decode", "worker": "mixed"}


class Groups(Strict):
    """`routing.groups`: the indices of the hosts of each group."""

    prefiller: list[Index] | None = None
    decoder: list[Index] | None = None
    worker: list[Index] | None = None


class Routing(Strict):
    """`routing`: how requests are spread."""

    type: Literal["disaggregated_prefill", "generic_dp"] = Field(
        description="it is disaggregated_prefill or generic_dp",
    )
    groups: Groups = Field(description="it names the hosts of each group")


def roles(routing: Routing) -> dict[int, Role]:
    """Host → what it does."""
    return {
        index: _ROLES[name]
        for name in _GROUPS[routing.type]
        for index in getattr(routing.groups, name) or ()
    }


def router(routing: Routing, members: Mapping[int, Member]) -> Router:
    """What stands before the servers, on host 0.

    Args:
        routing: without `defects`.
        members: host → its ranks.
    """
    if routing.type == "disaggregated_prefill":
        return Router(
            kind="script",
            script=PROXY,
            host=ROUTER_HOST,
            port=ROUTER_PORT,
            health_path=_HEALTH,
            where="routing",
        )
    targets = [(index, port) for index, member in members.items() for port in member.ports]
    own = ("--host", f"${{NODE_{ROUTER_HOST}_IP}}", "--port", str(ROUTER_PORT))
    return Router(
        kind="command",
        argv=(
            *("python3", _GENERIC, *own),
            *("--dp-hosts", *(f"${{NODE_{index}_IP}}" for index, _ in targets)),
            *("--dp-ports", *(str(port) for _, port in targets)),
        ),
        host=ROUTER_HOST,
        port=ROUTER_PORT,
        health_path=_HEALTH,
        where="routing",
    )


def defects(routing: Routing, hosts: int, source: Source) -> Iterator[Problem]:
    """Report empty groups, hosts of no group or of two, and hosts that are not there.

    Args:
        routing: whose keys are each of the right type.
        hosts: how many entries `config` has; 0 leaves them unchecked.
        source: where everything stands.
    """
    seen: dict[int, str] = {}
    for name in Groups.model_fields:
        path, indices = ("routing", "groups", name), getattr(routing.groups, name)
        if name not in _GROUPS[routing.type]:
            if indices is not None:
                needed = " and ".join(_GROUPS[routing.type])
                yield source.at_key(path, f"{routing.type} has no such group, it has {needed}")
            continue
        if not indices:
            yield source.at_key(path, "names no host; give the index of at least one")
        for position, index in enumerate(indices or ()):
            if 0 < hosts <= index:
                message = f"there is no host {index}; they count from 0 to {hosts - 1}"
                yield source.at_value((*path, position), message)
            elif index in seen:
                message = f"host {index} is in {seen[index]!r} already; name it once"
                yield source.at_value((*path, position), message)
            seen.setdefault(index, name)
    if lost := [str(index) for index in range(hosts) if index not in seen]:
        message = f"host {', '.join(lost)} is in no group; every entry of config needs one"
        yield source.at_key(("routing", "groups"), message)
