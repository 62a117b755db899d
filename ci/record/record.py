"""The persisted record of a run: written from the first second, completed on every exit path.

Touches only `runs/<run id>/`, the view, and the file that $GITHUB_STEP_SUMMARY names.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from ci.errors import InfrastructureError
from ci.judge.verdict import Verdict, exit_code, marred
from ci.record.cause import cause_of, message_of
from ci.record.contents import Contents
from ci.record.controller import project_commit, versions
from ci.record.disk import Folder, make_folder
from ci.record.fields import expectations, first_fields, utc_now, without_locks
from ci.record.redact import plain
from ci.record.secrets import hide_in_text
from ci.record.steps import Step, WaitsFor, account
from ci.record.stored import FILE, as_text
from ci.record.view import HiddenView

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from ci.case.model import Comparison
    from ci.errors import ExitCode
    from ci.judge.verdict import Expectation
    from ci.record.model import Run, Settings
    from ci.record.view import View
    from ci.tools.model import Result

    # Writes the reports of a run that has ended, from its folder and its record; gets a
    # function to warn with.
    WriteReports = Callable[[Folder, Run, Callable[[str], None]], None]

NAME_LENGTH = 60


class Record:
    """A run's record; see `start`. As a context it completes run.json however the night ends."""

    def __init__(
        self,
        folder: Folder,
        fields: dict[str, Any],
        view: View,
        write_reports: WriteReports,
        clock: Callable[[], float],
    ) -> None:
        self.id = folder.path.name
        self.folder = folder
        self.view = HiddenView(view, self._hide)
        self._write_reports = write_reports
        self._clock = clock
        self._began_s = clock()
        self._lock = threading.RLock()
        self._steps: list[Step] = []
        self._code: ExitCode | None = None
        self._seconds: float | None = None
        self._contents = Contents(fields, os.environ)

    @property
    def path(self) -> Path:
        """The run's folder, for logs and evaluations."""
        return self.folder.path

    @contextmanager
    def step(self, name: str, waits_for: WaitsFor = "own") -> Iterator[Step]:
        """Journal and time a step, and show it.

        Args:
            name: what is done, as a reader says it.
            waits_for: whose time it is; see `Step`.
        """
        step = Step(name, waits_for, utc_now(), self._elapsed_s())
        self._steps.append(step)
        self._journal(name, "start")
        self.view.step(name)
        try:
            yield step
        except BaseException as error:
            step.outcome = "failed"
            step.detail = step.detail or message_of(error)
            raise
        else:
            step.outcome = "ok"
        finally:
            step.end_s = self._elapsed_s()
            self._ended(step, step.end_s - step.start_s)

    def _hide(self, text: str) -> str:
        hidden: str = self._contents.hidden(hide_in_text(text))
        return hidden

    def note(self, text: str, step: str = "") -> None:
        """Journal something worth knowing, and show it."""
        self._journal(step, "note", detail=hide_in_text(text))
        self.view.note(text)

    def update(self, **fields: object) -> None:
        """Set fields of run.json; mappings are merged.

        Raises:
            KeyError: a field that the record does not have.
            ValueError: a value that it cannot hold; nothing is changed.
        """
        with self._lock:
            self._write(self._contents.changed(fields, self._counted()))

    def expect(
        self, benchmarks: Sequence[Expectation], comparisons: Sequence[Comparison] = ()
    ) -> None:
        """Keep what the case asks for, so that the run can be judged again.

        Args:
            benchmarks: of the case; empty for one that is proved by its smoke test alone.
            comparisons: pairs of figures that the case compares.
        """
        asked = expectations(benchmarks)
        # Without benchmarks there is nothing to compare.
        self.update(benchmarks=asked, comparisons=comparisons if asked else ())

    def write_plan(self, plan: object) -> None:
        """Keep the plan, a mapping or a `Plan`, without its secrets, as plan.json."""
        tree = without_locks(plain(plan))
        self._contents.learn_secrets(tree)
        self.folder.write("plan.json", self._json(tree))

    def evaluated(  # noqa: PLR0913 - a keyword for what older callers do not give
        self,
        name: str,
        tool: str,
        result: Result,
        items: str | None,
        raw: str,
        *,
        settings: Settings | None = None,
    ) -> None:
        """Keep what came of a benchmark.

        Args:
            name: the benchmark.
            tool: which tool measured it.
            result: its figures and problems.
            items: path of `items.jsonl`, from the run's folder; None when there is none.
            raw: folder of the tool's own output, from the run's folder.
            settings: with which it was run.
        """
        entry = {
            "benchmark": name,
            "tool": tool,
            "started_at": result.started_at,
            "ended_at": result.ended_at,
            "settings": settings,
            "measurements": result.measurements,
            "problems": tuple(map(hide_in_text, result.problems)),
            "n_items": len(result.items),
            "items": items,
            "raw": raw,
        }
        with self._lock:
            self._write(self._contents.extended("evaluations", plain(entry), self._counted()))

    def finish(self, verdict: Verdict, error: BaseException | None = None) -> ExitCode:
        """Complete the record and write the reports; a second call changes nothing.

        Args:
            verdict: of the night.
            error: what ended it early; the verdict is then never a pass.

        Returns:
            What the command exits with.
        """
        with self._lock:
            if self._code is not None:
                return self._code
            cause = cause_of(error)
            verdict = marred(verdict, f"{cause['kind']}: {cause['message']}" if cause else "")
            self._code = exit_code(verdict.outcome, error)
            self._seconds = self._elapsed_s()
            self.folder.release()
            self._complete(verdict, self._code, cause)
            self.folder.append("journal.jsonl")
            run = self.run
            self._write_reports(self.folder, run, self.view.warn)
            if self.folder.first_failure != run.record_failure:
                self._save()
            return self._code

    @property
    def run(self) -> Run:
        """The record as it stands, without secrets."""
        with self._lock:
            return self._contents.run(self._counted())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        lost = error or InfrastructureError("the night ended without a verdict; see journal.jsonl")
        self.finish(Verdict("unknown", ()), lost)

    def _ended(self, step: Step, seconds: float) -> None:
        self._journal(step.name, "end", seconds=round(seconds, 3), detail=step.detail)
        self._save()
        self.view.done(step.name, seconds, step.detail, ok=step.outcome == "ok")

    def _journal(
        self, step: str, event: str, *, seconds: float | None = None, detail: str = ""
    ) -> None:
        line = {"time": utc_now(), "step": step, "event": event, "seconds": seconds}
        shown = self._contents.hidden(line | {"detail": detail})
        with self._lock:
            self.folder.append("journal.jsonl", json.dumps(shown, ensure_ascii=False))

    def _complete(self, verdict: Verdict, code: ExitCode, cause: Mapping[str, Any] | None) -> None:
        ended = {"exit_code": int(code), "cause": cause, "ended_at": utc_now()}
        try:
            self.update(outcome=verdict.outcome, checks=verdict.checks, **ended)
        except ValueError as error:  # a fault of ours, and no reason to lose the outcome
            self.view.warn(f"cannot record the checks: {message_of(error)}; please report it")
            self.update(outcome=verdict.outcome, **ended)

    def _counted(self) -> dict[str, object]:
        steps = [step.as_json() for step in self._steps]
        # Once the night has ended its seconds stand still: every report shows the same.
        times = account(self._steps, self._seconds or self._elapsed_s())
        return {**times, "steps": steps, "record_failure": self.folder.first_failure}

    def _save(self) -> None:
        with self._lock:
            self._write(self.run)

    def _write(self, run: Run) -> None:
        self.folder.write(FILE, as_text(run))

    def _json(self, tree: object) -> str:
        return json.dumps(self._contents.hidden(tree), indent=2, ensure_ascii=False) + "\n"

    def _elapsed_s(self) -> float:
        return self._clock() - self._began_s


