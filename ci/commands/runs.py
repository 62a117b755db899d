"""`inv status`, `inv logs` and `inv down`."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ci.agent.client import Agent
from ci.agent.connected import reached
from ci.commands import down as ending
from ci.commands import logs as logging
from ci.commands import status_table
from ci.commands.down_suite import down_suite
from ci.commands.overview import ask_hosts
from ci.commands.slurm_jobs import (
    cancel_all,
    client_of,
    hosts_of_jobs,
    job_of_run,
    jobs_of_cluster,
    queue_of,
    queue_text,
    queue_values,
    slurm_of,
    unfit_text,
)
from ci.commands.streams import for_readers
from ci.commands.which_hosts import last_night_named, named_run, targets_of
from ci.connect.printed import clean, one_line
from ci.documents.counted import counted
from ci.errors import ExitCode, UserError
from ci.record.case_secrets import secrets_of_case
from ci.record.controller import owner
from ci.record.known_secrets import hide_in_log, secrets_of
from ci.record.stored import read_run
from ci.report.abandoned import complete_abandoned
from ci.report.kept import record_end_of_kept
from ci.report.table import width_of
from ci.suite_run.quarantine import quarantined_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci.commands.overview import Overview
    from ci.commands.slurm_jobs import JobOfRun, Queue
    from ci.errors import LamplighterError
    from ci.inventory.slurm_hosts import SlurmHosts
    from ci.inventory.target import Target
    from ci.request import Request


def status(request: Request, *, as_json: bool) -> ExitCode:
    """Print the runs on the hosts, as the hosts themselves report them; first Slurm's queue."""
    slurm = slurm_of(request)
    queue, targets = _queue(slurm) if slurm else (None, targets_of(request))
    with reached(targets) as hosts:
        overview = ask_hosts(hosts)
    quarantined = quarantined_of(targets)
    width = width_of(sys.stdout)
    if as_json:
        shown: dict[str, object] = {"slurm": queue_values(queue)} if queue else {}
        shown["quarantined"] = [each.model_dump(mode="json") for each in quarantined]
        print(json.dumps(shown | status_table.as_values(overview), indent=2))
    else:
        sys.stdout.write(queue_text(queue, width) + unfit_text(queue) if queue else "")
        sys.stdout.write(status_table.as_text(overview, width) if targets else "")
        for each in quarantined:
            print(one_line(f"{each.host}: in quarantine since {each.since}: {each.reason}"))
    return ExitCode.UNKNOWN if overview.silent else ExitCode.PASS


def _queue(slurm: SlurmHosts) -> tuple[Queue, tuple[Target, ...]]:
    with client_of(slurm) as client:
        queue = queue_of(slurm, client)
        return queue, hosts_of_jobs(slurm, client, queue.jobs)


def down(request: Request, run: str, *, all_mine: bool) -> ExitCode:
    """End one run, or every run of this user, and fetch the logs.

    Raises:
        UserError: not exactly one of `run` and `all_mine` is given, or the run is not on the hosts.
    """
    if bool(run) == all_mine:
        raise UserError("give --run RUN, as shown by `inv status`, or --all-mine")
    _refuse_no_id(request, run)
    if run and (code := down_suite(Path(request.runs), run, dry_run=request.dry_run)) is not None:
        return code
    request, run = named_run(request, run)
    job = job_of_run(request.runs, run)
    jobs = [job] if job else jobs_of_cluster(request)
    if job and not job.has_hosts:
        return _down_without_hosts(request, job)
    wanted = [each for each in jobs if all_mine or each.run == run]
    try:
        ended = _down_on_hosts(request, run, all_mine=all_mine)
    except UserError:
        if not wanted:
            raise
        ended = ExitCode.PASS  # nothing of it is on hosts, but its job is in the queue
    cancelled = cancel_all(wanted, dry_run=request.dry_run)
    return max(ended, cancelled)


def _refuse_no_id(request: Request, run: str) -> None:
    """Refuse to end a night that is not named by itself.

    Raises:
        UserError: a case or `last` is named.
    """
    if run and (last := last_night_named(request, run)):
        raise UserError(
            f"--run {run}: `inv down` takes the id of the run that it ends; the last night of that "
            f"name is {last}: `inv down --run {last}`"
        )


def _down_without_hosts(request: Request, job: JobOfRun) -> ExitCode:
    """End a run whose Slurm job waits, or has ended: no host of it can be asked."""
    cancelled = cancel_all([job], dry_run=request.dry_run)
    if job.is_over:
        print(
            f"{job.run}: its Slurm job {job.number} is {job.state}: what ran in it has ended with "
            "it; logs that were not fetched before stay on the hosts"
        )
    if not request.dry_run:
        _complete(Path(request.runs) / job.run)
        record_end_of_kept(Path(request.runs) / job.run, _warn)
    return cancelled


