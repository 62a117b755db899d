"""The way out of every night: servers stopped, logs home, everything verified, hosts as found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci.agent.process import Spec
from ci.record.cause import message_of
from ci.run.logs import bring_logs_home

if TYPE_CHECKING:
    from collections.abc import Callable

    from ci.agent.process import State, Supervised
    from ci.errors import InfrastructureError
    from ci.record.record import Record
    from ci.run.processes import Processes


@dataclass(frozen=True)
class HandedBack:
    """What came of the way out.

    Attributes:
        kept: everything runs on, on every host, as was asked.
        distrusted: what a host did that makes the night unknown, because nothing that it sent can
            be believed.
    """

    kept: bool
    distrusted: InfrastructureError | None


def hand_back(processes: Processes, record: Record, *, keep_s: float = 0) -> HandedBack:
    """Stop what the run started, bring its logs home, verify, free the hosts, and clean up.

    Never raises: a step that fails is noted, and hides neither the later steps nor the first
    cause. Hosts stay taken until their logs are home. A host's folder stays there when its logs
    could not be brought home.

    Args:
        processes: of the run.
        record: where it is noted.
        keep_s: leave everything running for so many seconds instead, and only fetch the logs. Where
            one host cannot, everything is stopped.
    """
    troubles: list[str] = []

    def attempt(step: Callable[[], list[str]]) -> bool:
        try:
            found = step()
        except Exception as error:  # noqa: BLE001 - every step of the way out is tried
            found = [message_of(error)]
        troubles.extend(found)
        return not found

    lost: dict[str, str] = {}
    ends: list[dict[str, object]] = []

    def note_ends(outcome: tuple[list[tuple[Supervised, State]], list[str]]) -> list[str]:
        states, unstopped = outcome
        ends.extend({"name": item.name, "host": item.host, **vars(end)} for item, end in states)
        record.update(processes=ends)
        return unstopped

    def find_lost() -> list[str]:
        lost.update(processes.lost())
        return [_is_lost(host, processes.run) for host in lost]

    attempt(find_lost)
    kept = keep_s > 0 and attempt(lambda: _keep(processes, keep_s))
    record.update(kept_s=keep_s if kept else 0)
    if not kept:
        attempt(lambda: note_ends(processes.stop()))
    left_there: dict[str, str] = dict.fromkeys(processes.agents, "not tried")

    def bring_home() -> list[str]:
        found = bring_logs_home(processes, record.path / "logs")
        left_there.clear()
        left_there.update(found)
        return [
            f"{host}: its logs did not come home: {why.removeprefix(f'{host}: ')}"
            for host, why in found.items()
            if host not in lost
        ]

    attempt(bring_home)
    if not kept:
        attempt(lambda: _verify(processes, record))
        attempt(lambda: note_ends(processes.release()))
        attempt(lambda: processes.clean(spared=left_there))
    for trouble in troubles:
        record.note(f"giving back: {trouble}")
    return HandedBack(kept, next(iter(processes.refused), None))


def _is_lost(host: str, run: str) -> str:
    return (
        f"{host} is lost: what ran there ends by itself {Spec.lease_s:g} s after the last word "
        f"from here, and its logs stay there; once it is back, `inv down --run {run}` brings them "
        "home and clears up"
    )


def _keep(processes: Processes, keep_s: float) -> list[str]:
    return [f"the servers are stopped, not kept: {why}" for why in processes.keep(keep_s)]


def _verify(processes: Processes, record: Record) -> list[str]:
    survivors, unsure = processes.survivors()
    record.update(survivors=survivors)
    return [*(f"still running: {name}" for name in survivors), *unsure]
