"""Make the first fields of run.json, and write times in its format."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ci.catalog.locks import digest
from ci.record.controller import identity, user
from ci.record.model import VERSION
from ci.record.secrets import hide_in_argv, hide_in_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.judge.asked import Expectation
    from ci.tools.model import Result


def first_fields(run_id: str, case: str, config: str, argv: Sequence[str]) -> dict[str, Any]:
    """Return all fields of run.json, with their values at the start of a night."""
    return {
        "schema": VERSION,
        "id": run_id,
        "outcome": "running",
        "exit_code": None,
        "cause": None,
        "explanation": None,
        "case": case,
        "config": config,
        "purpose": "night",
        "night": "",
        "beside": [],
        "run_type": "",
        "suite": "",
        "cluster": "",
        "command": shlex.join(map(str, hide_in_argv(list(argv)))),
        "folder": str(Path.cwd()),
        "user": user(),
        "controller": identity(),
        "started_at": utc_now(),
        "ended_at": None,
        "benchmarks": None,
        "judge": {},
        "comparisons": [],
        "proved": [],
        "functional_report": {},
        "checks": [],
        "evaluations": [],
        "targets": [],
        "slurm": None,
        "hosts": {},
        "environments": {},
        "environment_changes": None,
        "since_good": None,
        "processes": [],
        "startup": [],
        "startup_figures": [],
        "startup_metrics": {},
        "survivors": [],
        "left_over": [],
        "kept_s": 0,
        "kept_url": "",
        "kept_until": None,
        "versions": {},
        "git_commit": None,
    }


def expectations(benchmarks: Sequence[Expectation]) -> list[dict[str, object]]:
    """Return what the judge needs of a case's benchmarks, for the record."""
    entries: list[dict[str, object]] = []
    for benchmark in benchmarks:
        baseline, threshold = benchmark.expected or (None, None)
        entry: dict[str, object] = {"name": benchmark.name, "case_type": benchmark.case_type}
        entry |= {"without_router": benchmark.without_router}
        further = {name: each.model_dump() for name, each in benchmark.further.items()}
        entry |= {"metrics": further}
        entries.append(entry | {"baseline": baseline, "threshold": threshold})
    return entries


def figures_of(result: Result) -> dict[str, object]:
    """Return a result in the form of run.json."""
    return {
        "started_at": result.started_at,
        "ended_at": result.ended_at,
        "measurements": result.measurements,
        "problems": tuple(map(hide_in_text, result.problems)),
        "void": result.void,
        "n_items": len(result.items),
        "passes": result.passes,
    }


def without_locks(plan: Any) -> Any:  # noqa: ANN401 - JSON
    """Replace the packages of each lock in a plan by their number, to keep it short."""
    for item in plan.get("preparations", ()) if isinstance(plan, dict) else ():
        for key in ("locks", "prefer"):
            if key in item["spec"]:
                item["spec"][key] = {
                    machine: f"{len(packages)} packages, {digest(packages)}"
                    for machine, packages in item["spec"][key].items()
                }
    return plan


def utc_now() -> str:
    """Return the present time in the format of the record: ISO 8601, UTC, milliseconds."""
    return utc(datetime.now(UTC))


def utc(time: datetime) -> str:
    """Write a time with a zone in the format of the record."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
