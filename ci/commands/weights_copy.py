"""Copy a model's folder to many hosts; resumes interrupted copies and verifies every file."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ci.agent.answers import Answer
from ci.agent.ask_all import call_all
from ci.agent.client import Agent
from ci.agent.send_file import same_there, send
from ci.commands.model_folder import files_of
from ci.connect.fan_out import fan_out
from ci.errors import InfrastructureError, LamplighterError, UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ci.agent.send_file import Source

    Sources = Mapping[str, Source]

PROGRESS_EVERY_S = 1.0
STAT_TIMEOUT_S = 60.0
MB = 1e6
GB = 1e9


@dataclass(frozen=True)
class Progress:
    """Progress of a host. `sent` counts transferred bytes, `done` also those already there."""

    host: str
    file: str
    done: int
    total: int
    sent: int
    seconds: float

    @property
    def mb_s(self) -> float:
        """Return the speed so far in MB per second."""
        return self.sent / MB / self.seconds if self.seconds else 0.0

    @property
    def eta_s(self) -> float | None:
        """Return the remaining seconds at that speed; None while nothing was sent."""
        return (self.total - self.done) / MB / self.mb_s if self.mb_s else None

    def __str__(self) -> str:
        left = "" if self.eta_s is None else f", {self.mb_s:.0f} MB/s, {self.eta_s:.0f} s left"
        done = f"{self.done / MB:.0f} of {self.total / MB:.0f} MB"
        return f"{self.host}: {done}{left} ({self.file})"


@dataclass
class Synced:
    """Result of a host.

    Attributes:
        copied: files that were sent, wholly or in part.
        skipped: files that were already there with the same content.
        sent: bytes that were transferred.
        seconds: duration of the copy.
        failed: the error if not all files are there; empty otherwise.
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
    """Copy a folder to every host; an error on one host does not stop the others.

    Files with the same content are skipped; others are replaced whole. Additional files in the
    target stay. Hidden files are not copied.

    Args:
        agents: host → agent, or the error of the connection.
        source: a folder on this machine.
        target: absolute path of the folder on the hosts; None for the same path as here.
        on_progress: called about once a second for each host, from the host's own thread.

    Returns:
        Host → result.

    Raises:
        UserError: the source cannot be used, or the target is relative.
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

    # Where hosts share the folder, on NFS for example, the first one gets the files; the others
    # compare them afterwards.
    first, others = _by_turn(agents, folder)
    outcomes = {**fan_out(first, work), **fan_out(others, work)}
    return {host: done for host in agents if isinstance(done := outcomes[host], Synced)}


def _by_turn(
    agents: Mapping[str, Agent | LamplighterError], folder: str
) -> tuple[list[str], list[str]]:
    """Return one host of each folder, and the hosts that share it."""
    reached = {host: agent for host, agent in agents.items() if isinstance(agent, Agent)}
    owners: dict[str, str] = {}
    for host, answer in call_all(reached, "make_folder", STAT_TIMEOUT_S, folder=folder).items():
        if isinstance(answer, Answer):
            owners.setdefault(str(answer.value), host)
        else:
            owners[host] = host
    first = [host for host in agents if host in owners.values() or host not in reached]
    return first, [host for host in agents if host not in first]


def _sync_host(
    agent: Agent,
    sources: Sources,
    folder: str,
    outcome: Synced,
    on_progress: Callable[[Progress], None],
) -> None:
    existing = _stat_files(agent, sources, folder)
    total = sum(source.size for source in sources.values())
    watch = _Watch(agent.host, total, outcome, on_progress)
    for name, source in sources.items():
        watch.begin(name)
        size, _ = existing[name]
        if size == source.size and same_there(agent, source, f"{folder}/{name}"):
            outcome.skipped.append(name)
        else:
            send(agent, source, folder, name, on_bytes=watch.reached)
            outcome.copied.append(name)
        watch.end(source.size)
    watch.report()


def _stat_files(
    agent: Agent, sources: Sources, folder: str
) -> dict[str, tuple[int | None, int | None]]:
    """Return the size of each file on the host and of its partial copy; check the free space.

    Raises:
        InfrastructureError: too little free space, no reply, or a link leads out of the folder.
    """
    reply = agent.call(
        "stat_files", within_s=STAT_TIMEOUT_S, folder=folder, names=list(sources)
    ).value
    if len(reply["files"]) != len(sources):
        raise InfrastructureError(
            f"{agent.host}: its answer to `stat_files` has {len(reply['files'])} files, expected "
            f"{len(sources)}; check what runs as the agent there"
        )
    existing = {name: tuple(sizes) for name, sizes in zip(sources, reply["files"], strict=True)}
    missing = sum(
        source.size - min(source.size, part or 0)
        for (size, part), source in zip(existing.values(), sources.values(), strict=True)
        if size != source.size
    )
    if missing > reply["free"]:
        raise InfrastructureError(
            f"{agent.host}: expected {missing / GB:.2f} GB of free space on the file system of "
            f"{folder}, got {reply['free'] / GB:.2f} GB; free some space, or give --target another "
            "folder",
        )
    return existing


class _Watch:
    """Counts the bytes on a host and reports the progress once a second."""

    def __init__(
        self, host: str, total: int, outcome: Synced, on_progress: Callable[[Progress], None]
    ) -> None:
        self._host, self._total, self._outcome = host, total, outcome
        self._on_progress = on_progress
        self._began = self._reported = time.monotonic()
        self._file, self._finished, self._current = "", 0, 0

    def begin(self, file: str) -> None:
        self._file, self._current = file, -1

    def reached(self, size: int) -> None:
        """Record the size of the current file on the host; the first call has its initial size."""
        if self._current >= 0:
            self._outcome.sent += max(0, size - self._current)
        self._current = size
        if time.monotonic() - self._reported >= PROGRESS_EVERY_S:
            self.report()

    def end(self, size: int) -> None:
        self._finished, self._current = self._finished + size, 0

    def report(self) -> None:
        self._reported = time.monotonic()
        done, sent = self._finished + max(0, self._current), self._outcome.sent
        seconds = self._reported - self._began
        self._on_progress(Progress(self._host, self._file, done, self._total, sent, seconds))
