"""Read the figures of earlier nights for the checks of a run. Touches the history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.history.night import figures_of, night_of
from ci.history.store import figures
from ci.judge.comparable import comparable
from ci.judge.past import CheckId
from ci.record.page import Past

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from ci.record.model import Run
    from ci.tools.model import Item

MOST_PAST = 60


def past_of(
    connection: sqlite3.Connection,
    run: Run,
    items: Mapping[str, Sequence[Item] | None],
    rejected: Mapping[str, str],
) -> dict[tuple[str, str], tuple[Past, ...]]:
    """Read the earlier figures of every check of a run that is a figure: the oldest first.

    Args:
        connection: the history's database; it need not have the run itself.
        run: the record.
        items: file of items, as the record has it → its items.
        rejected: run → why an operator rejected it.

    Returns:
        Name and metric of the check → figures.
    """
    tonight = {each.check: each for each in reversed(figures_of(night_of(run, items)))}
    found = {}
    for check in run.checks:
        wanted = CheckId(run.case, check.name, check.metric)
        if check.value is None or wanted not in tonight:
            continue
        known = figures(connection, wanted, before=run.started_at, with_items=False)
        earlier = [each for each in known if each.purpose == "night" and each.run != run.id]
        history = comparable(
            tonight[wanted], earlier, rejected=rejected, same_vllm=run.judge.same_vllm
        )
        alike = {(each.run, each.repeat) for each in history.figures}
        found[check.name, check.metric] = tuple(
            Past(
                run=each.run,
                started_at=each.started_at,
                value=each.value,
                outcome=each.outcome or each.night,
                compared=(each.run, each.repeat) in alike,
            )
            for each in earlier[-MOST_PAST:]
        )
    return found
