"""Tell the receivers of a suite about its nights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.documents.counted import counted
from ci.notify.deliver import notify
from ci.notify.message import SuiteNews
from ci.notify.nights import Ended
from ci.suite.outcome import outcome_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from ci.notify.sending import Delivery
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
    deliveries = tell_of_suite(run, wanted, runs, suite_file)
    return tuple(
        f"{each.to}: {each.outcome}{f', {each.note}' * bool(each.note)}" for each in deliveries
    )


def tell_of_suite(  # noqa: PLR0913 - each is one thing that a caller may know
    run: SuiteRun,
    wanted: Notify,
    runs: Path,
    suite_file: str,
    *,
    repeated: bool = False,
    dry_run: bool = False,
    env: Mapping[str, str] | None = None,
) -> tuple[Delivery, ...]:
    """Send the messages about a suite's run.

    Args:
        run: the suite's run.
        wanted: who is told.
        runs: the folder of all runs.
        suite_file: the suite's path.
        repeated: as for `notify`, like the next ones.
        dry_run: send nothing.
        env: the environment; None for that of this process.
    """
    last = [(night, night.last) for night in run.nights if night.last is not None]
    return notify(
        [Ended(runs / attempt.run, night.owner, muted=not night.counts) for night, attempt in last],
        wanted,
        name=run.name,
        suite_file=suite_file,
        remarks=remarks_of(run),
        same_evening=attempts_of(run),
        suite=SuiteNews(outcome_of(run), tuple(_news(run))),
        folder=runs / run.id,
        repeated=repeated,
        dry_run=dry_run,
        env=env,
    )


def attempts_of(run: SuiteRun) -> frozenset[str]:
    """Return the ids of all runs of a suite's run: none of them is the night before another."""
    return frozenset(each.run for night in run.nights for each in night.attempts)


def remarks_of(run: SuiteRun) -> tuple[str, ...]:
    """Return what no night tells: those that were not begun, missing cases, hosts in quarantine."""
    left_out = [night for night in run.nights if night.state == "left-out" and night.counts]
    count = len(left_out)
    begun = f"{counted(count, 'night')} {'was' if count == 1 else 'were'} not begun"
    return (
        *((f"{begun}: {left_out[0].note}",) if left_out else ()),
        *run.problems,
        *(f"host {each.host} takes no nights: {each.reason}" for each in run.quarantined),
    )


def _news(run: SuiteRun) -> Iterator[str]:
    """Yield the same for a title, in a few words each."""
    left_out = sum(night.state == "left-out" and night.counts for night in run.nights)
    if left_out:
        yield f"{left_out} not begun"
    if run.problems:
        yield f"{counted(len(run.problems), 'case')} left out"
    if run.quarantined:
        yield f"{counted(len(run.quarantined), 'host')} in quarantine"
    if run.interrupted:
        yield "interrupted"
