"""Lock files: every package of an environment, pinned, for one kind of machine. Reads files.

One file per environment, device kind and machine: `vllm-0.32.0-cpu-x86_64.txt`, and for tools
`aisbench-x86_64.txt`. They hold names and versions, no hashes: PyTorch's CPU build comes from its
own index or from a folder of wheels, and a private index may have built its own, whose hashes are
others. A release on the public index never changes, and what is installed is compared at night.

The header counts the packages and has a digest of them: a file that was cut short, or edited, is
refused, as an environment made from half a lock installs without an error.
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
SHOWN_CHARS = 100
RENEW = "make it again with `inv versions.lock`"
RENEWED_AT_NIGHT = "run again: the next night makes it again"
# Of a preparation's spec: where it is made, and from which locks.
NOT_RECIPE = frozenset({"path", "fingerprint", "uv", "locks"})
# What a resolution depends on; a lock that was made from other values of these is stale.
RESOLVED_FROM = ("python", "glibc", "packages", "overrides", "torch_backend", "prefer")


@dataclass(frozen=True)
class Lock:
    """The content of a lock file.

    Attributes:
        recipe: what it was resolved from, see `resolution_of`.
        packages: `name==version`, sorted.
    """

    recipe: str
    packages: tuple[str, ...]


@dataclass(frozen=True)
class Shelves:
    """Folders of lock files.

    Attributes:
        project: `configs/locks`, the same for everybody.
        kept: this controller's own, for what the project has no lock for.
    """

    project: Path
    kept: Path


def resolution_of(recipe: Mapping[str, object]) -> str:
    """Identify what a recipe resolves from; what is only checked or added afterwards is left out.

    Args:
        recipe: an environment's, as in configs/versions.yaml.
    """
    return fingerprint_of({key: recipe[key] for key in RESOLVED_FROM if recipe.get(key)})


def path_of(stem: str, machine: str) -> str:
    """Name the lock file of an environment for one kind of machine."""
    return f"{stem}-{machine}.txt"


def text_of(lock: Lock, title: str) -> str:
    """Write a lock file; `title` says what it is for and how it is made again."""
    head = [f"# {line}" for line in title.splitlines()]
    head += [RECIPE + lock.recipe, CONTENT + content_of(lock.packages)]
    return "\n".join([*head, *lock.packages, ""])


def content_of(packages: Sequence[str]) -> str:
    """Say what the lines of a lock are: their number, and their digest."""
    return f"{len(packages)}, digest {digest(packages)}"


def write(path: Path, lock: Lock, title: str) -> None:
    """Put a lock file in place at once: another night may be reading it.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not the name that another night's is written to, which would then have parts of both.
    halfway = path.with_name(f"{path.name}.{os.getpid()}.partial")
    halfway.write_text(text_of(lock, title), "utf-8")
    halfway.replace(path)


def read(path: Path, renew: str = RENEW) -> Lock | None:
    """Read a lock file; None when there is none.

    Args:
        path: of the file.
        renew: how it is made again, for the error.

    Returns:
        Its content. A lock that does not count its packages has no recipe, which is stale.

    Raises:
        UserError: it is not readable as a lock, or its packages are not those that its header
            counts; says where and what to do.
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
        raise UserError(f"{path}: it cannot be read: {why}; see to that, or {renew}") from error
    packages = _pins(path, lines, renew)
    recipe, content = _value(lines, RECIPE), _value(lines, CONTENT)
    if not content:  # as locks were before they had it, or cut short before it
        return Lock("", packages)
    if content != content_of(packages):
        raise UserError(
            f"{path}: expected {content} of the packages, as its header says, got "
            f"{content_of(packages)}: it was cut short or edited; remove the file and {renew}"
        )
    return Lock(recipe, packages)


def _pins(path: Path, lines: Sequence[str], renew: str) -> tuple[str, ...]:
    pins = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        if not PIN.fullmatch(line):
            raise UserError(
                f"{path}:{number}: expected NAME==VERSION, got {line[:SHOWN_CHARS]!r}; remove the "
                f"file and {renew}"
            )
        pins.append(line)
    return tuple(pins)


def _value(lines: Iterable[str], key: str) -> str:
    return next((line.removeprefix(key).strip() for line in lines if line.startswith(key)), "")


def current(stem: str, resolution: str, shelves: Shelves) -> dict[str, list[str]]:
    """Find the locks of an environment that were made from its recipe as it is now.

    Args:
        stem: the file name up to the machine.
        resolution: see `resolution_of`.
        shelves: the project's lock of a machine goes before the kept one.

    Returns:
        Machine → packages. A stale lock is as good as none.

    Raises:
        UserError: a lock is broken.
    """
    found: dict[str, list[str]] = {}
    for folder, renew in ((shelves.project, RENEW), (shelves.kept, RENEWED_AT_NIGHT)):
        for machine in MACHINES:
            lock = read(folder / path_of(stem, machine), renew)
            if lock and lock.packages and lock.recipe == resolution and machine not in found:
                found[machine] = list(lock.packages)
    return found


def locked(item: Preparation, packages: Mapping[str, list[str]]) -> Preparation:
    """Have an environment made from locks, which become part of its fingerprint.

    Args:
        item: the environment, with locks or without.
        packages: machine → `name==version` of everything in it; added to those it has.
    """
    known = {**cast("dict[str, list[str]]", item.spec.get("locks", {})), **packages}
    if not known:
        return item
    recipe = {key: value for key, value in item.spec.items() if key not in NOT_RECIPE}
    fingerprint = fingerprint_of({**recipe, "locks": known})
    spec = {**item.spec, "locks": known, "fingerprint": fingerprint}
    return replace(item, fingerprint=fingerprint, spec=spec)


def fingerprint_of(recipe: Mapping[str, object]) -> str:
    """Identify what is made, wherever it is made."""
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:16]


def changes(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """Say how two lists of `name==version` differ, one text per package.

    Returns:
        `six 1.16 → 1.17`, `+ six 1.17` or `- six 1.17`, by name.
    """
    old, new = versions_in(before), versions_in(after)
    said = []
    for name in sorted(old.keys() | new.keys()):
        if name not in old:
            said.append(f"+ {name} {new[name]}")
        elif name not in new:
            said.append(f"- {name} {old[name]}")
        elif old[name] != new[name]:
            said.append(f"{name} {old[name]} → {new[name]}")
    return said


def versions_in(packages: Iterable[str]) -> dict[str, str]:
    """Give name → version of a list of `name==version`."""
    pairs = (line.partition("==") for line in packages)
    return {name: version for name, _, version in pairs}


def digest(packages: Iterable[str]) -> str:
    """Identify a list of `name==version`, whatever its order."""
    return hashlib.sha256("\n".join(sorted(packages)).encode()).hexdigest()[:16]


def shelves_of(workspace: str) -> Shelves:
    """Find the lock files: the project's, and those that this controller made for itself.

    Args:
        workspace: as chosen; empty takes the default of this machine.
    """
    return Shelves(CONFIGS / "locks", Path(workspace_of(workspace)) / "locks")
