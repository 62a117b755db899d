"""`inv versions.lock`: resolve environments into configs/locks, each into its own file."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci.case.model import DEVICES
from ci.catalog import environments, locks
from ci.catalog.locks import Lock
from ci.documents.counted import counted
from ci.errors import ExitCode, PreparationFailed, UserError
from ci.paths import CONFIGS
from ci.prepare.resolve_packages import resolve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ci.catalog.environments import Environment

FOLDER = CONFIGS / "locks"
# The platforms for which the project keeps locks; without a lock each night resolves the packages.
DEFAULT_PLATFORMS = {"cpu": "x86_64", "cuda": "x86_64", "tool": "x86_64"}
NOT_KEPT = (
    "the project keeps locks only for x86_64 with a CPU or CUDA; without a lock a night resolves "
    "the packages by itself"
)
SHOWN_CHANGES = 5


@dataclass(frozen=True)
class Entry:
    """An environment for one kind of machine, with its lock.

    Attributes:
        name: its name in the workspace.
        kind: cpu, cuda, ascend, or `tool`.
        key: the version or the tool that selects it.
        machine: the platform, as printed by `uname -m`.
        recipe: how the environment is made.
    """

    name: str
    kind: str
    key: str
    machine: str
    recipe: Environment

    @property
    def path(self) -> Path:
        """Return the path of the lock file."""
        stem = self.name if self.kind == "tool" else f"{self.name}-{self.kind}"
        return FOLDER / locks.path_of(stem, self.machine)

    @property
    def resolution(self) -> str:
        """Return the digest of the present recipe, which the lock must match."""
        return locks.resolution_of(self.recipe.model_dump())

    @property
    def title(self) -> str:
        """Return a description of the environment."""
        kind = "" if self.kind == "tool" else f" for {self.kind}"
        return (
            f"{self.name}{kind} on {self.machine} Linux, glibc {self.recipe.glibc} or later, "
            f"Python {self.recipe.python}"
        )

    @property
    def command(self) -> str:
        """Return the command that makes this lock; without flags, all of the project's locks."""
        if DEFAULT_PLATFORMS.get(self.kind) == self.machine:
            return "inv versions.lock"
        chosen = f"--version {self.key} --device {self.kind}"
        chosen = f"--tool {self.key}" if self.kind == "tool" else chosen
        return f"inv versions.lock {chosen} --platform {self.machine}"

    @property
    def problem(self) -> str:
        """Return why the lock cannot be used, and what to do; empty if it is current."""
        try:
            lock = locks.read(self.path, f"make it again with `{self.command}`")
        except UserError as error:
            return f"{error}"
        if lock and lock.packages and lock.recipe == self.resolution:
            return ""
        state = "stale" if lock else "missing"
        return f"{self.path}: {state}; make it with `{self.command}`"


def lock(version: str, device: str, tool: str, platform: str, *, check: bool) -> ExitCode:
    """Make the selected locks; without a selection, those that are not current.

    Prints a line for each. If one cannot be resolved, the others are still made.

    Args:
        version: a version of configs/versions.yaml; empty for all.
        device: cpu, cuda or ascend; empty for all.
        tool: a tool of configs/tools.yaml; empty for all.
        platform: platform of the machines, as printed by `uname -m`; empty for the default.
        check: make nothing, only report the locks that are missing, stale or broken.

    Returns:
        PASS; UNKNOWN if a lock could not be resolved; with `check` USER if one is not current.

    Raises:
        UserError: unknown version, kind of machine, tool or platform.
    """
    selective = bool(version or device or tool or platform)
    selected = list(entries(version, device, tool, platform))
    if not selected:
        raise UserError("no environment matches all of these flags; `inv versions` lists them")
    problems = [(entry, entry.problem) for entry in selected]
    outdated = [entry for entry, problem in problems if problem]
    if check:
        print("".join(f"{problem}\n" for _, problem in problems if problem), end="")
        if any(entry.machine != DEFAULT_PLATFORMS.get(entry.kind) for entry in outdated):
            print(NOT_KEPT)
        print(f"{len(selected) - len(outdated)} of {len(selected)} locks are current")
        return ExitCode.USER if outdated else ExitCode.PASS
    wanted = selected if selective else outdated
    failed = [entry.name for entry in wanted if not _make(entry)]
    if not wanted:
        print(f"all {len(selected)} locks are current; give --version, --device or --tool to renew")
    if failed:
        print(f"not resolved: {', '.join(failed)}; check that the package index can be reached")
    return ExitCode.UNKNOWN if failed else ExitCode.PASS


def entries(version: str, device: str, tool: str, platform: str) -> Iterator[Entry]:
    """Find the selected environments in configs/versions.yaml and configs/tools.yaml.

    Raises:
        UserError: unknown version, kind of machine, tool or platform.
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
            yield Entry(name, "tool", name, platform or DEFAULT_PLATFORMS["tool"], recipe)


def _machine(kind: str, device: str, platform: str) -> str:
    """Return the platform to lock a kind for; empty if the project keeps no lock for it."""
    return platform or DEFAULT_PLATFORMS.get(kind, "") or ("aarch64" if kind == device else "")


def _require(flag: str, value: str, known: object) -> None:
    names = list(known) if isinstance(known, dict | tuple) else []
    if value and value not in names:
        raise UserError(f"--{flag} {value}: expected one of {', '.join(names)}")


def _make(entry: Entry) -> bool:
    """Resolve an environment, print the result, and write the lock; return whether it worked."""
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
    took = f"{counted(len(packages), 'package')} in {time.monotonic() - began:.0f} s"
    print(f"  {entry.path.name}: {took}{_changed(before, packages)}", flush=True)
    return True


def _before(path: Path) -> Lock | None:
    """Return the lock before it is made again; None if it is missing or broken."""
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
