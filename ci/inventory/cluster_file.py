"""Read hosts from configs/clusters/*.yaml and from `cluster_hosts` of a case.

Reads cluster files; connects to no host.
"""

from __future__ import annotations

import difflib
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from ci.documents import address
from ci.documents.files import read_bytes
from ci.documents.messages import describe, problems
from ci.documents.source import read
from ci.errors import CaseError, UserError
from ci.inventory.cluster_model import SECTIONS, Cluster, HostEntry, Settings, SlurmCluster
from ci.inventory.slurm_hosts import ANY_NODE, ClusterHosts, hosts_of
from ci.inventory.target import LOCAL_ADDRESSES, Accelerator, Target
from ci.paths import CONFIGS, at_home_here

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails

    from ci.documents.source import Source
    from ci.errors import Problem
    from ci.inventory.cluster_model import AcceleratorEntry

CLUSTERS = CONFIGS / "clusters"
THIS_MACHINE = "localhost"


def find(name: str, folder: Path = CLUSTERS) -> Path:
    """Return the path of the cluster file that `--cluster` names.

    Args:
        name: a path, or the name of a file in the folder, with or without `.yaml`.
        folder: the folder of cluster files.

    Raises:
        UserError: the file does not exist; the message lists the closest and all names.
    """
    for path in (Path(name), folder / name, folder / f"{name}.yaml"):
        if name and _is_file(path):
            return path
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    near = difflib.get_close_matches(name.removesuffix(".yaml"), known)
    guess = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    there = f"there are: {', '.join(known)}" if known else "there are none"
    shown = os.path.relpath(folder)
    if name and _is_folder(Path(name)):
        raise UserError(
            f"--cluster {name}: is a folder; name a file in it, or one of {shown}, where {there}"
        )
    raise UserError(
        f"no cluster {name!r}, neither as a path nor in {shown}, where {there}.{guess} To write "
        f"a cluster file, start from {shown}/example.yaml",
    )


def load(path: Path) -> tuple[Target, ...]:
    """Read a cluster file: its hosts, in the order of the file.

    `identity` and `known_hosts` are paths on the controller, relative to the file's folder;
    `workspace` is a path on the host and stays as written.

    Raises:
        CaseError: the file is not a valid cluster file; has all problems found.
        UserError: the file cannot be read, or Slurm has the hosts.
    """
    return parse(read_bytes(path), str(path))


def load_cluster(path: Path) -> ClusterHosts:
    """Read a cluster file whose hosts may come from Slurm; raises as `load` does."""
    return parse_cluster(read_bytes(path), str(path))


def parse(data: bytes, path: str) -> tuple[Target, ...]:
    """Parse the hosts of a cluster file's bytes; raises as `load` does."""
    found = parse_cluster(data, path)
    if found.slurm:
        raise UserError(
            f"{path}: its hosts come from Slurm, and this command needs hosts that are known "
            "before; name a cluster file without `slurm:`"
        )
    return found.targets


def parse_cluster(data: bytes, path: str) -> ClusterHosts:
    """Parse a cluster file's bytes.

    Raises:
        CaseError: as for `load`.
    """
    source = read(data, path, "cluster")
    if not isinstance(source.value, dict):
        message = f"expected a mapping of keys to values, found {describe(source.value)}"
        raise CaseError((source.at_value((), message),))
    model = SlurmCluster if "slurm" in source.value else Cluster
    try:
        cluster = model.model_validate(source.value)
    except ValidationError as error:
        errors = problems(_with_plain_messages(error), source, SECTIONS)
        raise CaseError(tuple(sorted(errors, key=lambda item: (item.line, item.column)))) from error
    defaults = cluster.defaults or Settings()
    folder = Path(path).parent
    hosts = cluster.hosts or {}
    targets = {
        name: _target(name, entry or HostEntry(), defaults, folder) for name, entry in hosts.items()
    }
    if cycles := list(_jump_cycles(hosts, targets, source)):
        raise CaseError(tuple(cycles))
    listed = {
        name: replace(target, jump=_proxy_jump(name, targets)) for name, target in targets.items()
    }
    if not isinstance(cluster, SlurmCluster):
        return ClusterHosts(tuple(listed.values()))
    pattern = _target(ANY_NODE, HostEntry(), defaults, folder)
    jump = _proxy_jump(ANY_NODE, {**targets, ANY_NODE: pattern})
    addressed = {name for name, entry in hosts.items() if entry and entry.address}
    slurm = hosts_of(cluster.slurm, path, replace(pattern, jump=jump), listed, addressed)
    return ClusterHosts(tuple(listed.values()), slurm)


