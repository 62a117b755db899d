"""End of every night: stop the servers, fetch the logs, verify, free and clean the hosts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci.agent.process_spec import ProcessSpec
from ci.record.cause import message_of
from ci.run.logs import bring_logs_home
from ci.run.stop import clean, find_survivors, keep, lost_hosts, release, stop

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from ci.errors import InfrastructureError
    from ci.record.record import Record
    from ci.run.processes import Processes
    from ci.run.stop import Ends


@dataclass(frozen=True)
class HandedBack:
    """Result of handing the hosts back.

    Attributes:
        unverified: the processes that still run, and the hosts that were lost or did not answer
            when they were asked for them.
        left: what the run used and is still in use, and hosts that could not be asked for it.
        kept: whether the servers were left running on every host, as requested.
        refused: the error of a host that sent what no honest host sends; its data cannot be
            trusted, so the outcome of the night is unknown. None if there was none.
    """

    unverified: tuple[str, ...]
    left: tuple[str, ...]
    kept: bool
    refused: InfrastructureError | None


def hand_back(
    processes: Processes,
    record: Record,
    *,
    keep_s: float = 0,
    find_left: Callable[[], list[str]] = list,
) -> HandedBack:
    """Stop the run's processes, fetch their logs, verify, free the hosts, and clean up.

    Never raises: a failed step is noted in the record, the following steps still run, and the error
    that ended the night stays the cause. Each host stays locked until its logs are fetched. If they
    or other output cannot be fetched, the run's folder is left on the host.

    Args:
        processes: the processes of the run.
        record: receives the notes, the final process states and the logs.
        keep_s: seconds to leave the servers running; 0 stops them. The logs are fetched in either
            case. If one host cannot keep them running, all servers are stopped.
        find_left: waits until what the run used is free, and returns what is not.
    """
    steps = _Steps()
    lost: dict[str, str] = {}
    ends: list[dict[str, object]] = []
    not_fetched: dict[str, str] = dict.fromkeys(processes.agents, "not tried")
    steps.attempt(lambda: _find_lost(processes, lost))
    kept = keep_s > 0 and steps.attempt(lambda: _keep(processes, keep_s))
    record.update(kept_s=keep_s if kept else 0)
    if not kept:
        steps.attempt(lambda: _note_ends(stop(processes), ends, record))
    steps.attempt(lambda: _fetch_logs(processes, record, lost, not_fetched))
    left: list[str] = []
    unverified = [f"{host} was not verified: {why}" for host, why in lost.items()]
    if not kept:
        noted = len(steps.problems)
        steps.attempt(lambda: _verify(processes, record))
        unverified += steps.problems[noted:]
        noted = len(steps.problems)
        steps.attempt(lambda: _note_left(find_left(), record))
        left = steps.problems[noted:]
        steps.attempt(lambda: _note_ends(release(processes), ends, record))
        steps.attempt(lambda: clean(processes, excluded={*not_fetched, *processes.not_home}))
    for problem in steps.problems:
        record.note(f"handing back the hosts: {problem}")
    refused = next(iter(processes.refused), None)
    return HandedBack(tuple(unverified), tuple(left), kept, refused)


class _Steps:
    """Runs steps, also after a failed step; `problems` has the errors of all."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def attempt(self, step: Callable[[], list[str]]) -> bool:
        """Run a step, which returns its errors; return whether it had none."""
        try:
            errors = step()
        except Exception as error:  # noqa: BLE001 - the following steps have to run
            errors = [message_of(error)]
        self.problems.extend(errors)
        return not errors


def _find_lost(processes: Processes, lost: dict[str, str]) -> list[str]:
    lost.update(lost_hosts(processes))
    return [_lost_message(host, processes.run) for host in lost]


def _note_ends(outcome: Ends, ends: list[dict[str, object]], record: Record) -> list[str]:
    states, unstopped = outcome
    ends.extend({"name": item.name, "host": item.host, **vars(end)} for item, end in states)
    record.update(processes=ends)
    return unstopped


def _fetch_logs(
    processes: Processes, record: Record, lost: Container[str], not_fetched: dict[str, str]
) -> list[str]:
    errors = bring_logs_home(processes, record.path / "logs")
    not_fetched.clear()
    not_fetched.update(errors)
    return [
        f"{host}: its logs could not be fetched: {error.removeprefix(f'{host}: ')}"
        for host, error in errors.items()
        if host not in lost
    ]


def _lost_message(host: str, run: str) -> str:
    return (
        f"{host} is lost: its processes end by themselves {ProcessSpec.lease_s:g} s after the last "
        "contact with this machine, and its logs stay there; once it is reachable, run "
        f"`inv down --run {run}` to fetch the logs and clean up"
    )


def _keep(processes: Processes, keep_s: float) -> list[str]:
    return [f"the servers are stopped, not kept: {error}" for error in keep(processes, keep_s)]


def _note_left(left: list[str], record: Record) -> list[str]:
    record.update(left_over=left)
    return left


def _verify(processes: Processes, record: Record) -> list[str]:
    alive, unverified = find_survivors(processes)
    record.update(survivors=alive)
    return [*(f"still running: {name}" for name in alive), *unverified]
