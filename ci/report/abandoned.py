"""Complete the record of a night whose controller has died. Touches the run's folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.errors import ExitCode, InfrastructureError, UserError
from ci.history.since_good import since_good
from ci.judge.verdict import Verdict, degrade_if_ended_early
from ci.record.cause import cause_of, message_of
from ci.record.controller import liveness
from ci.record.disk import Folder
from ci.record.fields import utc_now
from ci.record.redact import plain
from ci.record.stored import FILE, Stored, as_run, as_text, read_run
from ci.report.reports import write_reports

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ci.record.model import StepEntry

CAUSE = (
    "the controller was killed, or its machine went down, during the night; the hosts stopped its "
    "processes themselves; run again"
)


def complete_abandoned(path: Path, warn: Callable[[str], None]) -> bool:
    """Set the outcome of an abandoned record to unknown, and write its reports.

    Args:
        path: the run's folder; only that of an abandoned run of this machine is changed.
        warn: called with a message for each file that could not be read or written.

    Returns:
        True if the record was abandoned.
    """
    if not (path / FILE).exists():
        return False
    try:
        run = read_run(path).run
    except UserError as error:
        warn(f"not completed: {error}")
        return False
    if liveness(run) != "abandoned":
        return False
    verdict = degrade_if_ended_early(Verdict("unknown", ()), CAUSE)
    ended = as_run(
        run.model_dump(mode="json")
        | {
            "outcome": verdict.outcome,
            "exit_code": int(ExitCode.UNKNOWN),
            "cause": cause_of(InfrastructureError(CAUSE)),
            "checks": plain(verdict.checks),
            "steps": [_ended(step) for step in run.steps],
            "since_good": _since_good(Stored(path, run), verdict, warn),
            "ended_at": utc_now(),
        }
    )
    folder = Folder(path, warn)
    folder.release()
    folder.write(FILE, as_text(ended))
    write_reports(folder, ended, warn)
    return True


def _since_good(
    stored: Stored, verdict: Verdict, warn: Callable[[str], None]
) -> dict[str, object] | None:
    """Return what changed since the last good night; None if nobody can say."""
    try:
        found = since_good(stored, verdict.checks, InfrastructureError(CAUSE), warn)
    except Exception as error:  # noqa: BLE001 - the record is completed, whatever fails here
        warn(f"not compared with the last good night: {message_of(error)}")
        return None
    return found.model_dump(mode="json") if found else None


def _ended(step: StepEntry) -> dict[str, object]:
    outcome = "failed" if step.outcome == "running" else step.outcome
    return step.model_dump() | {"outcome": outcome}
