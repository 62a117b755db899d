"""`inv suite.run`: run the nights of a suite, or go on with a run of it."""

from __future__ import annotations

import shlex
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ci.commands.streams import for_readers
from ci.commands.suite_flags import Selection
from ci.commands.suite_flags import SuiteRun as Flags
from ci.commands.suite_prepare import first_state, going_on, local_now, prepare, present
from ci.commands.suite_source import unstable_of
from ci.commands.suite_table import as_table
from ci.commands.suite_tell import tell
from ci.errors import CaseError, ExitCode, UserError
from ci.paths import absolute
from ci.record.disk import make_folder
from ci.record.secrets import hide_in_argv
from ci.record.start import run_id
from ci.report.pages.refresh import refresh_index
from ci.report.table import fold, width_of
from ci.run.slurm_job import surrounding_job
from ci.suite.next_orders import Begin
from ci.suite.progress import local_text
from ci.suite.resume import is_resumable, left_to_run, resumed, unable
from ci.suite_run.folder import SuiteFolder, locked, named_suite_run, read_suite
from ci.suite_run.order import request_of
from ci.suite_run.reports import write_suite_reports
from ci.suite_run.run import RunningSuite
from ci.suite_run.screen import open_suite_view
from ci.suite_run.suite_job import SuiteJob, line_of

if TYPE_CHECKING:
    from ci.commands.suite_prepare import Prepared
    from ci.inventory.slurm_hosts import SlurmHosts
    from ci.suite.progress import SuiteRun
    from ci.suite_run.screen import SuiteView

LAST = "last"
# Flags of the first command, which a resumed run keeps.
_OF_THE_RUN = ("suite", "run_type", "filter", "vllm", "cluster", "workspace", "skip_doctor")


def run(given: Flags) -> ExitCode:
    """Run a suite.

    Returns:
        The code of the worst night that counts; `ci.suite.outcome` has the order.

    Raises:
        UserError: the suite, its hosts or a flag is wrong; nothing was started.
    """
    from ci.explain.rules import own_rules  # noqa: PLC0415

    own_rules()  # a mistake in it is reported before anything is started
    runs = absolute(Path(given.runs))
    if given.resume:
        return _resume(given, runs)
    prepared = prepare(given, local_now())
    if given.dry_run:
        return _show(given, prepared)
    path = make_folder(runs / run_id(f"suite-{prepared.selected.suite.name}", present()))
    state = first_state(given, prepared, path.name, runs)
    with locked(path):
        return _run(state, prepared, runs, path)


def _show(given: Flags, prepared: Prepared) -> ExitCode:
    """Print what would run, with the command line of each night."""
    selected, planned = prepared.selected, prepared.planned
    shown = replace(selected, notes=prepared.notes)
    sys.stdout.write(as_table(shown, planned, given.run_type, prepared.cluster))
    state = first_state(given, prepared, "RUN", Path(given.runs))
    targets = {target.name: target for target in prepared.targets}
    if prepared.slurm:
        _show_job(prepared.slurm, prepared.needed)
    print("\neach night is a process with its own record, as of these commands:")
    for each in planned.nights:
        begin = Begin(each.night.name, () if prepared.slurm else each.hosts)
        request = request_of(state, each.night, begin, given.runs, "", targets)
        print(shlex.join(map(str, hide_in_argv(list(request.argv)))))
    for name, problem in prepared.problems.items():
        print(f"left out: {name}: {problem}", file=sys.stderr)
    for missing in selected.problems:
        print(f"left out: {missing}", file=sys.stderr)
    print("dry run: nothing was started, and no host was contacted")
    return ExitCode.USER if prepared.problems or selected.problems else ExitCode.PASS


def _show_job(slurm: SlurmHosts, needed: int) -> None:
    if number := surrounding_job():
        print(f"\nall nights run in Slurm job {number}, in which this runs; it is not ended")
    else:
        print("\none Slurm job has the hosts of all nights:")
        print(shlex.join(line_of(slurm, needed)))


