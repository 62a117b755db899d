"""Give servers that share a host their own devices. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ci.errors import CaseError, Problem
from ci.plan.validate import problem_of
from ci.vllm.command_line import parallel
from ci.vllm.devices import VISIBLE, devices_of, uses_ray, visible
from ci.vllm.programs import is_script

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ci.case.model import Case
    from ci.plan.model import PlannedProcess


def with_devices(
    case: Case, kinds: Mapping[str, str], servers: Sequence[PlannedProcess]
) -> tuple[PlannedProcess, ...]:
    """Give each server of a shared host the next devices of it, from device 0 on.

    All other servers have their devices before those for decode. The servers of a host stay as they
    are if one of them chooses its devices itself, or if their number is unknown: a script starts a
    server, or Ray places it.

    Args:
        case: has the number of devices of a host, 0 if it is unknown.
        kinds: host → the kind of its devices; the case's where it is missing.
        servers: in the order of the case.

    Raises:
        CaseError: a host has fewer devices than its servers need.
    """
    given: dict[str, dict[str, str]] = {}
    for host, sharing in _shared(servers).items():
        kind = kinds.get(host) or case.device or ""
        if kind in VISIBLE and all(_is_known(server, kind) for server in sharing):
            needs = {server.name: _need(server) for server in _in_order(sharing)}
            _require(case, host, kind, sharing, needs)
            given |= _next_devices(VISIBLE[kind], needs)
    return tuple(
        replace(server, env={**server.env, **given.get(server.name, {})}) for server in servers
    )


def device_warnings(
    case: Case, kinds: Mapping[str, str], servers: Sequence[PlannedProcess]
) -> Iterator[Problem]:
    """Yield a warning for each shared host whose servers may use the same device.

    Args: as `with_devices`; servers with their devices.
    """
    for host, sharing in _shared(servers).items():
        kind = kinds.get(host) or case.device or ""
        if kind in VISIBLE:
            message = _partly_chosen(sharing, VISIBLE[kind]) or _chosen_twice(sharing, kind)
            if message:
                yield problem_of(case, sharing[-1].name, f"on {host}, {message}")


def _partly_chosen(sharing: Sequence[PlannedProcess], variable: str) -> str:
    """Describe servers that see all devices beside servers that choose theirs."""
    choosing = [server.name for server in sharing if variable in server.env]
    others = [server.name for server in sharing if variable not in server.env and _need(server)]
    if not choosing or not others:
        return ""
    return (
        f"{', '.join(choosing)} set{'s' * (len(choosing) == 1)} {variable} and may use the same "
        f"devices as {', '.join(others)} without it; set it for all of them, or for none: then "
        "each gets devices of its own"
    )


def _chosen_twice(sharing: Sequence[PlannedProcess], kind: str) -> str:
    """Describe servers of two nodes of the case that choose the same device."""
    taken: dict[str, PlannedProcess] = {}
    for server in sharing:
        for device in visible(server.env, kind) or ():
            other = taken.setdefault(device, server)
            if other.node != server.node:
                return (
                    f"{other.name} and {server.name} both use device {device}; give each its own "
                    f"with {VISIBLE[kind]}"
                )
    return ""


def _shared(servers: Sequence[PlannedProcess]) -> dict[str, list[PlannedProcess]]:
    """Return host → its servers, for the hosts of several."""
    by_host: dict[str, list[PlannedProcess]] = {}
    for server in servers:
        by_host.setdefault(server.host, []).append(server)
    return {host: sharing for host, sharing in by_host.items() if len(sharing) > 1}


def _is_known(server: PlannedProcess, kind: str) -> bool:
    """Return whether a server leaves the choice to the plan, and its number of devices is known."""
    chosen = VISIBLE[kind] in server.env
    return not (chosen or is_script(server.argv) or uses_ray(server.argv))


def _in_order(sharing: Sequence[PlannedProcess]) -> list[PlannedProcess]:
    return sorted(sharing, key=lambda server: server.role == "decode")


def _need(server: PlannedProcess) -> int:
    """Return the number of devices of a server; 0 for an API server without ranks."""
    share = parallel(server.argv)
    return 0 if share and share.local == 0 else devices_of(server.argv)


def _next_devices(variable: str, needs: Mapping[str, int]) -> dict[str, dict[str, str]]:
    given, first = {}, 0
    for name, need in needs.items():
        # A server without ranks keeps seeing all devices: with none, vLLM finds no platform.
        if need:
            given[name] = {variable: ",".join(map(str, range(first, first + need)))}
        first += need
    return given


def _require(
    case: Case,
    host: str,
    kind: str,
    sharing: Sequence[PlannedProcess],
    needs: Mapping[str, int],
) -> None:
    total, have = sum(needs.values()), case.npu_per_node
    if have and total > have:
        each = ", ".join(f"{name} {need}" for name, need in needs.items())
        message = (
            f"the servers on {host} need {total} {kind} devices ({each}), but npu_per_node is "
            f"{have}; lower their parallel sizes, start fewer of them, or use more hosts"
        )
        raise CaseError((problem_of(case, sharing[-1].name, message),))
