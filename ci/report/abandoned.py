"""Completes the record of a night whose controller went without a word. Touches its folder."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ci.errors import ExitCode, InfrastructureError
from ci.judge.verdict import Verdict, marred
from ci.record.cause import cause_of
from ci.record.controller import liveness
from ci.record.disk import Folder
from ci.record.fields import utc_now
from ci.record.redact import plain
from ci.report.reports import write_reports

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CAUSE = (
    "the controller was killed, or its machine went down, in the middle of the night; the hosts "
    "ended what ran there by themselves; run again"
)


def complete_abandoned(path: Path, warn: Callable[[str], None]) -> bool:
    """Give an abandoned record its outcome, unknown, and its reports.

    Args:
        path: the run's folder on the machine of its controller; any other is left as it is.
        warn: told of what could not be written.

    Returns:
        Whether there was an abandoned record.
    """
    try:
        run = json.loads((path / "run.json").read_text("utf-8"))
    except (OSError, ValueError):
        return False
    if liveness(run) != "abandoned":
        return False
    for step in run["steps"]:
        if step["outcome"] == "running":
            step["outcome"] = "failed"
    verdict = marred(Verdict("unknown", ()), CAUSE)
    run |= {
        "outcome": verdict.outcome,
        "exit_code": int(ExitCode.UNKNOWN),
        "cause": cause_of(InfrastructureError(CAUSE)),
        "checks": plain(verdict.checks),
        "ended_at": utc_now(),
    }
    folder = Folder(path, warn)
    folder.release()
    folder.write("run.json", json.dumps(run, indent=2, ensure_ascii=False) + "\n")
    write_reports(folder, run, warn)
    return True
