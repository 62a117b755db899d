"""Define `routing` of an `external_dp` file: the roles of the hosts, and the router. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ci.case.disaggregation import PROXY
from ci.case.model import Router
from ci.documents.strict import Strict
from ci.documents.values import Index

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ci.case.external_dp.ranks import HostRanks
    from ci.case.model import Role
    from ci.documents.source import Source
    from ci.errors import Problem

ROUTER_HOST = 0
ROUTER_PORT = 1999
_HEALTH = "/healthcheck"
# In vllm-ascend before July 2026.
_GENERIC = "examples/external_online_dp/dp_load_balance_proxy_server.py"
_GROUPS = {"disaggregated_prefill": ("prefiller", "decoder"), "generic_dp": ("worker",)}
_ROLES: Mapping[str, Role] = {"prefiller": "prefill", "decoder": "decode", "worker": "mixed"}


class Groups(Strict):
    """`routing.groups`: the indices of the hosts of each group."""

    prefiller: list[Index] | None = None
    decoder: list[Index] | None = None
    worker: list[Index] | None = None


class Routing(Strict):
    """`routing`: how requests are distributed."""

    type: Literal["disaggregated_prefill", "generic_dp"] = Field(
        description="it is disaggregated_prefill or generic_dp",
    )
    groups: Groups = Field(description="it names the hosts of each group")
    prove_health: bool = False


def roles(routing: Routing) -> dict[int, Role]:
    """Return host → role."""
    return {
        index: _ROLES[name]
        for name in _GROUPS[routing.type]
        for index in getattr(routing.groups, name) or ()
    }


def router(routing: Routing, members: Mapping[int, HostRanks]) -> Router:
    """Make the router in front of the servers, on host 0.

    Args:
        routing: without `errors`.
        members: host → its ranks.
    """
    if routing.type == "disaggregated_prefill":
        return Router(
            kind="script",
            script=PROXY,
            host=ROUTER_HOST,
            port=ROUTER_PORT,
            health_path=_HEALTH,
            prove_health=routing.prove_health,
            key_path="routing",
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
        prove_health=routing.prove_health,
        key_path="routing",
    )


def _other_type(type_: str, named: set[str]) -> str:
    """Say which `type` has the groups that a file names, and what to write for its own."""
    right = next((name for name, groups in _GROUPS.items() if named <= set(groups)), "")
    has = f"{type_} has the group{'s' * (len(_GROUPS[type_]) > 1)} {' and '.join(_GROUPS[type_])}"
    change = f"write {right}, or list" if right else "list"
    names = " and ".join(name for name in Groups.model_fields if name in named)
    return f"{has}, but `groups` names {names}; {change} the hosts under its own names"


def errors(routing: Routing, hosts: int, source: Source) -> Iterator[Problem]:
    """Report empty groups, hosts in no group or in two, and unknown hosts.

    Args:
        routing: with keys of the right types.
        hosts: number of entries of `config`; 0 to skip checks of hosts.
        source: the file.
    """
    named = {name for name in Groups.model_fields if getattr(routing.groups, name) is not None}
    if named and not named & set(_GROUPS[routing.type]):
        yield source.at_value(("routing", "type"), _other_type(routing.type, named))
        return
    seen: dict[int, str] = {}
    wrong = False
    for name in Groups.model_fields:
        path, indices = ("routing", "groups", name), getattr(routing.groups, name)
        if name not in _GROUPS[routing.type]:
            if indices is not None:
                needed = " and ".join(_GROUPS[routing.type])
                yield source.at_key(
                    path, f"{routing.type} has no such group, it has {needed}; remove it"
                )
            continue
        if not indices:
            yield source.at_key(path, "names no host; give the index of at least one")
        for position, index in enumerate(indices or ()):
            if 0 < hosts <= index:
                message = f"there is no host {index}; indices are 0 to {hosts - 1}"
                yield source.at_value((*path, position), message)
            elif index in seen:
                message = f"host {index} is already in {seen[index]!r}; name it once"
                yield source.at_value((*path, position), message)
            wrong |= index in seen or 0 < hosts <= index
            seen.setdefault(index, name)
    lost = [str(index) for index in range(hosts) if index not in seen]
    if lost and not wrong:
        message = f"host {', '.join(lost)} is in no group; add every host to a group"
        yield source.at_key(("routing", "groups"), message)
