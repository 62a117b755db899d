"""`inv runs`: the latest runs of all cases."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ci.commands.history import up_to_date
from ci.connect.printed import one_line
from ci.errors import UserError
from ci.history.folders import state_of, unended
from ci.history.hosts import hosts_of, vllm_of
from ci.history.listing import PastNight, nights
from ci.history.select import case_named
from ci.record.known_secrets import hide_known, secrets_of
from ci.record.redact import plain, redacted
from ci.record.text import figure
from ci.report.table import as_text, width_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from ci.record.model import Run

HEADINGS = ("run", "started", "case", "vLLM", "hosts", "outcome", "figures or cause")
RUNNING = "running"
OUTCOMES = ("pass", "fail", "unknown", RUNNING)


def run_list(runs: str, case: str, outcome: str, limit: int, *, as_json: bool) -> str:
    """List nights, the newest first.

    Args:
        runs: the folder of all runs.
        case: name or file of a case; empty for all.
        outcome: only these; empty for all.
        limit: the largest number; 0 for all.
        as_json: return JSON.

    Raises:
        UserError: an argument is wrong, or the history cannot be read.
    """
    if outcome and outcome not in OUTCOMES:
        known = f"{', '.join(OUTCOMES[:-1])} or {OUTCOMES[-1]}"
        raise UserError(f"--outcome {outcome!r}: write {known}")
    if limit < 0:
        raise UserError(f"--limit {limit}: write a number from 1, or 0 for all")
    with up_to_date(Path(runs), running=False) as connection:
        now = unended(Path(runs), connection)
        name = _case(connection, case, now)
        ended = nights(connection, case=name, outcome=outcome, limit=limit or -1)
    wanted = [run for run in now if name in {"", run.case} and outcome in {"", RUNNING}]
    listed = sorted(
        [*map(_running, wanted), *ended], key=lambda each: (each.started_at, each.run), reverse=True
    )[: limit or None]
    secrets = secrets_of(os.environ)
    if as_json:
        values = redacted(plain([asdict(each) for each in listed]), secrets)
        return json.dumps(values, ensure_ascii=False, indent=1) + "\n"
    if not listed:
        with_it = f" with the outcome {outcome}" if outcome else ""
        return f"no night{with_it} in {runs}; `inv nightly --config local.yaml` runs one\n"
    rows = [
        (
            night.run,
            night.started_at[:16].replace("T", " "),
            night.case,
            night.vllm or "-",
            "+".join(night.hosts) or "-",
            night.outcome,
            night.cause
            or ", ".join(
                f"{each.benchmark} {figure(each.value, each.unit)}" for each in night.figures
            ),
        )
        for night in listed
    ]
    hidden = [[hide_known(one_line(cell), secrets) for cell in row] for row in rows]
    return as_text(HEADINGS, hidden, width_of(sys.stdout))


def _case(connection: sqlite3.Connection, name: str, now: Sequence[Run]) -> str:
    """Return the case that is meant: one with a night that runs or has ended; empty for all."""
    return name if not name or name in {run.case for run in now} else case_named(connection, name)


def _running(run: Run) -> PastNight:
    """Return a night without an outcome yet, as the list shows it."""
    return PastNight(
        run=run.id,
        folder=run.id,
        case=run.case,
        config=run.config,
        outcome=RUNNING,
        cause=state_of(run),
        vllm=vllm_of(run),
        device="",
        hosts=tuple(hosts_of(run)),
        started_at=run.started_at,
        ended_at="",
        git_commit=run.git_commit or "",
    )
