"""Assign a host to each node of a case: from `cluster_hosts`, --cluster or --local."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ci.documents.counted import counted
from ci.documents.nearest import nearest
from ci.errors import UserError
from ci.inventory import cluster_file
from ci.inventory.cluster_file import inline, this_machine
from ci.paths import VARIABLE_IN_WORKSPACE, workspace_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.case.model import Case
    from ci.inventory.target import Target

REMOTE_WORKSPACE = "~/.cache/lamplighter"


def assign_hosts(  # noqa: PLR0913 - each is a plain choice of the operator
    case: Case,
    *,
    local: bool,
    cluster: str,
    workspace: str,
    allocated: Sequence[Target] = (),
    on: str = "",
) -> tuple[Target, ...]:
    """Assign a host to each node. Reads a cluster file; connects to no host.

    Args:
        case: its nodes, and the hosts that it names.
        local: use this machine for all nodes.
        cluster: name or path of a cluster file; empty to use the case's hosts.
        workspace: folder on every host; empty to use the cluster file's, else the default.
        allocated: the hosts that Slurm has given for a cluster file with `slurm:`; empty before
            that, for stand-ins.
        on: names of the cluster's hosts in the order of the nodes, separated by commas; empty to
            use the case's, else the first ones of the cluster file.

    Raises:
        UserError: there are no hosts or too few, or two nodes have the same host.
        CaseError: the cluster file is not valid.
    """
    if local and cluster:
        raise UserError(
            "--local and --cluster: give only one of them; --local uses only this machine"
        )
    if local:
        chosen: Sequence[Target] = (this_machine(),) * case.num_hosts
    elif on:
        chosen = chosen_of(allocated, on) if allocated else named_hosts(cluster, on)
        if len(chosen) != case.num_hosts:
            raise UserError(
                f"--on {on}: {case.path} has {counted(case.num_hosts, 'node')}; name a host for "
                "each of them"
            )
    elif cluster:
        chosen = _of_cluster(case, cluster, allocated)
    else:
        chosen = _of_case(case)
    _refuse_duplicates(case, chosen, cluster)
    return tuple(replace(target, workspace=_workspace(target, workspace)) for target in chosen)


def chosen_of(allocated: Sequence[Target], on: str) -> list[Target]:
    """Return the hosts that `--on` names, of those that Slurm has given; all without it.

    Raises:
        UserError: one is not among them.
    """
    if not on:
        return list(allocated)
    by_name = {target.name: target for target in allocated}
    names = [name.strip() for name in on.split(",") if name.strip()]
    missing = [name for name in names if name not in by_name]
    if missing:
        there = ", ".join(by_name)
        raise UserError(f"--on {on}: Slurm has no {', '.join(missing)} for it; it has {there}")
    return [by_name[name] for name in names]


def named_hosts(cluster: str, on: str) -> list[Target]:
    """Return the hosts of a cluster that `--on` names, in its order.

    Raises:
        UserError: there is no cluster, or it has no such host.
        CaseError: the cluster file is not valid.
    """
    if not cluster:
        raise UserError(f"--on {on}: names hosts of a cluster file; add --cluster NAME")
    path = cluster_file.find(cluster)
    targets = {target.name: target for target in cluster_file.load(path)}
    names = [name.strip() for name in on.split(",") if name.strip()]
    for name in names:
        if name not in targets:
            near = nearest(name, targets)
            guess = f"did you mean {near!r}? " if near else ""
            raise UserError(f"--on {name}: not in {path}; {guess}There are: {', '.join(targets)}")
    return [targets[name] for name in names]


def _of_case(case: Case) -> list[Target]:
    if not case.hosts:
        flags = "--cluster NAME, or --local to run on this machine"
        if not case.may_name_hosts:
            raise UserError(f"{case.path}: this kind of case file cannot name hosts; give {flags}")
        entry = f"`cluster_hosts: [{', '.join(['HOST'] * case.num_hosts)}]`"
        raise UserError(f"{case.path}: names no hosts; add {entry}, or give {flags}")
    return [inline(entry) for entry in case.hosts]


def _of_cluster(case: Case, cluster: str, allocated: Sequence[Target]) -> list[Target]:
    path = cluster_file.find(cluster)
    found = cluster_file.load_cluster(path)
    if found.slurm:
        found.slurm.count(case.num_hosts)  # refuses a file that asks for too few
        by_name = {target.name: target for target in allocated}
        if case.hosts and all(name in by_name for name in case.hosts):
            return [by_name[name] for name in case.hosts]
        return list(allocated or found.slurm.on_paper(case.num_hosts))[: case.num_hosts]
    targets = {target.name: target for target in found.targets}
    unlisted = [name for name in case.hosts if name not in targets]
    if case.hosts and not unlisted:
        return [targets[name] for name in case.hosts]
    if len(unlisted) < len(case.hosts):
        near = nearest(unlisted[0], targets)
        guess = f"did you mean {near!r}? " if near else ""
        raise UserError(
            f"{case.path}: cluster_hosts: {', '.join(unlisted)} not in {path}, but the others "
            f"are; {guess}There are: {', '.join(targets)}",
        )
    if len(targets) < case.num_hosts:
        raise UserError(
            f"{path}: has {counted(len(targets), 'host')} ({', '.join(targets)}), but "
            f"{case.path} has {counted(case.num_hosts, 'node')}; add hosts, or choose "
            "another --cluster",
        )
    return list(targets.values())[: case.num_hosts]


def _refuse_duplicates(case: Case, chosen: Sequence[Target], cluster: str) -> None:
    """Refuse the same host for two nodes, unless it is this machine."""
    by_connection: dict[tuple[str, int | None, str | None], int] = {}
    for node, target in enumerate(chosen):
        if target.is_local:
            continue
        connection = (target.address, target.port, target.jump)
        other = by_connection.setdefault(connection, node)
        if other != node:
            names = list(dict.fromkeys((chosen[other].name, target.name)))
            if cluster and len(names) > 1:
                names = [f"{name} ({_place(cluster, name)})" for name in names]
            key = "" if cluster else "cluster_hosts: "
            raise UserError(
                f"{case.path}: {key}nodes {other} and {node} would both run on "
                f"{' alias '.join(names)}; name another host for one of them",
            )


def _place(cluster: str, name: str) -> str:
    return cluster_file.place_of(cluster_file.find(cluster), name)


def _workspace(target: Target, chosen: str) -> str:
    if target.is_local:
        return workspace_of(chosen or (target.workspace or ""))
    folder = chosen or target.workspace or REMOTE_WORKSPACE
    if "$" in folder:
        raise UserError(f"--workspace {folder} {VARIABLE_IN_WORKSPACE}")
    if folder != "~" and not folder.startswith(("/", "~/")):
        raise UserError(
            f"--workspace {folder}: not an absolute path on {target.name}; begin it with / or ~/",
        )
    return folder
