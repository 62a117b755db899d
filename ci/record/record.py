"""Write the record of a run from its start, and complete it on every exit path.

Touches only `runs/<run id>/`, the view, and the file that $GITHUB_STEP_SUMMARY names.
"""

from __future__ import annotations

import json
import os
import threading
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

from ci.errors import ExitCode, InfrastructureError
from ci.judge.verdict import Verdict, degrade_if_ended_early, exit_code
from ci.record.cause import cause_of, message_of
from ci.record.contents import Contents
from ci.record.fields import expectations, figures_of, utc_now, without_locks
from ci.record.redact import plain
from ci.record.secrets import hide_in_text
from ci.record.steps import Step, WaitsFor, account
from ci.record.stored import FILE, as_text
from ci.record.view import HiddenView

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from ci.case.judging import Judging
    from ci.case.metric_entry import MetricEntry
    from ci.case.model import Comparison
    from ci.judge.asked import Expectation
    from ci.record.disk import Folder
    from ci.record.model import Run, Settings
    from ci.record.view import View
    from ci.tools.model import Result

    # Writes the reports of a run that has ended. The third argument receives warnings.
    WriteReports = Callable[[Folder, Run, Callable[[str], None]], None]


class Record:
    """A run's record, from `start`; as a context manager it completes run.json on every exit."""

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
        self._start_s = clock()
        self._lock = threading.RLock()
        self._steps: list[Step] = []
        self._plan: object = None
        self._code: ExitCode | None = None
        self._seconds: float | None = None
        self._contents = Contents(fields, os.environ)

    @property
    def path(self) -> Path:
        """Return the run's folder, for logs and evaluations."""
        return self.folder.path

    @contextmanager
    def step(self, name: str, waits_for: WaitsFor = "own") -> Iterator[Step]:
        """Journal and time a step, and show it.

        Args:
            name: a short description for readers.
            waits_for: what the step waits for; see `Step`.
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
        """Journal a note, and show it."""
        self._journal(step, "note", detail=hide_in_text(text))
        self.view.note(text)

    def update(self, **fields: object) -> None:
        """Set fields of run.json; mappings are merged.

        Raises:
            KeyError: the record has no such field.
            ValueError: a value is invalid; nothing is changed.
        """
        with self._lock:
            self._write(self._contents.changed(fields, self._counted()))

    def expect(
        self,
        benchmarks: Sequence[Expectation],
        comparisons: Sequence[Comparison] = (),
        startup: Mapping[str, MetricEntry] = MappingProxyType({}),
        judging: Judging | None = None,
    ) -> None:
        """Record the benchmarks of the case, so that the run can be judged again.

        Args:
            benchmarks: the case's benchmarks; empty if it has only a smoke test.
            comparisons: pairs of figures that the case compares.
            startup: the figures of the servers' start that are judged.
            judging: how the case wants its figures to be judged; None for the defaults.
        """
        entries = expectations(benchmarks)
        judged = {name: each.model_dump() for name, each in startup.items()}
        # Without benchmarks there is nothing to compare.
        self.update(
            benchmarks=entries,
            comparisons=comparisons if entries else (),
            startup_metrics=judged,
            judge=judging.model_dump() if judging else {},
        )

    def write_plan(self, plan: object) -> None:
        """Write the plan, a mapping or a `Plan`, to plan.json, without its secrets."""
        if plan == self._plan:
            return
        self._plan = plan
        tree = without_locks(plain(plan))
        self._contents.learn_secrets(tree)
        self.folder.write("plan.json", self._json(tree))

    def keep(self, name: str, content: object) -> None:
        """Write a file into the run's folder, without secrets.

        Args:
            name: of the file.
            content: its text, or a tree to write as JSON.
        """
        text = self._hide(content) if isinstance(content, str) else self._json(content)
        self.folder.write(name, text)

    def evaluated(  # noqa: PLR0913 - each is a plain value of the entry
        self,
        name: str,
        tool: str,
        result: Result,
        items: str | None,
        raw: str,
        *,
        settings: Settings | None = None,
    ) -> None:
        """Record the result of a benchmark.

        Args:
            name: the benchmark's name.
            tool: name of its tool.
            result: its figures and problems.
            items: path of `items.jsonl` in the run's folder; None if there is none.
            raw: folder of the tool's output in the run's folder.
            settings: its settings.
        """
        keys = {"benchmark": name, "tool": tool, "settings": settings, "items": items, "raw": raw}
        entry = keys | figures_of(result)
        with self._lock:
            self._write(self._contents.extended("evaluations", plain(entry), self._counted()))

    def finish(
        self,
        verdict: Verdict,
        error: BaseException | None = None,
        *,
        interrupted: bool = False,
    ) -> ExitCode:
        """Complete the record and write the reports; a second call changes nothing.

        Args:
            verdict: the night's verdict.
            error: the error that ended the night early; the verdict is then never a pass.
            interrupted: a signal was received, also if too late to change the verdict.

        Returns:
            The exit code of the command.
        """
        with self._lock:
            if self._code is not None:
                return self._code
            cause = cause_of(error)
            verdict = degrade_if_ended_early(
                verdict, f"{cause['kind']}: {cause['message']}" if cause else ""
            )
            code = exit_code(verdict.outcome, error)
            self._code = ExitCode.INTERRUPTED if interrupted else code
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
        """Return the present record, without secrets."""
        with self._lock:
            return self._contents.run(self._counted())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        cause = error or InfrastructureError("the night ended without a verdict; see journal.jsonl")
        self.finish(Verdict("unknown", ()), cause)

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
        except ValueError as error:  # an error of Lamplighter must not lose the outcome
            self.view.warn(f"cannot record the checks: {message_of(error)}; please report it")
            self.update(outcome=verdict.outcome, **ended)

    def _counted(self) -> dict[str, object]:
        steps = [step.as_json() for step in self._steps]
        # The seconds are fixed when the night ends, so that every report shows the same.
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
        return self._clock() - self._start_s
