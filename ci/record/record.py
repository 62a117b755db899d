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
from ci.record.controller import project_commit, versions
from ci.record.disk import Folder, make_folder
from ci.record.fields import first_fields, utc_now, without_locks
from ci.record.redact import plain, redacted, secrets_of, secrets_within
from ci.record.steps import Step, WaitsFor, account

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from ci.errors import ExitCode
    from ci.record.view import View
    from ci.tools.model import Result

    # Writes the reports of a run that has ended, from its folder and run.json's content; is told
    # where to warn of one that could not be made.
    WriteReports = Callable[[Folder, Mapping[str, Any], Callable[[str], None]], None]

SCHEMA = 1
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
        self._view = view
        self._write_reports = write_reports
        self._clock = clock
        self._began_s = clock()
        self._lock = threading.RLock()
        self._steps: list[Step] = []
        self._secrets = secrets_of(os.environ)
        self._code: ExitCode | None = None
        self._seconds: float | None = None
        self._fields = fields

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
        self._view.step(name)
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

    def note(self, text: str, step: str = "") -> None:
        """Journal something worth knowing, and show it."""
        self._journal(step, "note", detail=text)
        self._view.note(text)

    def update(self, **fields: object) -> None:
        """Set fields of run.json; mappings are merged. Unknown fields are refused."""
        with self._lock:
            for name, value in fields.items():
                before, after = self._fields[name], plain(value)
                self._fields[name] = before | after if isinstance(before, dict) else after
            self._save()

    def write_plan(self, plan: object) -> None:
        """Keep the plan, a mapping or a `Plan`, without its secrets, as plan.json."""
        tree = without_locks(plain(plan))
        self._secrets |= secrets_within(tree)
        self.folder.write("plan.json", self._json(tree))

    def evaluated(self, name: str, tool: str, result: Result, items: str | None, raw: str) -> None:
        """Keep what came of a benchmark.

        Args:
            name: the benchmark.
            tool: which tool measured it.
            result: its figures and problems.
            items: path of `items.jsonl`, from the run's folder; None when there is none.
            raw: folder of the tool's own output, from the run's folder.
        """
        entry = {
            "benchmark": name,
            "tool": tool,
            "measurements": result.measurements,
            "problems": result.problems,
            "n_items": len(result.items),
            "items": items,
            "raw": raw,
        }
        with self._lock:
            self._fields["evaluations"] = [*self._fields["evaluations"], plain(entry)]
            self._save()

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
            self._fields |= {
                "outcome": verdict.outcome,
                "exit_code": int(self._code),
                "cause": cause,
                "checks": plain(verdict.checks),
                "ended_at": utc_now(),
            }
            self.folder.release()
            self._save()
            self.folder.append("journal.jsonl")
            run = self.as_json()
            self._write_reports(self.folder, run, self._view.warn)
            if self.folder.first_failure != run["record_failure"]:
                self._save()
            return self._code

    def as_json(self) -> dict[str, Any]:
        """Give run.json's content as it stands, without secrets."""
        steps = [step.as_json() for step in self._steps]
        # Once the night has ended its seconds stand still: every report shows the same.
        times = account(self._steps, self._seconds or self._elapsed_s())
        tree = self._fields | times | {"steps": steps, "record_failure": self.folder.first_failure}
        shown: dict[str, Any] = redacted(tree, self._secrets)
        return shown

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
        self._view.done(step.name, seconds, step.detail, ok=step.outcome == "ok")

    def _journal(
        self, step: str, event: str, *, seconds: float | None = None, detail: str = ""
    ) -> None:
        line = {
            "time": utc_now(),
            "step": step,
            "event": event,
            "seconds": seconds,
            "detail": detail,
        }
        shown = json.dumps(redacted(line, self._secrets), ensure_ascii=False)
        with self._lock:
            self.folder.append("journal.jsonl", shown)

    def _save(self) -> None:
        with self._lock:
            self.folder.write("run.json", self._json(self.as_json()))

    def _json(self, tree: object) -> str:
        return json.dumps(redacted(tree, self._secrets), indent=2, ensure_ascii=False) + "\n"

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
