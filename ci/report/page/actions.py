"""Say what a reader of a run should do, the most urgent first. Pure."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from ci.errors import ExitCode
from ci.record.page import Action
from ci.record.text import kept_servers, next_step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.record.model import Run


def actions_of(run: Run) -> tuple[Action, ...]:
    """List what to do after a run; nothing after a good night."""
    return tuple(_actions(run))


def _actions(run: Run) -> Iterator[Action]:
    down = f"inv down --run {shlex.quote(run.id)}"
    if run.outcome == "running":
        yield Action(
            text="The night goes on, or its controller died: see which",
            command="inv status",
        )
    if run.survivors:
        yield Action(text=f"End what is left running: {', '.join(run.survivors)}", command=down)
    for at, left in enumerate(run.left_over):
        # The same command ends all of it.
        yield Action(text=f"Still in use: {left}", command="" if at or run.survivors else down)
    if kept := kept_servers(run):
        yield Action(text=kept[0].upper() + kept[1:], command=down if run.kept_s else "")
    if run.explanation:
        yield Action(text=run.explanation.next_step)
    yield from _after_outcome(run)
    if run.record_failure:
        yield Action(text=f"The record is incomplete: {run.record_failure}")
    if step := next_step([vars(check) for check in run.checks]):
        yield Action(text=step)  # it begins with a name


def _after_outcome(run: Run) -> Iterator[Action]:
    if run.outcome == "fail" and run.since_good:
        yield Action(
            text=f"See all that changed since {run.since_good.run}, the last good night",
            command=run.since_good.compare,
        )
    elif run.outcome == "fail":
        yield Action(
            text="Run it again to see whether it stays", command=in_folder(run, run.command)
        )
    if run.outcome == "unknown" and run.exit_code != ExitCode.INTERRUPTED and not run.explanation:
        yield Action(
            text="Nothing is known of the product from this night: mend the cause, then run it "
            "again",
            command=in_folder(run, run.command),
        )


def in_folder(run: Run, command: str) -> str:
    """Write a command so that it runs where the run was started."""
    return f"cd {shlex.quote(run.folder)}\n{command}"
