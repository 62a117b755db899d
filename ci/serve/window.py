"""Read the servers' metrics before, during and after an evaluation."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ci.record.text import duration
from ci.serve.pages import metrics_pages
from ci.vllm.server_figures import Figure, Gauges, gauges_of, load_between, server_figures

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ci.agent.client import Agent
    from ci.plan.model import Plan
    from ci.vllm.server_figures import Load

# A page costs a server some milliseconds; nothing is measured before the first request.
EVERY_S, EVERY_S_WHILE_IDLE = 10.0, 2.0


@dataclass
class Window:
    """The metrics of an evaluation; complete once its context has ended.

    Attributes:
        before: the metrics of each server at the beginning; empty if a server gave none.
        after: the same at the end.
        during: gauges of moments between the two.
        idle_s: when the servers had done nothing yet, for the last time; on the monotonic clock.
        latest: when the metrics were read last, and what was done until then; None before that.
    """

    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    during: list[Gauges] = field(default_factory=list)
    idle_s: float = field(default_factory=time.monotonic)
    latest: tuple[float, Load] | None = None

    def figures(self) -> tuple[Figure, ...]:
        """Return what the servers did; nothing without the metrics of all servers."""
        if not self.before or len(self.before) != len(self.after):
            return ()
        return server_figures(self.before, self.after, self.during)

    def read(self, pages: list[str], now_s: float) -> None:
        """Keep what the metrics of a moment between the two tell."""
        self.during.append(gauges_of(pages))
        load = load_between(self.before, pages)
        if load and not load.requests and not load.generated:
            self.idle_s = now_s
        elif load and self.latest and not load.running + load.waiting:
            # They became idle at an unknown time since: their speed was that of before.
            read_s, before = self.latest
            self.latest = read_s, replace(load, generated=before.generated)
        elif load:
            self.latest = now_s, load

    def so_far(self, asked: int, now_s: float) -> tuple[str, ...]:
        """Say how far the evaluation is, as its servers see it; nothing before they work.

        Args:
            asked: number of requests of the evaluation; 0 if unknown. A tool may send a few more to
                warm the servers up.
            now_s: the time, on the monotonic clock.
        """
        if self.latest is None:
            return ()
        read_s, load = self.latest
        seconds = read_s - self.idle_s
        done = min(load.requests, asked) if asked else load.requests
        of = f" of {asked}" if asked else ""
        parts = [f"{done}{of} requests", f"{load.generated / seconds:.1f} tok/s so far"]
        left_s = (asked - done) * seconds / max(load.requests, 1) - (now_s - read_s)
        # The first requests tell little: those that run are as far as nobody knows.
        if load.running < done and left_s >= 1:
            parts.append(f"about {duration(left_s)} left")
        return (*parts, f"{load.running} running, {load.waiting} waiting")


@contextmanager
def metrics_window(plan: Plan, agents: Mapping[str, Agent]) -> Iterator[Window]:
    """Read the metrics of all servers at entry, every few seconds, and at exit.

    Servers behind a router are asked themselves, each from its own host. A page that cannot be read
    is left out, and no error is raised: the figures of the tool do not depend on it.

    Args:
        plan: the plan whose servers run.
        agents: host → agent.
    """
    window, done = Window(_pages(plan, agents)), threading.Event()
    thread = threading.Thread(target=_sample, args=(plan, agents, window, done), daemon=True)
    if window.before:
        thread.start()
    try:
        yield window
    finally:
        done.set()
        if window.before:
            window.after = _pages(plan, agents)


def _sample(plan: Plan, agents: Mapping[str, Agent], window: Window, done: threading.Event) -> None:
    while not done.wait(EVERY_S if window.latest else EVERY_S_WHILE_IDLE):
        if pages := _pages(plan, agents):
            window.read(pages, time.monotonic())


def _pages(plan: Plan, agents: Mapping[str, Agent]) -> list[str]:
    """Return the metrics of every server that has an API; empty if one gave none."""
    return list((metrics_pages(plan.servers, agents) or {}).values())
