"""Host locking: one lease on every host of a run, held from before the start until all is home."""

from __future__ import annotations

import time
from queue import Empty
from typing import TYPE_CHECKING

from ci.agent.ask_all import call_all
from ci.agent.process import Launch
from ci.connect.fan_out import SeveralFailed, all_of, fan_out
from ci.errors import HostBusy
from ci.remote.names import LEASE

if TYPE_CHECKING:
    from ci.agent.process import Supervised
    from ci.run.processes import Processes

FORGET_S = 30.0
RETRY_EVERY_S = 5.0
# Two runs may have taken a host of each other's: the later one lets go, the earlier waits for it.
YIELDING_S = 5.0


def take_leases(processes: Processes, wait_s: float = 0) -> None:
    """Hold every host from now until the end of the night.

    All or none: where one is held by another run, those taken are let go again.

    Args:
        processes: of the run; keeps the leases.
        wait_s: how long to queue for hosts that another run holds.

    Raises:
        HostBusy: another run holds one.
        Interrupted: while waiting.
    """
    began = time.monotonic()
    shown = ""
    while True:
        try:
            _take_all(processes)
        except (HostBusy, SeveralFailed) as error:
            if not _only_busy(error) or time.monotonic() - began >= wait_s:
                raise
            _let_go(processes)
            if str(error) != shown:
                shown = str(error)
                processes.view.note(f"queueing: {shown}")
            _wait(processes, shown, began)
        else:
            return


def _take_all(processes: Processes) -> None:
    # The first host in a common order first: of two runs that begin at once, one has all.
    first, *others = sorted(processes.agents)
    all_of({first: _take(processes, first)})
    all_of(fan_out(others, lambda host: _take(processes, host)))


def _take(processes: Processes, host: str) -> Supervised:
    until = time.monotonic() + YIELDING_S
    while True:
        try:
            lease = processes.start(Launch(host, LEASE, ("sleep", "infinity")))
        except HostBusy as busy:
            if str(busy.holder.get("run", "")) <= processes.run or time.monotonic() > until:
                raise
            time.sleep(0.2)
        else:
            processes.leases[host] = lease
            return lease


def _let_go(processes: Processes) -> None:
    for lease in processes.leases.values():
        lease.stop(0)
    processes.leases.clear()
    call_all(processes.agents, "forget", FORGET_S, run=processes.run)


def _wait(processes: Processes, why: str, began: float) -> None:
    until = time.monotonic() + RETRY_EVERY_S
    while (left_s := until - time.monotonic()) > 0:
        processes.view.waiting(why, time.monotonic() - began, dict)
        try:
            event = processes.events.get(timeout=min(1.0, left_s))
        except Empty:
            continue
        if isinstance(event, BaseException):
            raise event


def _only_busy(error: HostBusy | SeveralFailed) -> bool:
    errors = error.errors if isinstance(error, SeveralFailed) else (error,)
    return all(isinstance(one, HostBusy) for one in errors)
