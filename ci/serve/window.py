"""Read the servers' metrics before, during and after an evaluation."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ci.serve.pages import metrics_pages
from ci.vllm.server_figures import Figure, Gauges, gauges_of, server_figures

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ci.agent.client import Agent
    from ci.plan.model import Plan

# A page costs a server some milliseconds.
EVERY_S = 10.0


@dataclass
class Window:
    """The metrics of an evaluation; complete once its context has ended.

    Attributes:
        before: the metrics of each server at the beginning; empty if a server gave none.
        after: the same at the end.
        during: gauges of moments between the two.
    """

    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    during: list[Gauges] = field(default_factory=list)

    def figures(self) -> tuple[Figure, ...]:
        """Return what the servers did; nothing without the metrics of all servers."""
        if not self.before or len(self.before) != len(self.after):
            return ()
        return server_figures(self.before, self.after, self.during)


@contextmanager
def metrics_window(plan: Plan, agents: Mapping[str, Agent]) -> Iterator[Window]:
    """Read the metrics of all servers at entry, every EVERY_S, and at exit.

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
    while not done.wait(EVERY_S):
        if pages := _pages(plan, agents):
            window.during.append(gauges_of(pages))


def _pages(plan: Plan, agents: Mapping[str, Agent]) -> list[str]:
    """Return the metrics of every server that has an API; empty if one gave none."""
    return list((metrics_pages(plan.servers, agents) or {}).values())
