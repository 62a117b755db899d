"""Gather what a figure of tonight is judged by: earlier nights, and the baseline that holds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ci.history.case_baselines import case_baseline
from ci.history.database import opened
from ci.history.folders import refresh
from ci.history.ledger import load_ledger
from ci.history.night import figures_of, night_of
from ci.history.store import figures
from ci.judge.baseline import Ledger, holding
from ci.judge.evidence import Subject, knows_noise
from ci.judge.levels import levels_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from ci.judge.past import CheckId, PastFigure
    from ci.record.model import Run
    from ci.tools.model import Item

# Measurements that are compared with at most: some months of nights, some of them repeated.
NIGHTS = 150


@dataclass(frozen=True)
class Known:
    """What is known before tonight.

    Attributes:
        ledger: the baselines of the case that were accepted, and its rejected runs.
        past: check → figures of earlier nights.
    """

    ledger: Ledger
    past: Mapping[CheckId, tuple[PastFigure, ...]]

    def subject(self, tonight: PastFigure, run: Run) -> Subject:
        """Return what a figure is judged by.

        Args:
            tonight: the figure.
            run: the record of its night, which has the baselines of the case, and how the case
                wants to be judged.
        """
        written = case_baseline(run, tonight.benchmark, tonight.metric)
        subject = Subject(
            tonight,
            self.past.get(tonight.check, ()),
            holding(tonight, self.ledger, written),
            self.ledger.rejected_runs,
            same_vllm=run.judge.same_vllm,
        )
        # The figures of one benchmark are one check, and so are those of the servers' start.
        checks = len(run.benchmarks or ()) + bool(run.startup_metrics)
        levels = levels_of(run.judge, checks, known=knows_noise(subject))
        return replace(subject, levels=levels)


def known_before(
    runs: Path,
    ledgers: Path,
    case: str,
    checks: Sequence[CheckId],
    note: Callable[[str], None],
) -> Known:
    """Read the earlier nights of some checks, and the ledger of their case.

    Args:
        runs: the folder of all runs, with the history; what it lacks is added.
        ledgers: the folder of all ledgers.
        case: name of the case.
        checks: whose figures are read.
        note: called with a message about what cannot be read.

    Raises:
        UserError: the ledger or the history is damaged.
        InfrastructureError: the disk fails.
    """
    ledger = load_ledger(ledgers, case)
    with opened(runs) as connection:
        # Folders without a run that has ended, such as tonight's, are no news.
        refresh(runs, connection, note)
        past = {check: figures(connection, check, limit=NIGHTS) for check in checks}
    return Known(ledger, past)


def figures_tonight(run: Run, items: Mapping[str, Sequence[Item] | None]) -> tuple[PastFigure, ...]:
    """Return the figures of a night that is not judged yet.

    Args:
        run: its record.
        items: path of a file of items in the record → its items.
    """
    return figures_of(night_of(run, items, judged=False))
