"""Bring up a version of vLLM beside a night, on the same hosts, and measure what is suspect."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ci.errors import InfrastructureError, LamplighterError, NotHandedBack
from ci.judge.measured import Ask
from ci.prove import prove
from ci.record.again import judged_again
from ci.record.cause import message_of
from ci.record.start import start
from ci.record.stored import read_run
from ci.report.reports import write_reports
from ci.resolve import resolve_case
from ci.run.telemetry import sampling
from ci.serve.bringup import watch_servers
from ci.session import serving

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import Literal

    from ci.judge.verdict import Check
    from ci.record.record import Record
    from ci.request import Request
    from ci.resolve import ResolvedCase
    from ci.retest import Retest
    from ci.run.allocation import Allocation
    from ci.run.interrupt import Interrupts
    from ci.run.telemetry import Telemetry
    from ci.session import Served


@dataclass(frozen=True)
class Beside:
    """Measures beside a night whose hosts are handed back, within the budget of its suspects.

    Attributes:
        request: how the night ran.
        resolved: its case and hosts.
        record: of the night; receives notes.
        interrupts: signals; they end the current wait.
        allocation: the Slurm job that has the hosts; None if none has.
    """

    request: Request
    resolved: ResolvedCase
    record: Record
    interrupts: Interrupts
    allocation: Allocation | None = None

    def settle(self, retest: Retest) -> None:
        """Measure the last good version for the suspects, then tonight's version once more.

        What cannot be brought up or measured is noted, and answers nothing.

        Args:
            retest: the examinations of the night; receives the measurements.

        Raises:
            NotHandedBack: the hosts are not as they were found.
            Interrupted: the controller was asked to stop.
        """
        if retest.beside:
            self._measure(retest, Ask.CONTROL, retest.beside)
        retest.give_up(Ask.CONTROL)
        if retest.wants(Ask.REPEAT) and retest.is_affordable(Ask.REPEAT, "tonight's version"):
            self._measure(retest, Ask.REPEAT, self.request.vllm)
        retest.give_up(Ask.REPEAT)

    def _measure(self, retest: Retest, what: Ask, version: str) -> None:
        purpose: Literal["control", "again"] = "control" if what is Ask.CONTROL else "again"
        shown = f"vLLM {version}" if what is Ask.CONTROL else "tonight's version once more"
        try:
            request = replace(self.request, vllm=version, keep=False)
            resolved = resolve_case(self.resolved.case, request)
            with (
                self.record.step(f"measure {shown}, on the same hosts", "server"),
                retest.timed(),
                self._served(request, resolved, purpose) as (served, record, telemetry),
            ):
                retest.answer_all(served, telemetry, record, what)
        except NotHandedBack:
            raise
        except LamplighterError as error:
            if self.interrupts.first:
                raise
            self.record.note(f"{shown} could not be measured: {message_of(error)}")

    @contextmanager
    def _served(
        self, request: Request, resolved: ResolvedCase, purpose: Literal["control", "again"]
    ) -> Iterator[tuple[Served, Record, Telemetry]]:
        """Serve a case with a record of its own, which says to which night it belongs."""
        view, case = self.record.view, resolved.case
        runs: Path = self.record.path.parent
        started = start(
            runs,
            view,
            write_reports,
            case=case.name,
            config=case.path,
            argv=["inv", *self.request.argv[1:]],
        )
        with started as record:
            record.update(purpose=purpose, night=self.record.id, targets=resolved.inputs.targets)
            record.write_plan(resolved.plan)
            self.record.update(beside=(*self.record.run.beside, record.id))
            self.record.note(f"its record is {record.path}")
            try:
                with serving(
                    request, resolved, record, view, self.interrupts, self.allocation
                ) as served:
                    _require_answers(prove(served, record))
                    with (
                        watch_servers(served.plan, served.servers, served.processes),
                        sampling(served.plan, served.processes, record) as telemetry,
                    ):
                        yield served, record, telemetry
            finally:
                left = (record.run.survivors, record.run.left_over)
                if any(left):
                    self.record.update(survivors=left[0], left_over=left[1])
            measured = {each.benchmark for each in record.run.evaluations}
            record.expect(
                [
                    each.model_copy(update={"baseline": None, "threshold": None, "metrics": None})
                    for each in resolved.case.benchmarks
                    if each.name in measured
                ]
            )
            record.finish(judged_again(read_run(record.path)))


def _require_answers(checks: Sequence[Check]) -> None:
    """Refuse figures of servers that do not answer as they have to: nothing is as bad as they are.

    Raises:
        InfrastructureError: a check of the smoke test is no pass.
    """
    bad = next((check for check in checks if check.outcome != "pass"), None)
    if bad:
        raise InfrastructureError(f"it does not answer: {bad.name}: {bad.reason}")
