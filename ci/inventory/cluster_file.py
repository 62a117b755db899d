"""Which hosts there are: configs/clusters/*.yaml, and `cluster_hosts` of a case → targets.

Reads cluster files; connects to nothing.
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
from ci.documents.files import bytes_of
from ci.documents.source import read
from ci.documents.wording import found, problems
from ci.errors import CaseError, UserError
from ci.inventory.cluster_model import SECTIONS, Cluster, HostEntry, Settings
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
    """Turn what the operator typed after `--cluster` into a cluster file's path.

    Args:
        name: a path, or the name of a file in the folder, with or without `.yaml`.
        folder: where cluster files are kept.

    Raises:
        UserError: there is no such file; names the nearest and all that there are.
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
        f"no cluster {name!r}, neither as a path nor in {shown}, where {there}.{guess} Write one "
        f"after the model of {shown}/example.yaml",
    )


def load(path: Path) -> tuple[Target, ...]:
    """Read a cluster file: its hosts, in the order of the file.

    `identity` and `known_hosts` are paths on the controller, relative ones from the file's
    folder; `workspace` is a path on the host and stays as written.

    Raises:
        CaseError: the file is not a sound cluster; carries every problem found.
        UserError: the file cannot be read at all.
    """
    return parse(bytes_of(path), str(path))


def parse(data: bytes, path: str) -> tuple[Target, ...]:
    """Make the targets of a cluster file's bytes.

    Raises:
        CaseError: as for `load`.
    """
    source = read(data, path, "cluster")
    if not isinstance(source.value, dict):
        message = f"expected a mapping of keys to values, found {found(source.value)}"
        raise CaseError((source.at_value((), message),))
    try:
        cluster = Cluster.model_validate(source.value)
    except ValidationError as error:
        defects = problems(_plain(error), source, SECTIONS)
        raise CaseError(tuple(sorted(defects, key=lambda one: (one.line, one.column)))) from error
    defaults = cluster.defaults or Settings()
    folder = Path(path).parent
    targets = {
        name: _target(name, entry or HostEntry(), defaults, folder)
        for name, entry in cluster.hosts.items()
    }
    if defects := list(_circles(cluster, targets, source)):
        raise CaseError(tuple(defects))
    return tuple(replace(one, jump=_way(one.name, targets)) for one in targets.values())


def inline(entry: str) -> Target:
    """Make the target of an entry of `cluster_hosts`.

    Args:
        entry: an alias of ~/.ssh/config, a name, or an address: `[user@]host[:port]`.

    Raises:
        ValueError: it is none of these.
    """
    written = address.parse(entry)
    if entry in LOCAL_ADDRESSES:
        return this_machine()
    # Names become folders, and a colon in a file's name is refused in some places.
    name = f"{written.host}-{written.port}" if written.port else written.host
    return Target(name=name, address=written.host, user=written.user, port=written.port)


def this_machine(workspace: str | None = None) -> Target:
    """The controller itself as a host; nothing connects to it."""
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


def _plain(error: ValidationError) -> list[ErrorDetails]:
    errors = error.errors(include_url=False)
    for one in errors:
        if one["type"] == "too_short":
            one["msg"] = "names no host; write at least one, `NAME:` is enough"
    return errors


def _target(name: str, entry: HostEntry, defaults: Settings, folder: Path) -> Target:
    """Settle one host: its own settings, then the defaults. `key:` with nothing undoes one."""
    own = {key: getattr(entry, key) for key in entry.model_fields_set}
    at = own.get("address") or name
    if at in LOCAL_ADDRESSES and not any(own.get(key) for key in ("user", "port", "jump")):
        own |= {"user": None, "port": None, "jump": None, "python": sys.executable}
    said = {key: getattr(defaults, key) for key in Settings.model_fields} | own
    has: AcceleratorEntry | None = said["accelerator"]
    return Target(
        name=name,
        address=at,
        user=said["user"],
        port=said["port"],
        identity=_on_controller(said["identity"], folder),
        jump=said["jump"],
        known_hosts=_on_controller(said["known_hosts"], folder),
        workspace=said["workspace"],
        interface=said["interface"],
        accelerator=Accelerator(has.kind, has.count) if has else None,
        labels={**(defaults.labels or {}), **(own.get("labels") or {})},
        python=said["python"] or "python3",
    )


def _on_controller(path: str | None, folder: Path) -> str | None:
    return str(folder.absolute() / at_home_here(path)) if path else None


def _circles(cluster: Cluster, targets: Mapping[str, Target], source: Source) -> list[Problem]:
    """Report hosts that would be reached through themselves."""
    found_so_far = []
    for name, entry in cluster.hosts.items():
        if entry is None or entry.jump is None:
            continue
        way, at = [name], targets[name].jump
        while at is not None and at in targets and at not in way:
            way, at = [*way, at], _jump_of(targets[at])
        if at in way:
            message = f"reaches the host through itself: {' → '.join((*way, str(at)))}"
            found_so_far.append(source.at_value(("hosts", name, "jump"), message))
    return found_so_far


def _jump_of(target: Target) -> str | None:
    """A host's jump host; one that the defaults name for all does not jump through itself."""
    return None if target.jump == target.name else target.jump


def _way(name: str, targets: Mapping[str, Target]) -> str | None:
    """Every host on the way to one, nearest to the controller first, as ProxyJump is written."""
    hops: list[str] = []
    at = _jump_of(targets[name])
    while at is not None:
        hop = targets.get(at)
        if hop is None:
            hops.append(at)
            break
        hops.append(str(address.Written(hop.address, hop.user, hop.port)))
        at = _jump_of(hop)
    return ",".join(reversed(hops)) or None
