"""Read how a night's process ended, from the record of its run; give its hosts back if it died."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from ci.connect.printed import one_line
from ci.errors import ExitCode, UserError
from ci.explain.rules import FILE as FAILURES
from ci.explain.rules import load, own_rules
from ci.record.controller import liveness
from ci.record.fields import utc_now
from ci.record.secrets import hide_in_text
from ci.record.stored import FILE, read_run
from ci.record.text import headline_of
from ci.report.abandoned import complete_abandoned
from ci.run.interrupt import SIGNALS
from ci.suite.blame import CONTROLLER, ENVIRONMENT, blame_of
from ci.suite.events import Ended
from ci.suite_run.process import start_process

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ci.explain.rules import Rule
    from ci.record.model import Run
    from ci.suite_run.process import NightProcess

_STOPPED = frozenset({-number for number in SIGNALS} | {ExitCode.INTERRUPTED})


def end_of(
    process: NightProcess,
    folder: Path,
    hosts: Sequence[str],
    down: Sequence[str],
    warn: Callable[[str], None],
) -> Ended | None:
    """Wait for the end of a night's process, and read how it ended.

    Args:
        process: the process.
        folder: of the night's run.
        hosts: those it ran on.
        down: the words of `inv down` that give its hosts back, if it died.
        warn: called with messages.

    Returns:
        None if the process ended before it had a record, and nothing says why: it was not begun.
    """
    code = process.wait()
    (process.folder / "order.json").unlink(missing_ok=True)
    died = False
    if (folder / FILE).exists():
        with suppress(UserError):
            if liveness(read_run(folder).run) == "abandoned":
                died = True
                start_process(process.folder, down).wait()
                complete_abandoned(folder, warn)
    try:
        run = read_run(folder).run
    except UserError as error:
        return _without_record(process, code, str(error))
    return _ended(run, hosts, died=died)


def not_started(error: Exception) -> Ended:
    """Return the end of a night whose process could not be started, as on a full disk."""
    return Ended(
        at=utc_now(),
        outcome="unknown",
        exit_code=int(ExitCode.UNKNOWN),
        headline="UNKNOWN: nothing was checked",
        cause=hide_in_text(one_line(str(error))),
        reasons=(CONTROLLER, ENVIRONMENT),
    )


def _without_record(process: NightProcess, code: int | None, error: str) -> Ended | None:
    lines = [line for line in process.last_lines() if line.strip()]
    if code is None and not lines:
        return None
    text = (
        lines[-1] if lines else f"it left neither a record nor output, as on a full disk: {error}"
    )
    # Nothing of the product ran before there was a record.
    died = not lines or code == ExitCode.UNKNOWN
    if code in _STOPPED or text.strip() == "KeyboardInterrupt":
        # By a signal while Python still started it.
        code, died = int(ExitCode.INTERRUPTED), False
        text = "interrupted before it had begun anything"
    elif code is not None and code < 0:
        died = True
        text = f"its process was killed by signal {-code} before it had begun anything"
    return Ended(
        at=utc_now(),
        outcome="unknown",
        exit_code=code if code in set(ExitCode) else int(ExitCode.UNKNOWN),
        headline="UNKNOWN: nothing was checked",
        cause=hide_in_text(one_line(text)),
        reasons=(CONTROLLER, ENVIRONMENT) if died else (),
    )


def _ended(run: Run, hosts: Sequence[str], *, died: bool) -> Ended:
    blame = blame_of(run, hosts, failure_table())
    return Ended(
        at=run.ended_at or utc_now(),
        outcome=run.outcome,
        exit_code=run.exit_code,
        headline=headline_of(run),
        cause=_cause(run),
        reasons=(CONTROLLER, ENVIRONMENT) if died else blame.reasons,
        failed_hosts=dict(blame.hosts or {}),
    )


def _cause(run: Run) -> str:
    """Return what ended a night early, else why its first check is not a pass."""
    if run.cause:
        return one_line(run.cause.message)
    bad = [check for check in run.checks if check.outcome == run.outcome != "pass"]
    return one_line(f"{bad[0].name} {bad[0].metric}: {bad[0].reason}") if bad else ""


def failure_table() -> dict[str, Rule]:
    """Return all rules about failures, by name."""
    return {**load(FAILURES), **own_rules()}