def _down_on_hosts(request: Request, run: str, *, all_mine: bool) -> ExitCode:
    with reached(targets_of(request, run)) as hosts:
        overview = ask_hosts(hosts, run)
        mine = {row.run for row in overview.rows if row.owner == owner()}
        wanted = sorted(mine) if all_mine else [run]
        _print_silent(overview)
        if request.dry_run:
            return _show(overview, wanted)
        completed = [_complete(Path(request.runs) / name) for name in wanted]
        if not overview.of(wanted):
            if any(completed) and not overview.silent:
                return ExitCode.PASS
            return _nothing_found(overview, wanted)
        ended = ending.end_runs(_agents(hosts), overview, wanted, Path(request.runs))
    for row, state in ended.stopped:
        print(one_line(f"{row.host}: ended {row.process} of {row.run} ({state})"))
    for error in ended.errors:
        print(one_line(error), file=sys.stderr)
    if not ended.errors:
        count = len(_agents(hosts))
        where = counted(count, "host")
        print(f"{', '.join(wanted)}: nothing is left on {where}; logs in {request.runs}")
        for name in () if overview.silent else wanted:
            record_end_of_kept(Path(request.runs) / name, _warn)
    return ExitCode.UNKNOWN if ended.errors or overview.silent else ExitCode.PASS


def _show(overview: Overview, wanted: list[str]) -> ExitCode:
    rows = overview.of(wanted)
    if not rows:
        return _nothing_found(overview, wanted)
    for row in rows:
        print(f"{row.host}: would end {row.process} of {row.run}")
    print("dry run: nothing was changed")
    return ExitCode.UNKNOWN if overview.silent else ExitCode.PASS


def _complete(folder: Path) -> bool:
    """Complete the record of a run whose controller has died, if it ran on this machine."""
    completed = complete_abandoned(folder, _warn)
    if completed:
        print(f"{folder.name}: its controller has died; {folder / 'report.md'} now states that")
    return completed


def _nothing_found(overview: Overview, wanted: list[str]) -> ExitCode:
    if overview.silent:
        print(f"nothing of {', '.join(wanted) or 'yours'} on the hosts that replied")
        return ExitCode.UNKNOWN
    if wanted:
        known = ", ".join(sorted({row.run for row in overview.rows})) or "none"
        raise UserError(
            f"no run {wanted[0]!r} on {', '.join(overview.hosts)}; runs there: {known}. "
            "`inv status` lists the runs on this machine, with --cluster or --config those on "
            "other hosts; give `inv down` the same flags"
        )
    print("you have no runs on these hosts")
    return ExitCode.PASS


def logs(request: Request, run: str, host: str, *, follow: bool) -> ExitCode:
    """Print the logs of a run, from its hosts if it is still there, else from its record here.

    Raises:
        UserError: neither the hosts nor the record have logs of the run.
    """
    if not run:
        raise UserError("give --run RUN, as shown by `inv status` or in the folder `runs`")
    request, run = named_run(request, last_night_named(request, run) or run)
    with reached(targets_of(request, run)) as hosts:
        overview = ask_hosts(hosts)
        _print_silent(overview)
        rows = [row for row in overview.of([run]) if host in {"", row.host}]
        if not rows:
            return _recorded_logs(Path(request.runs) / run / "logs", run, host)
        read = logging.follow_logs if follow else logging.read_logs
        secrets = _secrets_of(Path(request.runs) / run)
        for piece in read(_agents(hosts), rows):
            _write_log(piece, secrets)
            sys.stdout.buffer.flush()
    return ExitCode.UNKNOWN if overview.silent else ExitCode.PASS


def _recorded_logs(folder: Path, run: str, host: str) -> ExitCode:
    files = sorted(file for file in folder.glob(f"{host or '*'}/*.log") if file.is_file())
    if not files:
        raise UserError(
            f"no log of run {run!r}{f' from host {host!r}' if host else ''} on the hosts "
            f"that were asked or in {folder}; `inv status` lists the runs on this machine, with "
            "--cluster or --config those on other hosts"
        )
    secrets = _secrets_of(folder.parent)
    for piece in logging.recorded_logs(files):
        _write_log(piece, secrets)
    return ExitCode.PASS


def _secrets_of(folder: Path) -> frozenset[str]:
    """Return the secrets of the environment, and those of the run's case if it is still here."""
    own = secrets_of(os.environ)
    with suppress(UserError):
        return own | secrets_of_case(read_run(folder).run)
    return own


def _write_log(lines: bytes, secrets: frozenset[str] = frozenset()) -> None:
    """Write whole lines of a log without secrets; to a terminal, without what would control it."""
    text = lines.decode(errors="surrogateescape")
    if sys.stdout.isatty():
        text = clean(text.replace("\r", " "))  # states of a progress bar
    text = for_readers(hide_in_log(text, secrets))
    sys.stdout.buffer.write(text.encode(errors="surrogateescape"))


def _agents(hosts: Mapping[str, Agent | LamplighterError]) -> dict[str, Agent]:
    return {host: agent for host, agent in hosts.items() if isinstance(agent, Agent)}


def _print_silent(overview: Overview) -> None:
    for host, error in overview.silent.items():
        print(one_line(f"{host}: cannot be asked: {error}"), file=sys.stderr)


def _warn(text: str) -> None:
    print(one_line(text), file=sys.stderr)
