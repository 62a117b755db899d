"""Render report.md of a suite's run. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.record.text import duration
from ci.report.markdown import cell, code
from ci.suite.outcome import first_actions
from ci.suite.progress import time_of
from ci.suite.resume import is_resumable
from ci.suite_run.rows import remark
from ci.suite_run.summary import headline_of, job_text, makespan_text, mute_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ci.suite.progress import NightState, SuiteRun


def markdown_of(run: SuiteRun) -> str:
    """Render a run: the verdict, what needs action first, all nights, and what is apart."""
    return "\n".join(_lines(run)) + "\n"


def _lines(run: SuiteRun) -> Iterator[str]:
    yield f"# {cell(headline_of(run))}"
    yield ""
    title = run.title or run.name
    end = run.ended_at or "now"
    yield (
        f"**{cell(title)}**, run type {cell(run.run_type)}, run {code(run.id)}, from "
        f"{run.started_at} to {end}, by {cell(run.user)} on {cell(run.controller.host)}"
        + (f", exit code {run.exit_code}" if run.exit_code is not None else "")
        + "."
    )
    if text := job_text(run):
        yield from ("", f"Hosts: {cell(text)}.")
    if text := makespan_text(run):
        yield from ("", f"{text[0].upper()}{text[1:]}.")
    yield from _list("What needs action first", list(first_actions(run)))
    yield from _table("Nights", [each for each in run.nights if each.counts and each.attempts])
    muted = [each for each in run.nights if each.mute]
    yield from _list("Muted: they run, and do not count", [mute_text(each) for each in muted])
    unstable = [f"{each.name}: {each.unstable}" for each in run.nights if each.unstable]
    yield from _list("Unstable", unstable)
    yield from _list(
        "Hosts in quarantine",
        [
            f"{each.host}, since {each.since} by {each.by}: {each.reason}"
            for each in run.quarantined
        ],
    )
    yield from _list("Hosts that take nights again", run.released)
    left_out = [f"{each.name}: {each.note}" for each in run.nights if each.state == "left-out"]
    yield from _list("Not begun", left_out)
    yield from _list("Cases left out: missing or not valid", run.problems)
    yield from _list("Notes", run.notes)
    yield from ("", "## Run it again", "", "```sh", f"cd {run.folder}", run.command, "```")
    if is_resumable(run):
        yield from ("", f"What was not done: `inv suite.run --resume {run.id}`")


def _list(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield from ("", f"## {title}", "", *(f"- {cell(each)}" for each in lines))


def _table(title: str, nights: Sequence[NightState]) -> Iterator[str]:
    if not nights:
        return
    yield from ("", f"## {title}", "")
    yield "| night | outcome | owner | hosts | took | expected | run | remark |"
    yield "|---|---|---|---|---:|---:|---|---|"
    for night in nights:
        last = night.last
        if last is None:
            continue
        ended = time_of(last.ended_at) if last.ended_at else None
        took = (ended - time_of(last.began_at)).total_seconds() if ended else None
        cells = (
            *(cell(each) for each in (night.name, night.outcome, night.owner)),
            cell(", ".join(last.hosts)),
            *(duration(took), duration(night.expected_s)),
            *(f"[{cell(last.run)}](../{last.run}/report.md)", cell(remark(night))),
        )
        yield f"| {' | '.join(cells)} |"