def place_of(path: Path, name: str) -> str:
    """Return `file:line` of a host in a cluster file that has been loaded before."""
    position = read(read_bytes(path), str(path), "cluster").keys["hosts", name]
    return f"{path}:{position.line}"


def inline(entry: str) -> Target:
    """Parse an entry of `cluster_hosts`.

    Args:
        entry: an alias of ~/.ssh/config, a name, or an address: `[user@]host[:port]`.

    Raises:
        ValueError: it is none of these.
    """
    written = address.parse(entry)
    if entry in LOCAL_ADDRESSES:
        return this_machine()
    # The name becomes a folder's name, and some file systems and tools refuse colons.
    name = f"{written.host}-{written.port}" if written.port else written.host
    return Target(name=name, address=written.host, user=written.user, port=written.port)


def this_machine(workspace: str | None = None) -> Target:
    """Return the controller itself as a host, which needs no connection."""
    return Target(
        name=THIS_MACHINE, address=THIS_MACHINE, workspace=workspace, python=sys.executable
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def _with_plain_messages(error: ValidationError) -> list[ErrorDetails]:
    errors = error.errors(include_url=False)
    for entry in errors:
        if entry["type"] == "too_short":
            entry["msg"] = "names no host; write at least one, `NAME:` is enough"
    return errors


def _target(name: str, entry: HostEntry, defaults: Settings, folder: Path) -> Target:
    """Merge a host's own settings and the defaults. `key:` without a value removes a default."""
    own = {key: getattr(entry, key) for key in entry.model_fields_set}
    address_or_name = own.get("address") or name
    if address_or_name in LOCAL_ADDRESSES and not any(
        own.get(key) for key in ("user", "port", "jump")
    ):
        own |= {"user": None, "port": None, "jump": None, "python": sys.executable}
    settings = {key: getattr(defaults, key) for key in Settings.model_fields} | own
    accelerator: AcceleratorEntry | None = settings["accelerator"]
    return Target(
        name=name,
        address=address_or_name,
        user=settings["user"],
        port=settings["port"],
        identity=_on_controller(settings["identity"], folder),
        jump=settings["jump"],
        known_hosts=_on_controller(settings["known_hosts"], folder),
        workspace=settings["workspace"],
        interface=settings["interface"],
        accelerator=Accelerator(accelerator.kind, accelerator.count) if accelerator else None,
        labels={**(defaults.labels or {}), **(own.get("labels") or {})},
        python=settings["python"] or "python3",
        env_script=tuple(settings["env_script"] or ()),
    )


def _on_controller(path: str | None, folder: Path) -> str | None:
    return str(folder.absolute() / at_home_here(path)) if path else None


def _jump_cycles(
    hosts: Mapping[str, HostEntry | None], targets: Mapping[str, Target], source: Source
) -> list[Problem]:
    """Report hosts whose chain of jump hosts leads back to themselves."""
    cycles = []
    for name, entry in hosts.items():
        if entry is None or entry.jump is None:
            continue
        hops, hop = [name], targets[name].jump
        while hop is not None and hop in targets and hop not in hops:
            hops, hop = [*hops, hop], _jump_of(targets[hop])
        if hop in hops:
            message = f"reaches the host through itself: {' → '.join((*hops, str(hop)))}"
            cycles.append(source.at_value(("hosts", name, "jump"), message))
    return cycles


def _jump_of(target: Target) -> str | None:
    """Return a host's jump host; None for the jump host itself, which the defaults name."""
    return None if target.jump == target.name else target.jump


def _proxy_jump(name: str, targets: Mapping[str, Target]) -> str | None:
    """Return all jump hosts of a host, first hop first, in the form of SSH's ProxyJump."""
    hops: list[str] = []
    jump = _jump_of(targets[name])
    while jump is not None:
        target = targets.get(jump)
        if target is None:
            hops.append(jump)
            break
        hops.append(str(address.HostAddress(target.address, target.user, target.port)))
        jump = _jump_of(target)
    return ",".join(reversed(hops)) or None