def start(  # noqa: PLR0913 - one keyword per thing that the operator said
    runs: Path,
    view: View,
    write_reports: WriteReports,
    *,
    case: str,
    config: str,
    argv: Sequence[str],
    clock: Callable[[], float] = time.monotonic,
) -> Record:
    """Make `runs/<run id>/` with a run.json that says `running`.

    Args:
        runs: the folder of all runs; made when missing.
        view: where steps, and a disk that fails, are shown.
        write_reports: called once the record is complete, on whichever path.
        case: the case's name.
        config: path of the case file.
        argv: the command line, to run the night again.
        clock: seconds, monotonic.

    Raises:
        InfrastructureError: the disk is full already.
        UserError: the folder cannot be made.
    """
    path = make_folder(runs.absolute() / run_id(case, datetime.now(UTC)))
    fields = first_fields(path.name, case, config, argv)
    record = Record(Folder(path, view.warn), fields, view, write_reports, clock)
    record.update()
    record.update(versions=versions(), git_commit=project_commit())
    return record


def run_id(case: str, now: datetime) -> str:
    """Name a run: `YYYYMMDD-HHMMSS-<case name>-<4 hex>`, in UTC."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", case)[:NAME_LENGTH]
    return f"{now.astimezone(UTC):%Y%m%d-%H%M%S}-{name}-{secrets.token_hex(2)}"
