"""Tell the receivers of a suite about its nights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.notify.deliver import notify
from ci.notify.nights import Ended

if TYPE_CHECKING:
    from pathlib import Path

    from ci.suite.notifying import Notify
    from ci.suite.progress import SuiteRun


def tell(run: SuiteRun, wanted: Notify, runs: Path, suite_file: str) -> tuple[str, ...]:
    """Send the messages of a suite that has ended; nothing is raised for a receiver that is down.

    Args:
        run: the suite's run.
        wanted: `notify` of the suite.
        runs: the folder of all runs.
        suite_file: its path; templates are found from it on.

    Returns:
        A note for each receiver.
    """
    last = [(night, night.last) for night in run.nights if night.last is not None]
    earlier = {each.run for night in run.nights for each in night.attempts[:-1]}
    deliveries = notify(
        [Ended(runs / attempt.run, night.owner, muted=not night.counts) for night, attempt in last],
        wanted,
        name=run.name,
        suite_file=suite_file,
        remarks=remarks_of(run),
        same_evening=earlier,
    )
    return tuple(
        f"{each.to}: {each.outcome}{f', {each.note}' * bool(each.note)}" for each in deliveries
    )


def remarks_of(run: SuiteRun) -> tuple[str, ...]:
    """Return what no night tells: those that were not begun, missing cases, hosts in quarantine."""
    left_out = [night for night in run.nights if night.state == "left-out" and night.counts]
    count = len(left_out)
    begun = f"{count} night{'s were' if count > 1 else ' was'} not begun"
    return (
        *((f"{begun}: {left_out[0].note}",) if left_out else ()),
        *run.problems,
        *(f"host {each.host} takes no nights: {each.reason}" for each in run.quarantined),
    )
