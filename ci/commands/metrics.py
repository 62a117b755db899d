"""`inv metrics.push` and `inv metrics.textfile`: publish the metrics of a stored run or a CSV."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ci.commands.history import up_to_date
from ci.documents.counted import counted
from ci.errors import ExitCode, UserError
from ci.history.select import LAST, folder_of
from ci.metrics.csv_file import figures_in, group_of
from ci.metrics.exposition import text_of
from ci.metrics.labels import LabelValues, labels_given
from ci.metrics.night import metrics_of
from ci.metrics.publish import NO_GATEWAY, PublishRequest, publish, refused, to_gateway
from ci.metrics.served import served_in
from ci.metrics.settings import TEXTFILES, gateway_of
from ci.record.stored import read_run
from ci.run.interrupt import interrupts

if TYPE_CHECKING:
    from ci.commands.metrics_flags import Push, Textfile
    from ci.metrics.families import Group
    from ci.metrics.publish import Published
    from ci.metrics.settings import Gateway
    from ci.record.model import Run


def push(given: Push) -> ExitCode:
    """Push the metrics of a run, or of a CSV, to a pushgateway.

    Raises:
        UserError: the arguments, the environment or the CSV are wrong, or there is no such run.
    """
    if given.csv and given.run:
        raise UserError("--csv and --run are two things to push; give one of them")
    if given.label and not given.csv:
        raise UserError("--label is for --csv; a run has its own labels")
    gateway = gateway_of(os.environ, given.gateway_url)
    if given.csv:
        return _push_csv(given, gateway)
    folder, run = _run(given)
    if given.dry_run:
        return _show(_groups(folder, run), run.run_type)
    if gateway is None:
        # The same step of a workflow runs where no gateway is configured: nothing is red.
        return _said(f"metrics: not pushed: {NO_GATEWAY}")
    return _publish(folder, run, PublishRequest(gateway, only_newer=True))


def textfile(given: Textfile) -> ExitCode:
    """Write the metrics of a run to the folder of node_exporter's textfile collector.

    Raises:
        UserError: no folder is given, the environment is wrong, or there is no such run.
    """
    directory = given.directory or os.environ.get(TEXTFILES, "").strip()
    folder, run = _run(given)
    if given.dry_run:
        return _show(_groups(folder, run), run.run_type)
    if not directory:
        raise UserError(f"--directory is missing; name node_exporter's folder, or set {TEXTFILES}")
    return _publish(folder, run, PublishRequest(directory=directory, only_newer=True))


def _run(given: Push | Textfile) -> tuple[Path, Run]:
    """Read the run that is named, else the last one, with the run type of the command line."""
    runs = Path(given.runs)
    with up_to_date(runs) as connection:
        stored = read_run(folder_of(runs, connection, given.run or LAST))
    run = stored.run
    if given.run_type:
        run = run.model_copy(update={"run_type": given.run_type})
    return stored.folder, run


def _groups(folder: Path, run: Run) -> tuple[Group, ...]:
    return metrics_of(run, served_in(folder), LabelValues.without_secrets_of(os.environ)).groups


def _publish(folder: Path, run: Run, request: PublishRequest) -> ExitCode:
    with interrupts(lambda _: None) as received:
        done = publish(folder, run, os.environ, request, lambda: bool(received.first))
    return ExitCode.INTERRUPTED if received.first else _report(done)


def _push_csv(given: Push, gateway: Gateway | None) -> ExitCode:
    value = LabelValues.without_secrets_of(os.environ)
    labels = labels_given(given.label, value)
    if given.run_type:
        labels["run_type"] = value(given.run_type)
    group = group_of(figures_in(Path(given.csv)), labels)
    if given.dry_run:
        return _show((group,), given.run_type)
    if reason := refused(given.run_type, os.environ):
        return _said(f"metrics: not pushed: {reason}")
    what = f"{counted(len(group.families), 'metric')} of {given.csv}"
    with interrupts(lambda _: None) as received:
        request = PublishRequest(gateway, advice="; push it again later")
        done = to_gateway(request, (group,), what, lambda: bool(received.first))
    return ExitCode.INTERRUPTED if received.first else _report(done)


def _show(groups: tuple[Group, ...], run_type: str) -> ExitCode:
    for group in groups:
        sys.stdout.write(text_of(group.families))
    reason = refused(run_type, os.environ)
    print(f"# dry run: nothing was published; {reason or 'without --dry-run it would be'}")
    return ExitCode.PASS


def _said(line: str) -> ExitCode:
    print(line)
    return ExitCode.PASS


def _report(done: Published) -> ExitCode:
    for line in done.notes:
        print(line, file=sys.stderr if done.failed else sys.stdout)
    return ExitCode.UNKNOWN if done.failed else ExitCode.PASS