def _job_of(state: SuiteRun, prepared: Prepared, view: SuiteView) -> SuiteJob | None:
    """Return the Slurm job of a suite, not asked for yet; None if Slurm has none of the hosts."""
    if prepared.slurm is None or state.slurm is None:
        return None
    return SuiteJob(
        prepared.slurm,
        prepared.needed,
        state.id,
        state.slurm,
        lambda text: view.line("slurm", text),
    )


def _run(state: SuiteRun, prepared: Prepared, runs: Path, path: Path) -> ExitCode:
    """Run a suite in its folder, whose lock is held, on one screen, and write its reports."""
    from ci.run.interrupt import interrupts  # noqa: PLC0415

    with ExitStack() as ending:
        view = ending.enter_context(open_suite_view(sys.stdout))
        received = ending.enter_context(interrupts(view.warn))
        folder = SuiteFolder(path, view.warn)
        folder.save(state)
        until = f", until {local_text(state.until)}" if state.until else ""
        view.line("suite", f"{state.name}, run type {state.run_type}{until}: {path}")
        for problem in state.problems:
            view.warn(f"left out: {problem}")
        for note in state.notes:
            view.line("note", note)
        job = _job_of(state, prepared, view)
        suite = RunningSuite(state, prepared.setting, runs, folder, view, job)
        done = suite.run_all(received)
        folder.release()
        done = _with_tonight(done, runs)
        folder.save(done)
        text = write_suite_reports(folder, done, runs)
        refresh_index(runs, view.warn)
        wanted = prepared.selected.suite.document.notify
        for note in tell(done, wanted, runs, prepared.selected.suite.file) if wanted else ():
            view.line("notify", note)
    report = f"report {path / 'report.md'}\n"
    sys.stdout.write(fold(for_readers(text + report), width_of(sys.stdout)))
    return ExitCode(done.exit_code or 0)


def _with_tonight(run: SuiteRun, runs: Path) -> SuiteRun:
    """Return a run with the unstable cases as of now: tonight's nights are in the history."""
    nights = tuple(
        each.model_copy(update={"unstable": unstable_of(runs, each.case, each.vllm)})
        for each in run.nights
    )
    return run.model_copy(update={"nights": nights})


def _resume(given: Flags, runs: Path) -> ExitCode:
    """Go on with a run whose controller has ended; the nights that still run are taken over."""
    chosen = [name for name in _OF_THE_RUN if getattr(given, name) != getattr(Flags(), name)]
    if chosen:
        flag = chosen[0].replace("_", "-")
        raise UserError(f"--{flag}: a run that is resumed has its own; leave it out")
    path = named_suite_run(runs, "" if given.resume == LAST else given.resume)
    if given.dry_run:
        again, _ = _again(given, path)
        print(f"{again.id}: would go on with {', '.join(left_to_run(again)) or 'no night'}")
        return ExitCode.PASS
    with locked(path):  # before it is read: the controller before changes it to its end
        again, prepared = _again(given, path)
        if not is_resumable(again):
            wrong = (*unable(again), *map(str, prepared.selected.problems))
            nothing = f"{again.id}: nothing is left to run; `inv suite.report {again.id}`"
            raise UserError("\n".join([nothing, *wrong]))
        state = going_on(again, prepared, given)
        return _run(state, prepared, path.absolute().parent, path)


def _again(given: Flags, path: Path) -> tuple[SuiteRun, Prepared]:
    """Return a run with the nights that are left waiting again, and its suite as it is now."""
    state = read_suite(path)
    selection = Selection(
        runs=str(path.absolute().parent),
        suite=state.suite,
        run_type=state.run_type,
        filter=state.filter,
    )
    flags = replace(
        given,
        **{item: getattr(selection, item) for item in ("runs", "suite", "run_type", "filter")},
        vllm=state.vllm,
        cluster=state.cluster,
        workspace=state.workspace,
        skip_doctor=state.skip_doctor,
    )
    try:
        prepared = prepare(flags, local_now())
    except CaseError:
        raise
    except UserError as error:
        if Path(state.folder) == Path.cwd():
            raise
        # Its paths may be relative.
        raise UserError(
            f"{error}\n{state.id} was begun in {state.folder}; resume it there"
        ) from None
    return resumed(state, prepared.able, prepared.problems), prepared
