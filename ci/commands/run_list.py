"""`inv runs`: the latest runs of all cases."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from ci.commands.history import up_to_date
from ci.connect.printed import one_line
from ci.errors import UserError
from ci.history.listing import nights
from ci.history.select import case_named
from ci.record.known_secrets import hide_known, secrets_of
from ci.record.redact import plain, redacted
from ci.record.text import figure
from ci.report.table import as_text, width_of

HEADINGS = ("run", "started", "case", "vLLM", "hosts", "outcome", "figures or cause")
OUTCOMES = ("pass", "fail", "unknown")


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
        raise UserError(f"--outcome {outcome!r}: write {', '.join(OUTCOMES[:-1])} or unknown")
    if limit < 0:
        raise UserError(f"--limit {limit}: write a number from 1, or 0 for all")
    with up_to_date(Path(runs)) as connection:
        name = case_named(connection, case) if case else ""
        listed = nights(connection, case=name, outcome=outcome, limit=limit or -1)
    secrets = secrets_of(os.environ)
    if as_json:
        values = redacted(plain([asdict(each) for each in listed]), secrets)
        return json.dumps(values, ensure_ascii=False, indent=1) + "\n"
    if not listed:
        wanted = f" with the outcome {outcome}" if outcome else ""
        return f"no night{wanted} in {runs}; `inv nightly --config local.yaml` runs one\n"
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
