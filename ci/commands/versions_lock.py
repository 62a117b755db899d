"""`inv versions.lock`: resolve environments into configs/locks, one file each. Reads the index."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci.case.model import DEVICES
from ci.catalog import environments, locks
from ci.catalog.locks import Lock
from ci.errors import ExitCode, PreparationFailed, UserError
from ci.paths import CONFIGS
from ci.prepare.resolve_packages import resolve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ci.catalog.environments import Environment

FOLDER = CONFIGS / "locks"
# What the project keeps locks for; what it has none for is resolved by each controller at night.
USUAL = {"cpu": "x86_64", "cuda": "x86_64", "tool": "x86_64"}
NOT_KEPT = (
    "the project keeps locks for x86_64 with a CPU or CUDA alone; without one a night resolves the "
    "packages by itself"
)
SHOWN_CHANGES = 5


@dataclass(frozen=True)
class Entry:
    """An environment for one kind of machine, and where its lock is.

    Attributes:
        name: as it is called in the workspace.
        kind: cpu, cuda, ascend, or `tool`.
        key: what chooses it: the version, or the tool.
    """

    name: str
    kind: str
    key: str
    machine: str
    recipe: Environment

    @property
    def path(self) -> Path:
        """Its lock file."""
        stem = self.name if self.kind == "tool" else f"{self.name}-{self.kind}"
        return FOLDER / locks.path_of(stem, self.machine)

    @property
    def resolution(self) -> str:
        """What its lock has to be made from."""
        return locks.resolution_of(self.recipe.model_dump())

    @property
    def title(self) -> str:
        """What it is, in words."""
        kind = "" if self.kind == "tool" else f" for {self.kind}"
        return (
            f"{self.name}{kind} on {self.machine} Linux, glibc {self.recipe.glibc} or later, "
            f"Python {self.recipe.python}"
        )

    @property
    def command(self) -> str:
        """What makes this one; without a choice only the project's own are made."""
        if USUAL.get(self.kind) == self.machine:
            return "inv versions.lock"
        chosen = f"--version {self.key} --device {self.kind}"
        chosen = f"--tool {self.key}" if self.kind == "tool" else chosen
        return f"inv versions.lock {chosen} --platform {self.machine}"

    @property
    def problem(self) -> str:
        """Why nothing is installed from its lock, and what to do; empty where it is current."""
        try:
            lock = locks.read(self.path, f"make it again with `{self.command}`")
        except UserError as error:
            return f"{error}"
        if lock and lock.packages and lock.recipe == self.resolution:
            return ""
        state = "stale" if lock else "missing"
        return f"{self.path}: {state}; make it with `{self.command}`"


def lock(version: str, device: str, tool: str, platform: str, *, check: bool) -> ExitCode:
    """Make the locks that are asked for, or without a choice those that are not current.

    Prints a line for each; one that cannot be resolved does not keep the others from being made.

    Args:
        version: of configs/versions.yaml; empty for all.
        device: cpu, cuda or ascend; empty for all.
        tool: of configs/tools.yaml; empty for all.
        platform: of the machines, as `uname -m` says it; empty for the usual one.
        check: make nothing, only say which are missing, stale or broken.

    Returns:
        PASS; UNKNOWN where one could not be resolved; with `check` USER where one is not current.

    Raises:
        UserError: there is no such version, kind of machine or tool.
    """
    asked = bool(version or device or tool or platform)
    chosen = list(entries(version, device, tool, platform))
    if not chosen:
        raise UserError("no environment is all that was asked for; `inv versions` lists them")
    problems = [(entry, entry.problem) for entry in chosen]
    left = [entry for entry, problem in problems if problem]
    if check:
        print("".join(f"{problem}\n" for _, problem in problems if problem), end="")
        if any(entry.machine != USUAL.get(entry.kind) for entry in left):
            print(NOT_KEPT)
        print(f"{len(chosen) - len(left)} of {len(chosen)} locks are current")
        return ExitCode.USER if left else ExitCode.PASS
    wanted = chosen if asked else left
    failed = [entry.name for entry in wanted if not _make(entry)]
    if not wanted:
        print(f"all {len(chosen)} locks are current; name a --version, --device or --tool to renew")
    if failed:
        print(f"not resolved: {', '.join(failed)}; is the package index reachable from here?")
    return ExitCode.UNKNOWN if failed else ExitCode.PASS


def entries(version: str, device: str, tool: str, platform: str) -> Iterator[Entry]:
    """Find what is chosen in configs/versions.yaml and configs/tools.yaml.

    Raises:
        UserError: there is no such version, kind of machine or tool.
    """
    versions = environments.load_versions(CONFIGS / "versions.yaml")
    tools = environments.load_tools(CONFIGS / "tools.yaml")
    _require("version", version, versions)
    _require("device", device, DEVICES)
    _require("tool", tool, tools)
    _require("platform", platform, locks.MACHINES)
    for name, devices in versions.items():
        for kind, recipe in devices.items():
            machine = _machine(kind, device, platform)
            if machine and not tool and version in {"", name} and device in {"", kind}:
                yield Entry(f"vllm-{name}", kind, name, machine, recipe)
    for name, recipe in tools.items():
        if not (version or device) and tool in {"", name}:
            yield Entry(name, "tool", name, platform or USUAL["tool"], recipe)


def _machine(kind: str, asked: str, platform: str) -> str:
    """Which machine a kind is locked for; empty where the project keeps no lock for it."""
    return platform or USUAL.get(kind, "") or ("aarch64" if kind == asked else "")


def _require(what: str, value: str, known: object) -> None:
    names = list(known) if isinstance(known, dict | tuple) else []
    if value and value not in names:
        raise UserError(f"--{what} {value}: known are {', '.join(names)}")


def _make(entry: Entry) -> bool:
    """Resolve one, say what came of it, and write it where it could be resolved."""
    print(f"{entry.title}: resolving …", flush=True)
    began = time.monotonic()
    before = _before(entry.path)
    try:
        packages = resolve(entry.recipe.model_dump(), entry.machine)
    except PreparationFailed as error:
        print(f"  not resolved: {error}")
        return False
    title = f"{entry.title}\nMade by `inv versions.lock`; renew it with that, do not edit it."
    locks.write(entry.path, Lock(entry.resolution, tuple(packages)), title)
    took = f"{len(packages)} packages in {time.monotonic() - began:.0f} s"
    print(f"  {entry.path.name}: {took}{_changed(before, packages)}", flush=True)
    return True


def _before(path: Path) -> Lock | None:
    """What the file is before it is made again; a broken one is as good as none."""
    try:
        return locks.read(path)
    except UserError:
        return None


def _changed(before: Lock | None, packages: list[str]) -> str:
    if before is None:
        return ", new"
    changed = locks.changes(before.packages, packages)
    rest = f" and {len(changed) - SHOWN_CHANGES} more" if changed[SHOWN_CHANGES:] else ""
    return f", {', '.join(changed[:SHOWN_CHANGES])}{rest}" if changed else ", unchanged"
