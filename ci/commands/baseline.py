"""`inv baseline.show`, `.accept` and `.reject`: the ledgers of baselines in git."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ci.case import load as cases
from ci.commands.baseline_table import as_text, as_values
from ci.commands.history import folder_of_baselines, up_to_date, warn
from ci.connect.printed import one_line
from ci.documents.nearest import nearest
from ci.errors import ExitCode, UserError
from ci.history.case_baselines import case_baseline, location_of
from ci.history.folders import read_night
from ci.history.ledger import append, load_ledger, load_ledgers, path_of
from ci.history.named import last_of_case
from ci.history.night import figures_of
from ci.history.select import folder_of
from ci.history.store import figures
from ci.judge.asked import asked_in
from ci.judge.baseline import (
    Accepted,
    CaseBaseline,
    Ledger,
    Rejected,
    accepted_value,
    evidence_of,
    holding,
    is_worse,
    objections,
)
from ci.judge.comparable import comparable
from ci.paths import CASES, PROJECT
from ci.record.controller import owner
from ci.record.fields import utc_now
from ci.record.stored import read_run
from ci.record.text import figure as shown
from ci.report.table import width_of

if TYPE_CHECKING:
    import sqlite3

    from ci.case.model import Case
    from ci.commands.history_flags import Accept, Because, Show
    from ci.judge.past import PastFigure
    from ci.record.model import Run

CaseBaselines = dict[tuple[str, str], CaseBaseline]


def show(given: Show) -> str:
    """List the baselines of a case, or of all ledgers, as text or as JSON.

    Raises:
        UserError: there is neither a ledger nor a case of this name, or a file is not valid.
    """
    folder = folder_of_baselines(given.baselines)
    if given.case:
        chosen = _of_case(folder, given.case, Path(given.runs))
    else:
        chosen = [(ledger, {}) for ledger in load_ledgers(folder)]
    if given.json:
        return json.dumps([as_values(*each) for each in chosen], indent=2) + "\n"
    if not chosen:
        return f'no ledger in {folder}; `inv baseline.accept RUN --because "…"` begins one\n'
    return "\n".join(as_text(*each, width_of(sys.stdout)) for each in chosen)


def accept(given: Accept) -> ExitCode:
    """Accept the figures of a run as the baselines of its case, all or none.

    Raises:
        UserError: something speaks against a figure and is not forced, the run has no such figure,
            or the ledger cannot be written.
    """
    _require_reason(given.because)
    runs, folder = Path(given.runs), folder_of_baselines(given.baselines)
    with up_to_date(runs) as connection:
        path = folder_of(runs, connection, given.run, folder)
        run = read_run(path).run
        ledger = load_ledger(folder, run.case)
        _require_not_rejected(ledger, run.id)
        _require_night(run)
        night = read_night(path, warn)
        chosen = _chosen(figures_of(night), run, given.benchmark)
        entries = [_entry(connection, ledger, run, each, given.because) for each in chosen]
    against = [
        f"{entry.benchmark} {entry.metric}: {reason}"
        for entry in entries
        for reason in entry.forced
    ]
    if against and not given.force:
        listed = "\n".join(f"  {each}" for each in against)
        raise UserError(
            f"{run.id} is not accepted:\n{listed}\nAccept another run, one benchmark with "
            "--benchmark NAME, or give --force; the ledger then keeps these reasons"
        )
    written = append(folder, run.case, "accepted", entries)
    for entry in load_ledger(folder, run.case).accepted[-len(entries) :]:
        print(one_line(_line(entry)))
        for reason in entry.forced:
            print(f"  FORCED: {one_line(reason)}")
    print(f"commit {written}")
    return ExitCode.PASS


def reject(given: Because) -> ExitCode:
    """Reject a run, so that it never enters the history that judging uses.

    Raises:
        UserError: the run does not exist, it was rejected already, or the ledger cannot be written.
    """
    _require_reason(given.because)
    runs, folder = Path(given.runs), folder_of_baselines(given.baselines)
    with up_to_date(runs) as connection:
        run = read_run(folder_of(runs, connection, given.run, folder)).run
    ledger = load_ledger(folder, run.case)
    _require_not_rejected(ledger, run.id)
    entry = Rejected(run.id, owner(), utc_now(), given.because)
    written = append(folder, run.case, "rejected", [entry])
    print(f"{run.id} is rejected: no later night is compared with it")
    for each in ledger.accepted:
        if run.id in each.runs:
            warn(
                f"{each.benchmark} {each.metric} of {each.source} rests on this run, among "
                f"{len(each.runs)}; accept another night in its place"
            )
    print(f"commit {written}")
    return ExitCode.PASS


def _require_reason(because: str) -> None:
    if not because.strip():
        raise UserError('--because is missing; give the reason: --because "three nights on 0.32.0"')


def _require_not_rejected(ledger: Ledger, run: str) -> None:
    entry = next((each for each in ledger.rejected if each.run == run), None)
    if entry:
        raise UserError(
            f"{run} was rejected by {entry.who}: {entry.because}; if that is no longer so, remove "
            f"the entry in {entry.file}:{entry.line}"
        )


def _require_night(run: Run) -> None:
    """Refuse a run that only belongs to a night: no later night is ever compared with it."""
    if run.purpose != "night":
        raise UserError(
            f"{run.id} is no night of its own ({run.purpose}), and belongs to {run.night}; accept "
            "a night, `inv history CASE` lists them"
        )


def _chosen(found: tuple[PastFigure, ...], run: Run, benchmark: str) -> list[PastFigure]:
    """Return the figures of a run that have a check, each of the first measurement.

    Raises:
        UserError: there is none.
    """
    checks = {(check.name, check.metric) for check in run.checks}
    judged = [
        each for each in found if (each.benchmark, each.metric) in checks and each.repeat == 0
    ]
    chosen = [each for each in judged if benchmark in {"", each.benchmark}]
    if chosen:
        return chosen
    names = sorted({each.benchmark for each in judged})
    if benchmark and names:
        near = nearest(benchmark, names)
        guess = f"did you mean {near!r}? " if near else ""
        there = f"it has: {', '.join(names)}"
        raise UserError(f"{run.id} has no figure of {benchmark!r}; {guess}{there}")
    raise UserError(f"{run.id} has no figure with a check, so there is nothing to accept")


def _entry(
    connection: sqlite3.Connection, ledger: Ledger, run: Run, figure: PastFigure, because: str
) -> Accepted:
    """Make the entry of a figure; `forced` has all that speaks against it."""
    past = figures(connection, figure.check)
    history = comparable(figure, past, rejected=ledger.rejected_runs, same_vllm=run.judge.same_vllm)
    evidence = evidence_of(figure, history)
    held = holding(figure, ledger, case_baseline(run, figure.benchmark, figure.metric))
    value, spread = accepted_value(evidence)
    worse = held.value is not None and is_worse(figure.metric, figure.unit, value, held.value)
    return Accepted(
        benchmark=figure.benchmark,
        metric=figure.metric,
        value=value,
        unit=figure.unit,
        n=figure.n,
        questions=figure.questions,
        conditions=figure.conditions,
        vllm=figure.vllm,
        device=figure.device,
        host=figure.host,
        who=owner(),
        when=utc_now(),
        because=because,
        before=held.value,
        runs=tuple(dict.fromkeys(each.run for each in evidence)),
        spread=spread,
        loosened=worse,
        forced=objections(figure, evidence, history, held),
    )


def _line(entry: Accepted) -> str:
    """Write an accepted entry in one line."""
    before = f"{shown(entry.before)} → " if entry.before is not None else ""
    nights = "1 night" if len(entry.runs) == 1 else f"{len(entry.runs)} nights"
    spread = f", spread {shown(entry.spread, entry.unit)}" if entry.spread is not None else ""
    loosened = ", LOOSENED" if entry.loosened else ""
    return (
        f"{entry.benchmark} {entry.metric}: {before}{shown(entry.value, entry.unit)} "
        f"({nights}{spread}{loosened}) in {entry.source}"
    )


def _of_case(folder: Path, name: str, runs: Path) -> list[tuple[Ledger, CaseBaselines]]:
    """Return ledger and case baselines of each case that a name means.

    Raises:
        UserError: neither a ledger nor a case file nor a night has this name, or one of them is
            not valid.
    """
    try:
        found = cases.load(cases.find(name, CASES))
    except UserError:
        if path_of(folder, name).exists():
            return [(load_ledger(folder, name), {})]
        night = last_of_case(runs, name)
        if night is None:
            raise
        return _of_night(folder, read_run(night).run)
    return [(load_ledger(folder, case.name), _baselines_of(case)) for case in found]


def _of_night(folder: Path, run: Run) -> list[tuple[Ledger, CaseBaselines]]:
    """Return ledger and case baselines of a night's case, by the file that it was started with."""
    try:
        found = [case for case in cases.load(PROJECT / run.config) if case.name == run.case]
    except UserError as error:
        warn(f"without the baselines of its file: {error}")
        found = []
    baselines = _baselines_of(found[0]) if found else {}
    return [(load_ledger(folder, run.case), baselines)]


def _baselines_of(case: Case) -> CaseBaselines:
    """Return the baselines of a case file: benchmark and metric → baseline."""
    return {
        (asked.name, asked.metric): CaseBaseline(
            *asked.expected, location_of(Path(case.path), asked)
        )
        for asked in asked_in(case.benchmarks, case.startup)
        if asked.expected
    }
