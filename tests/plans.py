"""Plans for tests, built as a night's plan is: from the keys of a case, for made-up hosts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ci.case.load import parse
from ci.inventory.target import Target
from ci.plan.build import build
from ci.plan.inputs import PlanInputs
from ci.plan.model import Host, Preparation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.case.model import Case
    from ci.plan.model import Plan


def preparation(name: str, host: str, kind: str = "environment", path: str = "") -> Preparation:
    return Preparation(name, host, kind, path or f"/w/envs/{name}", "f", {})


def case_of(*commands: str | tuple, npu_per_node: int = 4, **keys: object) -> Case:
    """Read a case of these servers; a server with further keys is a pair."""
    servers = "\n".join(
        f"  - {{server_cmd: '{command}', {', '.join(f'{k}: {v}' for k, v in more.items())}}}"
        for command, more in (item if isinstance(item, tuple) else (item, {}) for item in commands)
    )
    more = "\n".join(f"{key}: {value}" for key, value in keys.items())
    head = f"test_name: t\nmodel: m\nnum_nodes: {len(commands)}\nnpu_per_node: {npu_per_node}\n"
    return parse(f"{head}{more}\ndeployment:\n{servers}\n".encode(), "c.yaml")[0]


def site_of(
    names: Sequence[str] | int, *, interface: str = "eth0", workspace: str = "/w", **more: object
) -> PlanInputs:
    """Make up hosts, by name or by number; `{}` in `workspace` is the number of the host."""
    names = [f"n{at}" for at in range(names)] if isinstance(names, int) else names
    number = {name: at + 1 for at, name in enumerate(dict.fromkeys(names))}
    settings = {
        "targets": tuple(Target(name, name) for name in names),
        "hosts": tuple(
            Host(name, f"10.0.0.{number[name]}", interface, workspace.format(number[name]))
            for name in names
        ),
        "serving": {},
        "tools": {},
        "model": {},
        "datasets": {},
    }
    return PlanInputs(**(settings | more))


def plan_of(
    *commands: str | tuple, names: Sequence[str] = (), site: dict | None = None, **keys: object
) -> Plan:
    """Plan these servers on hosts of these names; `site` is further arguments of `site_of`."""
    return build(case_of(*commands, **keys), site_of(names or len(commands), **(site or {})))


def with_servers(plan: Plan, **changes: object) -> Plan:
    """Change every server of a plan."""
    return replace(plan, servers=tuple(replace(server, **changes) for server in plan.servers))
