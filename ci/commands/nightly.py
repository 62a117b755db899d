"""What each task does: options → case → site → plan → night."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ci.case import load as cases
from ci.errors import ExitCode, UserError
from ci.paths import CASES
from ci.plan.build import build
from ci.resolve import Selection, require_datasets, resolve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.case.model import Case
    from ci.plan.inputs import PlanInputs
    from ci.plan.model import Plan
    from ci.record.view import View
    from ci.run.interrupt import Interrupts
    from ci.session import Request

__all__ = ["Manner", "Selection", "describe", "nightly"]

KEEP_S = 12 * 3600.0
# Of several nights, the worst is what the command exits with.
WORSE = (ExitCode.PASS, ExitCode.UNKNOWN, ExitCode.FAIL, ExitCode.USER, ExitCode.INTERRUPTED)


@dataclass(frozen=True)
class Manner:
    """How a night is run.

    Attributes:
        runs: the folder of all runs.
        argv: the command line, for the record.
        doctor: whether the hosts are examined first.
        wait: queue for hosts that another run holds.
        keep: leave the servers running afterwards.
    """

    runs: str
    argv: Sequence[str]
    doctor: bool = True
    wait: bool = False
    keep: bool = False


def nightly(options: Selection, manner: Manner, *, measure: bool = True) -> ExitCode:
    """Run a night; of a file with several cases one after another, each a run of its own.

    Args:
        options: which case, and where.
        manner: how.
        measure: False leaves the benchmarks out.

    Returns:
        The worst that came of any; an interrupt ends all.

    Raises:
        UserError: a case or the options are wrong; nothing was started.
    """
    from ci.inventory.this_machine import require_device  # noqa: PLC0415

    cases = [(case, resolve(case, options)) for case in chosen(options)]
    if manner.keep and len(cases) > 1:
        names = ", ".join(case.name for case, _ in cases)
        raise UserError(
            f"{options.config} has several cases: {names}; keep one: --config FILE#NAME"
        )
    if not measure:
        cases = [(case.model_copy(update={"benchmarks": ()}), site) for case, site in cases]
    requests = []
    for case, site in cases:  # what is wrong with one is said before any host is asked
        require_datasets(case, options)
        requests.append(_request(case, site, options, manner))
        if site.local:
            require_device(options.device or case.device or "cpu")
    return _nights(requests, manner)


def _request(case: Case, site: PlanInputs, options: Selection, manner: Manner) -> Request:
    from ci.session import Request  # noqa: PLC0415

    return Request(
        case=case,
        site=site,
        paper=build(case, site),
        device=options.device,
        doctor=manner.doctor,
        wait_s=math.inf if manner.wait else 0,
        keep_s=KEEP_S if manner.keep else 0,
    )


def _nights(requests: Sequence[Request], manner: Manner) -> ExitCode:
    """Run nights one after another, on one screen; a signal ends the one that runs, and all."""
    from ci.report.open_view import open_view  # noqa: PLC0415
    from ci.run.interrupt import interrupts  # noqa: PLC0415

    worst = ExitCode.PASS
    with open_view(sys.stdout) as view, interrupts(view.warn) as taken:
        for request in requests:
            worst = max(worst, _night(request, manner, view, taken), key=WORSE.index)
            if taken.first:  # also while the hosts were handed back
                return ExitCode.INTERRUPTED
    return worst


def _night(request: Request, manner: Manner, view: View, taken: Interrupts) -> ExitCode:
    from ci.nightly import run_night  # noqa: PLC0415
    from ci.record.record import start  # noqa: PLC0415
    from ci.report.reports import write_reports  # noqa: PLC0415

    case = request.case
    argv = ["inv", *manner.argv[1:]]
    with start(
        Path(manner.runs), view, write_reports, case=case.name, config=case.path, argv=argv
    ) as record:
        record.expect(case.benchmarks, case.comparisons)
        record.update(targets=request.site.targets)
        for warning in case.warnings:
            record.note(f"warning: {warning}")
        record.write_plan(request.paper)
        return run_night(request, record, view, taken)


def describe(options: Selection, host: str = "", *, as_json: bool) -> str:
    """Say what a night would do, as text or as JSON.

    Args:
        options: which case, and where.
        host: name or index of the one host whose share is wanted; empty wants all.
        as_json: or as text.

    Raises:
        UserError: the case or the options are wrong.
    """
    from ci.report.plan.text import as_text, as_values  # noqa: PLC0415

    plan = plan_of(options)
    return json.dumps(as_values(plan, host), indent=2) + "\n" if as_json else as_text(plan, host)


def plan_of(options: Selection) -> Plan:
    """Read the case and plan it for where the options say.

    Raises:
        UserError: the case or the options are wrong.
    """
    return build(*found(options))


def found(options: Selection) -> tuple[Case, PlanInputs]:
    """Read the one case that is wanted, and survey where it is to run; no host is asked.

    Raises:
        UserError: the case or the options are wrong, or the file has several and none is named.
    """
    _require_config(options)
    case = cases.load_one(options.config, CASES)
    return case, resolve(case, options)


def chosen(options: Selection) -> tuple[Case, ...]:
    """Read every case that is wanted: all of a file's, or the one that `FILE#NAME` names.

    Raises:
        UserError: the case or the options are wrong.
    """
    _require_config(options)
    if "#" in options.config:
        return (cases.load_one(options.config, CASES),)
    return cases.load(cases.find(options.config, CASES))


def _require_config(options: Selection) -> None:
    if not options.config:
        known = ", ".join(sorted(path.name for path in CASES.glob("*.yaml")))
        raise UserError(f"give --config: a path, or one of {known} of {CASES}")
