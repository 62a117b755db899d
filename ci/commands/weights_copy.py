"""Copy a model's folder to many hosts: resumed where it was cut off, verified file by file."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ci.agent.send_file import same_there, send
from ci.commands.model_folder import files_of
from ci.connect.fan_out import fan_out
from ci.errors import ExitCode, InfrastructureError, LamplighterError, UserError
from ci.report import table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ci.agent.client import Agent
    from ci.agent.send_file import Source

    Sources = Mapping[str, Source]

HEADINGS = ("host", "copied", "skipped", "sent", "seconds", "outcome")
TELL_EVERY_S = 1.0
STAND_S = 60.0
MB = 1e6
GB = 1e9


@dataclass(frozen=True)
class Progress:
    """How far one host is. `sent` counts what went over the wire, `done` also what was there."""

    host: str
    file: str
    done: int
    total: int
    sent: int
    seconds: float

    @property
    def mb_s(self) -> float:
        """MB sent per second so far."""
        return self.sent / MB / self.seconds if self.seconds else 0.0

    @property
    def eta_s(self) -> float | None:
        """How long the rest takes at that speed; None while nothing was sent."""
        return (self.total - self.done) / MB / self.mb_s if self.mb_s else None

    def __str__(self) -> str:
        left = "" if self.eta_s is None else f", {self.mb_s:.0f} MB/s, {self.eta_s:.0f} s left"
        done = f"{self.done / MB:.0f} of {self.total / MB:.0f} MB"
        return f"{self.host}: {done}{left} ({self.file})"


@dataclass
class Synced:
    """What came of one host.

    Attributes:
        copied: files that were sent, or the rest of which was.
        skipped: files that were there, with the same content.
        sent: bytes that went over the wire.
        failed: why not all files are there; empty when they are.
    """

    copied: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    sent: int = 0
    seconds: float = 0.0
    failed: str = ""


def sync(
    agents: Mapping[str, Agent | LamplighterError],
    source: Path,
    target: str | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> dict[str, Synced]:
    """Copy a folder to every host; what fails on one stops no other.

    Files that are there with the same content are left alone; others are replaced whole. Files of
    the target that the source lacks stay. Hidden files are not copied.

    Args:
        agents: host → agent, or why it cannot be connected to.
        source: a folder here.
        target: the folder on the hosts, absolute; None for the same path as here.
        on_progress: told about once a second for each host, from threads of their own.

    Raises:
        UserError: the source will not do, or the target is relative.
    """
    sources = files_of(source)
    folder = str(source.absolute()) if target is None else target
    if not folder.startswith("/"):
        raise UserError(
            f"--target {folder}: give an absolute path, e.g. /data/models/{source.name}"
        )
    folder = folder.rstrip("/") or "/"

    def work(host: str) -> Synced:
        agent, outcome, began = agents[host], Synced(), time.monotonic()
        try:
            if isinstance(agent, LamplighterError):
                raise agent
            _sync_host(agent, sources, folder, outcome, on_progress)
        except LamplighterError as error:
            outcome.failed = str(error)
        outcome.seconds = time.monotonic() - began
        return outcome

    outcomes = fan_out(agents, work)
    return {host: one for host, one in outcomes.items() if isinstance(one, Synced)}


def _sync_host(
    agent: Agent,
    sources: Sources,
    folder: str,
    outcome: Synced,
    on_progress: Callable[[Progress], None],
) -> None:
    there = _standing(agent, sources, folder)
    watch = _Watch(agent.host, sum(one.size for one in sources.values()), outcome, on_progress)
    for name, source in sources.items():
        watch.begin(name)
        size, _ = there[name]
        if size == source.size and same_there(agent, source, f"{folder}/{name}"):
            outcome.skipped.append(name)
        else:
            send(agent, source, folder, name, on_bytes=watch.reached)
            outcome.copied.append(name)
        watch.end(source.size)
    watch.tell()


def _standing(
    agent: Agent, sources: Sources, folder: str
) -> dict[str, tuple[int | None, int | None]]:
    """What is there of each file: its size, and that of its part. There is room for the rest.

    Raises:
        InfrastructureError: there is not; or the host did not say, or a link there leads astray.
    """
    asked = agent.call("stat_files", within_s=STAND_S, folder=folder, names=list(sources)).value
    there = {name: tuple(one) for name, one in zip(sources, asked["files"], strict=True)}
    missing = sum(
        source.size - min(source.size, part or 0)
        for (size, part), source in zip(there.values(), sources.values(), strict=True)
        if size != source.size
    )
    if missing > asked["free"]:
        raise InfrastructureError(
            f"{agent.host}: {missing / GB:.2f} GB are to come, but {asked['free'] / GB:.2f} GB are "
            f"free on the file system of {folder}; make room, or give --target another folder",
        )
    return there


class _Watch:
    """Counts what is done on one host, and tells of it once a second."""

    def __init__(
        self, host: str, total: int, outcome: Synced, on_progress: Callable[[Progress], None]
    ) -> None:
        self._host, self._total, self._outcome = host, total, outcome
        self._on_progress = on_progress
        self._began = self._told = time.monotonic()
        self._file, self._before, self._here = "", 0, 0

    def begin(self, file: str) -> None:
        self._file, self._here = file, -1

    def reached(self, there: int) -> None:
        """So much of the current file is there now; the first word of it was not sent."""
        if self._here >= 0:
            self._outcome.sent += max(0, there - self._here)
        self._here = there
        if time.monotonic() - self._told >= TELL_EVERY_S:
            self.tell()

    def end(self, size: int) -> None:
        self._before, self._here = self._before + size, 0

    def tell(self) -> None:
        self._told = time.monotonic()
        done, sent = self._before + max(0, self._here), self._outcome.sent
        seconds = self._told - self._began
        self._on_progress(Progress(self._host, self._file, done, self._total, sent, seconds))


def exit_code(outcomes: Mapping[str, Synced]) -> ExitCode:
    """What a command ends with: 0 when all files are on all hosts, else 3."""
    failed = any(one.failed for one in outcomes.values())
    return ExitCode.UNKNOWN if failed else ExitCode.PASS


def as_text(outcomes: Mapping[str, Synced], width: int | None = None) -> str:
    """Lay out the hosts; below them what failed and what to do.

    Args:
        outcomes: host → what came of it.
        width: columns of the terminal that the table has to fit; None for full width.
    """
    rows = [
        (
            host,
            str(len(one.copied)),
            str(len(one.skipped)),
            f"{one.sent / MB:.1f} MB",
            f"{one.seconds:.1f}",
            "failed" if one.failed else "verified",
        )
        for host, one in outcomes.items()
    ]
    failures = [f"✗ {one.failed}\n" for one in outcomes.values() if one.failed]
    return table.as_text(HEADINGS, rows, width) + "".join(failures)
