"""Which host each node of a case gets: `cluster_hosts`, --cluster or --local → targets."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ci.documents.wording import nearest
from ci.errors import UserError
from ci.inventory import cluster_file
from ci.inventory.cluster_file import inline, this_machine
from ci.paths import VARIABLE_IN_WORKSPACE, workspace_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.case.model import Case
    from ci.inventory.target import Target

REMOTE_WORKSPACE = "~/.cache/lamplighter"


def nodes_of(case: Case, *, local: bool, cluster: str, workspace: str) -> tuple[Target, ...]:
    """Choose the host of each node. Reads a cluster file; asks no host.

    Args:
        case: with its nodes, and the hosts that it names.
        local: this machine for all.
        cluster: a cluster file's name or path; empty takes the hosts that the case names.
        workspace: on every host; empty takes what the cluster file says, else the default.

    Raises:
        UserError: too few hosts, none, or one for several nodes.
        CaseError: the cluster file is unsound.
    """
    if local and cluster:
        raise UserError("--local and --cluster: give one of them; --local is this machine alone")
    if local:
        chosen: Sequence[Target] = (this_machine(),) * case.num_hosts
    elif cluster:
        chosen = _of_cluster(case, cluster)
    else:
        chosen = _of_case(case)
    _refuse_twice(case, chosen)
    return tuple(replace(one, workspace=_workspace(one, workspace)) for one in chosen)


def _of_case(case: Case) -> list[Target]:
    if not case.hosts:
        flags = "--cluster NAME, or --local to run on this machine"
        if not case.may_name_hosts:
            raise UserError(f"{case.path}: a file of this form names no hosts; give {flags}")
        entry = f"`cluster_hosts: [{', '.join(['HOST'] * case.num_hosts)}]`"
        raise UserError(f"{case.path}: names no hosts; add {entry}, or give {flags}")
    return [inline(entry) for entry in case.hosts]


def _of_cluster(case: Case, cluster: str) -> list[Target]:
    path = cluster_file.find(cluster)
    targets = {target.name: target for target in cluster_file.load(path)}
    strangers = [name for name in case.hosts if name not in targets]
    if case.hosts and not strangers:
        return [targets[name] for name in case.hosts]
    if len(strangers) < len(case.hosts):
        near = nearest(strangers[0], targets)
        guess = f"did you mean {near!r}? " if near else ""
        raise UserError(
            f"{case.path}: cluster_hosts: {', '.join(strangers)} not in {path}, though the others "
            f"are; {guess}There are: {', '.join(targets)}",
        )
    if len(targets) < case.num_hosts:
        raise UserError(
            f"{path}: has {len(targets)} hosts ({', '.join(targets)}), but {case.path} has "
            f"{case.num_hosts} nodes; add hosts, or choose another --cluster",
        )
    return list(targets.values())[: case.num_hosts]


def _refuse_twice(case: Case, chosen: Sequence[Target]) -> None:
    """One host for two nodes is somebody's slip, unless it is this machine."""
    by_way: dict[tuple[str, int | None, str | None], int] = {}
    for node, target in enumerate(chosen):
        if target.is_local:
            continue
        way = (target.address, target.port, target.jump)
        other = by_way.setdefault(way, node)
        if other != node:
            names = dict.fromkeys((chosen[other].name, target.name))
            raise UserError(
                f"{case.path}: nodes {other} and {node} would both run on {' alias '.join(names)}; "
                "name another host for one of them",
            )


def _workspace(target: Target, chosen: str) -> str:
    if target.is_local:
        return workspace_of(chosen or (target.workspace or ""))
    folder = chosen or target.workspace or REMOTE_WORKSPACE
    if "$" in folder:
        raise UserError(f"--workspace {folder} {VARIABLE_IN_WORKSPACE}")
    if folder != "~" and not folder.startswith(("/", "~/")):
        raise UserError(
            f"--workspace {folder}: on {target.name} it has to be a whole path, /… or ~/…",
        )
    return folder
