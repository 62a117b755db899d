"""What each task does: options → case → site → plan → night."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ci.case import load as cases
from ci.errors import UserError
from ci.plan.build import build
from ci.site import CONFIGS, Options, survey, workspace_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ci.errors import ExitCode
    from ci.plan.model import Plan

__all__ = ["Options", "describe", "fetch_datasets", "nightly"]

# As the operator would name it, from whichever folder of the project.
CASES = Path(os.path.relpath(CONFIGS / "cases"))


def nightly(options: Options, runs: str, argv: Sequence[str]) -> ExitCode:
    """Run a night.

    Args:
        options: which case, and where.
        runs: the folder of all runs.
        argv: the command line, for the record.

    Raises:
        UserError: the case or the options are wrong; nothing was started.
    """
    from ci.hosts.connection import LocalConnection  # noqa: PLC0415
    from ci.hosts.device import require_device  # noqa: PLC0415
    from ci.nightly import run_night  # noqa: PLC0415
    from ci.report.console import open_view  # noqa: PLC0415
    from ci.report.run import start  # noqa: PLC0415

    plan = plan_of(options)
    case = plan.case
    require_device(options.device or case.device or "cpu")
    with (
        open_view(sys.stdout) as view,
        start(
            Path(runs), view, case=case.name, config=case.path, argv=["inv", *argv[1:]]
        ) as record,
    ):
        record.update(benchmarks=[item.name for item in case.benchmarks])
        record.write_plan(plan)
        connections = {host: LocalConnection(host) for host in plan.hosts}
        return run_night(plan, connections, record, view)


def describe(options: Options, *, as_json: bool) -> str:
    """Say what a night would do, as text or as JSON.

    Raises:
        UserError: the case or the options are wrong.
    """
    from ci.report.plan import as_text, as_values  # noqa: PLC0415

    plan = plan_of(options)
    return json.dumps(as_values(plan), indent=2) + "\n" if as_json else as_text(plan)


def fetch_datasets(name: str, workspace: str) -> Iterator[str]:
    """Fetch one dataset, or all of them; yields a line about each.

    Raises:
        UserError: an unknown name.
        InfrastructureError: the download failed, or is not what it should be.
    """
    from ci.datasets import fetch, fetchable  # noqa: PLC0415

    cache = Path(workspace_of(workspace)) / "datasets"
    for one in [name] if name else fetchable():
        yield fetch(one, cache)


def plan_of(options: Options) -> Plan:
    """Read the case and plan it for where the options say.

    Raises:
        UserError: the case or the options are wrong.
    """
    if not options.config:
        known = ", ".join(sorted(path.name for path in CASES.glob("*.yaml")))
        raise UserError(f"give --config: a path, or one of {known} of {CASES}")
    case = cases.load(cases.find(options.config, CASES))
    return build(case, survey(case, options))
