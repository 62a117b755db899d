"""Say what changed since the last good night of a case. Reads the history and folders of runs."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from ci.errors import Interrupted, UserError
from ci.history.by_side import nearest_first, side_of
from ci.history.database import opened
from ci.history.differences import differences, not_known
from ci.history.folders import refresh
from ci.history.hosts import devices_of
from ci.history.ledger import load_ledger
from ci.history.listing import nights
from ci.history.surroundings import surroundings_of
from ci.paths import BASELINES
from ci.record.cause import message_of
from ci.record.model import Changed, SinceGood
from ci.record.stored import Stored, read_run
from ci.record.text import MODELS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ci.judge.verdict import Check, Verdict
    from ci.record.model import Run
    from ci.record.record import Record

# Variables that a report shows; `inv compare` shows the others.
SHOWN = 5
# Good nights that are looked at: those of other devices, or that were rejected, are passed over.
MOST = 30


def note_since_good(
    record: Record, verdict: Verdict, error: BaseException | None
) -> SinceGood | None:
    """Record what changed since the last good night, if this night is not a pass; return it.

    Never raises: what cannot be read is a note.

    Args:
        record: of the night, before it is finished.
        verdict: of the night.
        error: what ended it early; None if nothing did.
    """
    if (verdict.outcome == "pass" and error is None) or isinstance(
        error, KeyboardInterrupt | Interrupted
    ):
        return None
    stored = Stored(record.path, record.run)
    try:
        found = since_good(stored, verdict.checks, error, record.note)
        record.update(since_good=found)
    except Exception as failed:  # noqa: BLE001 - the night's outcome stands, whatever fails here
        record.note(f"not compared with the last good night: {message_of(failed)}")
        return None
    return found


def since_good(
    stored: Stored,
    checks: Sequence[Check],
    error: BaseException | None,
    note: Callable[[str], None],
    ledgers: Path = BASELINES,
) -> SinceGood | None:
    """Find what changed since the last good night of the same case and kind of device.

    Args:
        stored: the record of the night; its plan and packages are read from its folder.
        checks: of its verdict.
        error: what ended it early; None if nothing did.
        note: called with a message about what cannot be read.
        ledgers: the folder of all ledgers, which have the rejected nights.

    Returns:
        The changes, nearest to the failure first; None if there is no such night.

    Raises:
        UserError: the history or the ledger is damaged.
        InfrastructureError: the disk fails.
    """
    runs, run = stored.folder.parent, stored.run
    rejected = load_ledger(ledgers, run.case).rejected_runs
    with opened(runs) as connection:
        refresh(runs, connection, lambda _: None)  # what other runs lack is said by `inv history`
        listed = nights(connection, case=run.case, outcome="pass", limit=MOST)
    folders = [
        runs / night.folder
        for night in listed
        if night.started_at < run.started_at and night.run not in {run.id, *rejected}
    ]
    good = next(_alike(run, folders, note), None)
    if good is None:
        return None
    around = surroundings_of(good), surroundings_of(stored)
    side = side_of(run, checks, error)
    found = nearest_first(differences(*around), side)
    return SinceGood(
        run=good.run.id,
        side=side,
        count=len(found),
        shown=tuple(Changed(variable=each.variable, text=each.text) for each in found[:SHOWN]),
        not_known=not_known(*around),
        compare=_command(runs, good.run.id, run.id),
    )


def _alike(run: Run, folders: Sequence[Path], note: Callable[[str], None]) -> Iterator[Stored]:
    """Yield the good nights that a night can be compared with, the newest first."""
    for folder in folders:
        try:
            other = read_run(folder)
        except UserError as error:
            note(f"not compared with {folder.name}: {error}")
            continue
        if _is_alike(run, other.run):
            yield other


def _is_alike(run: Run, other: Run) -> bool:
    """Whether another night served, and measured if this one did, on the same kind of device.

    A night that measured nothing passes more easily. The device is unknown until hosts were asked.
    """
    served = MODELS not in {check.name for check in other.checks}
    as_much = bool(other.benchmarks) or not run.benchmarks
    kinds = {devices_of(each)[0] for each in (run, other) if each.hosts}
    return served and as_much and len(kinds) <= 1 and other.purpose == "night"


def _command(runs: Path, first: str, second: str) -> str:
    """Write the command that shows all that differs between two runs."""
    words = ["inv", "compare", "--pair", f"{first},{second}"]
    if runs.resolve() != Path("runs").resolve():
        words += ["--runs", str(runs)]
    return shlex.join(words)
