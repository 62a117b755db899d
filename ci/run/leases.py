"""Host locking: a lease on every host of a run, held until the logs are fetched."""

from __future__ import annotations

import time
from queue import Empty
from typing import TYPE_CHECKING

from ci.agent.ask_all import call_all
from ci.agent.process_spec import LaunchRequest
from ci.connect.fan_out import SeveralFailed, all_of, fan_out
from ci.errors import QUEUE_ADVICE, HostBusy
from ci.remote.names import LEASE

if TYPE_CHECKING:
    from ci.agent.process import RemoteProcess
    from ci.run.processes import Processes

FORGET_S = 30.0
RETRY_EVERY_S = 5.0
# Two runs may each hold a host that the other needs: the later run yields, the earlier one waits.
YIELDING_S = 5.0


def take_leases(processes: Processes, wait_s: float = 0) -> None:
    """Lock every host of the run until the leases are released.

    All or none: if another run holds one host, the leases taken so far are released.

    Args:
        processes: the processes of the run; keeps the leases.
        wait_s: seconds to queue for hosts that another run holds.

    Raises:
        HostBusy: another run still holds a host after `wait_s`.
        Interrupted: the controller was asked to stop while waiting.
    """
    began = time.monotonic()
    shown = ""
    while True:
        try:
            _take_all(processes)
        except (HostBusy, SeveralFailed) as error:
            if not _only_busy(error) or time.monotonic() - began >= wait_s:
                raise
            _release(processes)
            if str(error) != shown:
                shown = str(error)
                processes.view.note(f"queueing: {shown.replace(QUEUE_ADVICE, '')}")
            _wait(processes, shown, began)
        else:
            return


def _take_all(processes: Processes) -> None:
    # All runs take the same host first, so one of two runs that start together gets all hosts.
    first, *others = sorted(processes.agents)
    all_of({first: _take(processes, first)})
    all_of(fan_out(others, lambda host: _take(processes, host)))


def _take(processes: Processes, host: str) -> RemoteProcess:
    until = time.monotonic() + YIELDING_S
    while True:
        try:
            lease = processes.start(LaunchRequest(host, LEASE, ("sleep", "infinity")))
        except HostBusy as busy:
            if str(busy.holder.get("run", "")) <= processes.run or time.monotonic() > until:
                raise
            time.sleep(0.2)
        else:
            processes.leases[host] = lease
            return lease


def _release(processes: Processes) -> None:
    for lease in processes.leases.values():
        lease.stop(0)
    processes.leases.clear()
    call_all(processes.agents, "forget", FORGET_S, run=processes.run)


def _wait(processes: Processes, reason: str, began: float) -> None:
    until = time.monotonic() + RETRY_EVERY_S
    while (left_s := until - time.monotonic()) > 0:
        processes.view.waiting(reason, time.monotonic() - began, dict)
        try:
            event = processes.events.get(timeout=min(1.0, left_s))
        except Empty:
            continue
        if isinstance(event, BaseException):
            raise event


def _only_busy(error: HostBusy | SeveralFailed) -> bool:
    errors = error.errors if isinstance(error, SeveralFailed) else (error,)
    return all(isinstance(cause, HostBusy) for cause in errors)
