"""Read and write lock files: every package of an environment, pinned, for one architecture.

There is one file per environment, device kind and architecture: `vllm-0.32.0-cpu-x86_64.txt`, and
`aisbench-x86_64.txt` for a tool. Locks have names and versions but no hashes: PyTorch's CPU build
comes from its own index or a folder of wheels, and a private index may have its own builds with
other hashes. A release on the public index never changes, and a night compares what it installed.

The header has the number of packages and their digest. A truncated or edited file is refused,
because half a lock would install without an error.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ci.errors import UserError
from ci.paths import CONFIGS, workspace_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ci.plan.model import Preparation

MACHINES = ("x86_64", "aarch64")
PIN = re.compile(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!_-]+")
RECIPE = "# recipe: "
CONTENT = "# packages: "
MAX_SHOWN_CHARS = 100
RENEW = "make it again with `inv versions.lock`"
RENEWED_AT_NIGHT = "run again: the next night makes it again"
# Keys of a preparation's spec that are not its recipe: where it is made, and from which locks.
NOT_RECIPE = frozenset({"path", "fingerprint", "uv", "locks"})
# Keys of a recipe that a resolution depends on; a lock made from other values is stale.
RESOLVED_FROM = ("python", "glibc", "packages", "overrides", "torch_backend", "prefer")


@dataclass(frozen=True)
class Lock:
    """The content of a lock file.

    Attributes:
        recipe: identifier of the recipe that it was resolved from, see `resolution_of`.
        packages: `name==version`, sorted.
    """

    recipe: str
    packages: tuple[str, ...]


@dataclass(frozen=True)
class LockFolders:
    """Folders of lock files.

    Attributes:
        project: `configs/locks`, which every controller has.
        kept: this controller's own locks, for environments that the project has no lock for.
    """

    project: Path
    kept: Path


def resolution_of(recipe: Mapping[str, object]) -> str:
    """Return an identifier of the parts of a recipe that its resolution depends on.

    Args:
        recipe: the recipe of an environment, as in configs/versions.yaml.
    """
    return fingerprint_of({key: recipe[key] for key in RESOLVED_FROM if recipe.get(key)})


def path_of(stem: str, machine: str) -> str:
    """Return the file name of an environment's lock for an architecture."""
    return f"{stem}-{machine}.txt"


def text_of(lock: Lock, title: str) -> str:
    """Format a lock file; `title` describes its purpose and how to renew it."""
    head = [f"# {line}" for line in title.splitlines()]
    head += [RECIPE + lock.recipe, CONTENT + content_of(lock.packages)]
    return "\n".join([*head, *lock.packages, ""])


def content_of(packages: Sequence[str]) -> str:
    """Return the number of packages and their digest, as in a lock's header."""
    return f"{len(packages)}, digest {digest(packages)}"


def write(path: Path, lock: Lock, title: str) -> None:
    """Write a lock file atomically, because another night may be reading it.

    Raises:
        OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Another night may write the same lock; its partial file needs another name.
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    partial.write_text(text_of(lock, title), "utf-8")
    partial.replace(path)


def read(path: Path, renew: str = RENEW) -> Lock | None:
    """Read a lock file; None if it does not exist.

    Args:
        path: path of the file.
        renew: advice on how to make it again, for the error.

    Returns:
        Its content. A lock whose header has no digest gets an empty recipe, so it is stale.

    Raises:
        UserError: the file is not a lock, or its packages do not match its header.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: expected UTF-8, got byte 0x{error.object[error.start]:02x} at offset "
            f"{error.start}; remove the file and {renew}"
        ) from error
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise UserError(f"{path}: cannot be read: {why}; correct that, or {renew}") from error
    packages = _pins(path, lines, renew)
    recipe, content = _value(lines, RECIPE), _value(lines, CONTENT)
    if not content:  # an old lock, or truncated before that line
        return Lock("", packages)
    if content != content_of(packages):
        raise UserError(
            f"{path}: its header gives {content} of the packages, got "
            f"{content_of(packages)}: it was truncated or edited; remove the file and {renew}"
        )
    return Lock(recipe, packages)


def _pins(path: Path, lines: Sequence[str], renew: str) -> tuple[str, ...]:
    pins = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        if not PIN.fullmatch(line):
            raise UserError(
                f"{path}:{number}: expected NAME==VERSION, got {line[:MAX_SHOWN_CHARS]!r}; remove "
                f"the file and {renew}"
            )
        pins.append(line)
    return tuple(pins)


def _value(lines: Iterable[str], key: str) -> str:
    return next((line.removeprefix(key).strip() for line in lines if line.startswith(key)), "")


def current(stem: str, resolution: str, lock_folders: LockFolders) -> dict[str, list[str]]:
    """Find the locks of an environment that match its present recipe.

    Args:
        stem: the file name up to the architecture.
        resolution: see `resolution_of`.
        lock_folders: folders of locks; the project's lock has priority over the kept one.

    Returns:
        Architecture → packages. Stale locks are ignored.

    Raises:
        UserError: a lock file is invalid.
    """
    by_machine: dict[str, list[str]] = {}
    for folder, renew in ((lock_folders.project, RENEW), (lock_folders.kept, RENEWED_AT_NIGHT)):
        for machine in MACHINES:
            lock = read(folder / path_of(stem, machine), renew)
            if lock and lock.packages and lock.recipe == resolution and machine not in by_machine:
                by_machine[machine] = list(lock.packages)
    return by_machine


def locked(item: Preparation, packages: Mapping[str, list[str]]) -> Preparation:
    """Add locks to an environment's spec and fingerprint.

    Args:
        item: the environment, with locks or without.
        packages: architecture → `name==version` of every package; added to the locks it has.
    """
    known = {**cast("dict[str, list[str]]", item.spec.get("locks", {})), **packages}
    if not known:
        return item
    recipe = {key: value for key, value in item.spec.items() if key not in NOT_RECIPE}
    fingerprint = fingerprint_of({**recipe, "locks": known})
    spec = {**item.spec, "locks": known, "fingerprint": fingerprint}
    return replace(item, fingerprint=fingerprint, spec=spec)


def fingerprint_of(recipe: Mapping[str, object]) -> str:
    """Return an identifier of a recipe, the same on every host."""
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:16]


def changes(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """Compare two lists of `name==version`.

    Returns:
        One text per package that differs, sorted by name: `six 1.16 → 1.17`, `+ six 1.17` or
        `- six 1.17`.
    """
    old, new = versions_in(before), versions_in(after)
    lines = []
    for name in sorted(old.keys() | new.keys()):
        if name not in old:
            lines.append(f"+ {name} {new[name]}")
        elif name not in new:
            lines.append(f"- {name} {old[name]}")
        elif old[name] != new[name]:
            lines.append(f"{name} {old[name]} → {new[name]}")
    return lines


def versions_in(packages: Iterable[str]) -> dict[str, str]:
    """Convert a list of `name==version` to name → version."""
    pairs = (line.partition("==") for line in packages)
    return {name: version for name, _, version in pairs}


def digest(packages: Iterable[str]) -> str:
    """Return a digest of a list of `name==version`, independent of its order."""
    return hashlib.sha256("\n".join(sorted(packages)).encode()).hexdigest()[:16]


def lock_folders_of(workspace: str) -> LockFolders:
    """Return the folders of lock files: the project's, and this controller's own.

    Args:
        workspace: the chosen workspace; empty takes this machine's default.
    """
    return LockFolders(CONFIGS / "locks", Path(workspace_of(workspace)) / "locks")
