"""Run a suite: begin nights as packed, replan at each end, hand everything back on a signal."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from ci.errors import Interrupted, UserError
from ci.record.controller import owner
from ci.record.fields import utc_now
from ci.record.start import run_id
from ci.suite.blame import BUSY
from ci.suite.events import (
    decided,
    host_released,
    hosts_failed,
    night_began,
    night_ended,
    night_not_begun,
    quarantined,
)
from ci.suite.next_orders import next_orders, taken_bound_s
from ci.suite.outcome import canary_is_bad, canary_text, exit_code_of, outcome_of
from ci.suite.planned import duration
from ci.suite.progress import time_of
from ci.suite_run.ended import end_of, not_started
from ci.suite_run.happened import NightEnd, ProofEnd
from ci.suite_run.job_state import JobSeen, lines_of, with_job
from ci.suite_run.order import request_of, start_night
from ci.suite_run.process import NightProcess
from ci.suite_run.proof import Proof
from ci.suite_run.proofs import Proofs
from ci.suite_run.quarantine import address_of, put, quarantined_of, release
from ci.suite_run.rows import counts, rows_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import TypeAlias

    from ci.run.interrupt import Interrupts
    from ci.suite.next_orders import Begin, Orders, Setting
    from ci.suite.orders import Order
    from ci.suite.progress import SuiteRun
    from ci.suite_run.folder import SuiteFolder
    from ci.suite_run.screen import SuiteView
    from ci.suite_run.suite_job import SuiteJob

SCREEN_EVERY_S = 1.0
# Without an event, the plan is made again so often: a night may last longer than expected.
PLAN_EVERY_S = 60.0


Event: TypeAlias = "NightEnd | ProofEnd | JobSeen | BaseException"


@dataclass
class RunningSuite:
    """A suite that runs.

    Attributes:
        run: how far it is; what suite.json has.
        setting: its nights and hosts.
        runs: the folder of all runs.
        folder: the suite's own.
        view: shows it.
        job: the Slurm job that has the hosts; None if Slurm has none of them.
    """

    run: SuiteRun
    setting: Setting
    runs: Path
    folder: SuiteFolder
    view: SuiteView
    job: SuiteJob | None = None
    _events: SimpleQueue[Event] = field(default_factory=SimpleQueue)
    _processes: dict[str, NightProcess] = field(default_factory=dict)
    _proofs: Proofs = field(default_factory=Proofs)
    _order: Order | None = None
    _whole_plan_at: float = 0.0

    def run_all(self, received: Interrupts) -> SuiteRun:
        """Run the nights until none is left; return the complete state.

        Args:
            received: signals; the first one ends all nights, which hand their hosts back.
        """
        try:
            self._run_nights(received)
        except BaseException:
            if self._processes:
                names = ", ".join(sorted(self._processes))
                self.view.warn(
                    f"the suite's controller ends; {names} still run, and hand their hosts back "
                    f"by themselves: `inv suite.run --resume {self.run.id}` takes them over"
                )
            else:
                self._give_back()
            raise
        self._give_back()
        self._set(taken_bound_s=taken_bound_s(self.run, self.setting))
        code = exit_code_of(self.run)
        self._set(outcome=outcome_of(self.run), exit_code=int(code), ended_at=utc_now())
        return self.run

    def _run_nights(self, received: Interrupts) -> None:
        self._adopt()
        with received.forward_to(self._events):  # type: ignore[arg-type] # takes more
            orders = self._next()
            while not (orders.finished and not self._proofs):
                self._wait(orders, received)
                orders = self._next(orders)

    def _next(self, before: Orders | None = None) -> Orders:
        """Decide what happens next, and begin it; the times of the rest may be those before."""
        while True:
            self._ask_for_hosts()
            self._prove()
            proving = bool(self._proofs)
            whole = time.monotonic() >= self._whole_plan_at or not self._processes
            orders = next_orders(
                self.run,
                self.setting,
                datetime.now(UTC),
                self._order,
                proving=proving,
                whole=whole,
            )
            self._order = orders.order
            if whole:
                self._whole_plan_at = time.monotonic() + PLAN_EVERY_S
            self._change(decided(self.run, orders))
            for name, why in orders.left_out.items():
                self.view.line("never", f"{name} is not begun: {why}")
            for name, why in orders.not_again.items():
                self.view.line("never", f"{name} is not run again: {why}")
            for begin in orders.begin:
                self._begin(begin)
            if not orders.begin:
                break
        if before and not whole:
            orders = replace(orders, expected={**before.expected, **orders.expected})
        return orders

    def _begin(self, begin: Begin) -> None:
        """Start the process of a night; a failure to start it is its end."""
        night = self.setting.nights[begin.night]
        name = run_id(night.case.name, datetime.now(UTC))
        self._change(night_began(self.run, begin, name, utc_now()))
        where = ", ".join(begin.hosts)
        takes = duration(night.expected_s)
        self.view.line("begin", f"{begin.night} on {where}, takes ~{takes}: run {name}")
        targets = {target.name: target for target in self.setting.targets}
        request = request_of(self.run, night, begin, str(self.runs), name, targets)
        try:
            process = start_night(self.folder.process_folder(name), request)
        except (UserError, OSError) as error:
            self._events.put(NightEnd(begin.night, not_started(error)))
        else:
            self._follow(begin.night, process)

    def _follow(self, night: str, process: NightProcess) -> None:
        """Wait for the end of a night's process on a thread."""
        self._processes[night] = process
        last = self.run.night(night).attempts[-1]
        down = ("down", "--run", last.run, "--runs", str(self.runs))

        def wait() -> None:
            ended = end_of(process, self.runs / last.run, last.hosts, down, self.view.warn)
            if self.job:  # before anything else begins
                self.job.look()
            self._events.put(NightEnd(night, ended))

        self._on_thread(wait)

    def _on_thread(self, work: Callable[[], None]) -> None:
        """Do work that waits; an error of ours ends the suite instead of being lost."""

        def guarded() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - raised by the loop
                self._events.put(error)

        threading.Thread(target=guarded, daemon=True).start()

    def _adopt(self) -> None:
        """Follow the nights that an earlier controller began."""
        for night in self.run.nights:
            if night.state == "running" and night.last:
                process = NightProcess(self.folder.process_folder(night.last.run))
                what = "still runs" if process.is_alive() else "has ended"
                self.view.line("resume", f"{night.name}: run {night.last.run} {what}")
                self._follow(night.name, process)

    def _wait(self, orders: Orders, received: Interrupts) -> None:
        """Show the suite until something happens, its window opens, or the plan is old."""
        opens_s = (time_of(self.run.begins_at) - datetime.now(UTC)).total_seconds()
        plan_at = time.monotonic() + (min(opens_s, PLAN_EVERY_S) if opens_s > 0 else PLAN_EVERY_S)
        interrupted_again = received.repeated
        while time.monotonic() < plan_at:
            doing = {name: process.doing for name, process in self._processes.items()}
            rows = rows_of(self.run, orders, doing, datetime.now(UTC))
            self.view.show([*rows, *self._proofs.rows], counts(self.run), time.monotonic())
            left_s = plan_at - time.monotonic()
            try:
                event = self._events.get(timeout=min(max(left_s, 0.0), SCREEN_EVERY_S))
            except Empty:
                if received.repeated and not interrupted_again:
                    interrupted_again = True
                    self._interrupt_all()
            else:
                self._handle(event)
                return

    def _handle(self, event: Event) -> None:
        if isinstance(event, NightEnd):
            self._ended(event)
        elif isinstance(event, ProofEnd):
            self._proved(event)
        elif isinstance(event, JobSeen):
            self._job_seen(event)
        elif isinstance(event, Interrupted):
            self._set(interrupted=str(event).removeprefix("interrupted by "))
            self._interrupt_all()
        else:
            raise event

    def _ask_for_hosts(self) -> None:
        """Ask Slurm for the hosts once the window is open; take an earlier job over at once."""
        waiting = any(each.state == "waiting" for each in self.run.nights)
        due = datetime.now(UTC) >= time_of(self.run.begins_at) and not self.run.interrupted
        if self.job and (self.job.state.job or (waiting and due)):
            self.job.begin(self._events)

    def _job_seen(self, seen: JobSeen) -> None:
        for text in lines_of(self.run.slurm, seen.state):
            self.view.line("slurm", text)
        run, self.setting = with_job(self.run, self.setting, seen)
        self._change(run)

    def _give_back(self) -> None:
        """Cancel the Slurm job, if a suite submitted it."""
        if self.job is None:
            return
        problem = self.job.release()
        notes = (*self.run.notes, problem) if problem else self.run.notes
        for text in filter(None, [problem, *lines_of(self.run.slurm, self.job.state)]):
            self.view.line("slurm", text)
        self._set(slurm=self.job.state, notes=notes)

    def _interrupt_all(self) -> None:
        for process in self._processes.values():
            process.interrupt()
        self._proofs.interrupt()

    def _ended(self, event: NightEnd) -> None:
        self._processes.pop(event.night, None)  # none was started
        if event.ended is None:
            self._change(night_not_begun(self.run, event.night))
            return
        before = {each.host for each in self.run.quarantined}
        addresses = {target.name: address_of(target) for target in self.setting.targets}
        retry = self.setting.retry_of(event.night)
        run = night_ended(self.run, event.night, event.ended, retry)
        run = hosts_failed(run, event.night, addresses, owner())
        self._change(run)
        night = run.night(event.night)
        again = "; it is run again" if night.state == "waiting" else ""
        cause = f": {event.ended.cause}" if event.ended.outcome != "pass" else ""
        muted = " (muted)" if night.mute else ""
        note = f"; {night.note}" if night.note else ""
        text = f"{event.night}{muted}{cause}{again}{note}"
        self.view.line(event.ended.outcome, text)
        if canary_is_bad(night):
            found = self.setting.nights.get(night.name)
            go_on = "" if found and found.gate else "; the other nights go on, Ctrl-C ends them"
            self.view.warn(f"{canary_text(night)}: look at the machines first{go_on}")
        fresh = [each for each in run.quarantined if each.host not in before]
        for each in fresh:
            self._proofs.looked_at(each.host)
            self.view.line("host", f"{each.host} takes no further nights: {each.reason}")
        # A host that is only held by another run is fit for other suites.
        unfit = [] if BUSY in event.ended.reasons else fresh
        self._keep_quarantine(lambda: put(unfit))

    def _prove(self) -> None:
        """Begin to examine hosts in quarantine whose time has come."""
        for host in self._proofs.due(self.run):
            proof = Proof(host, self.run, self.setting, self.runs, self.folder)
            self._proofs.begin(proof)
            self.view.line("host", f"{host} is in quarantine: {proof.what}")

            def work(proof: Proof = proof) -> None:
                self._events.put(ProofEnd(proof.host, proof.problem()))

            self._on_thread(work)

    def _proved(self, event: ProofEnd) -> None:
        self._proofs.end(event.host)
        if event.problem:
            self.view.line("host", f"{event.host} stays in quarantine: {event.problem}")
            return
        addresses = [each.address for each in self.run.quarantined if each.host == event.host]
        self._change(host_released(self.run, event.host))
        self.view.line("host", f"{event.host} takes nights again")
        self._keep_quarantine(lambda: release(addresses))

    def _keep_quarantine(self, change: Callable[[], None]) -> None:
        """Change the file of all suites; hosts that others put there meanwhile take no nights."""
        try:
            change()
            for each in quarantined_of(self.setting.targets):
                self._change(quarantined(self.run, each))
        except UserError as error:
            self.view.warn(str(error))

    def _set(self, **fields: object) -> None:
        self._change(self.run.model_copy(update=fields))

    def _change(self, run: SuiteRun) -> None:
        """Keep a new state, on disk first."""
        if run != self.run:
            self.folder.save(run)
            self.run = run
