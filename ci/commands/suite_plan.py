"""`inv suite.plan`: which nights run where and when, and which do not."""

from __future__ import annotations

import datetime as dt
import json
import sys
from typing import TYPE_CHECKING

from ci.commands.suite_source import selected_nights
from ci.commands.suite_table import as_table, as_values
from ci.errors import ExitCode, UserError
from ci.inventory import cluster_file
from ci.suite.planned import plan_suite
from ci.suite.values import clock_of
from ci.suite.window import span_of

if TYPE_CHECKING:
    from ci.commands.suite_flags import Plan
    from ci.suite.load import NightSuite
    from ci.suite.model import Window


def plan(given: Plan, now: dt.datetime | None = None) -> ExitCode:
    """Print the plan of a suite.

    Args:
        given: the flags.
        now: the present, local; None for the clock's.

    Returns:
        USER if a case is missing or not valid; the others are planned.

    Raises:
        UserError: the suite, its hosts or a flag is wrong.
    """
    until = clock_of(given.until, "--until") if given.until else ""
    now = now or dt.datetime.now().astimezone().replace(tzinfo=None, microsecond=0)
    selected = selected_nights(given, now.date())
    cluster = given.cluster or selected.suite.document.cluster or ""
    if not cluster:
        raise UserError(
            f"{selected.suite.file}: names no cluster; add `cluster: NAME`, or --cluster"
        )
    targets = cluster_file.load(cluster_file.find(cluster))
    span = span_of(now, _window_of(selected.suite, given.run_type), until)
    planned = plan_suite(selected.nights, targets, span)
    if given.json:
        values = as_values(selected, planned, given.run_type, cluster)
        sys.stdout.write(json.dumps(values, indent=2, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write(as_table(selected, planned, given.run_type, cluster))
    for problem in selected.problems:
        print(f"left out: {problem}", file=sys.stderr)
    return ExitCode.USER if selected.problems else ExitCode.PASS


def _window_of(suite: NightSuite, name: str) -> Window | None:
    run_type = (suite.document.run_types or {}).get(name)
    return (run_type.window if run_type else None) or suite.document.window
