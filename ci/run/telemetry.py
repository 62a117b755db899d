"""Sample every host of a run while something is measured, and judge what that says."""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from ci.agent.ask_all import gather
from ci.agent.fetch import NotThere, fetch_log
from ci.agent.process import STOP_MARGIN_S, tail_of
from ci.agent.process_spec import LaunchRequest
from ci.agent.telemetry_archive import NAME, archive
from ci.connect.fan_out import fan_out
from ci.errors import FilesRefused, LamplighterError
from ci.judge.samples import samples_of
from ci.judge.spells import Window
from ci.judge.void import judge_samples
from ci.record.cause import message_of
from ci.remote.names import TELEMETRY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from ci.agent.process import RemoteProcess
    from ci.case.telemetry import Telemetry as Bounds
    from ci.plan.model import Plan
    from ci.record.record import Record
    from ci.run.processes import Processes
    from ci.tools.model import Result

FLAGS = "-ISB"  # as an agent's
FILE = "samples.jsonl"  # as `ci.remote.telemetry.sampler` names it
# A sampler writes at most 64 MiB; of what a host sends beyond that, nothing is read.
MAX_BYTES = 80 << 20
GRACE_S = 2.0


class Telemetry:
    """The samplers of a run.

    Attributes:
        bounds: of the case.
        running: host → its sampler; a host where it could not be started has none.
    """

    def __init__(self, plan: Plan, processes: Processes, record: Record) -> None:
        self.bounds: Bounds = plan.case.telemetry
        self.running: dict[str, RemoteProcess] = {}
        self._hosts = tuple(dict.fromkeys(host.name for host in plan.hosts))
        self._processes = processes
        self._record = record
        self._folder = record.path / TELEMETRY
        self._read: dict[str, int] = {}

    def start(self) -> None:
        """Start a sampler on every host; where that fails, there are no samples."""
        hosts = [host for host in self._hosts if not self._processes.agents[host].trouble]
        for host, outcome in fan_out(hosts, self._start).items():
            if isinstance(outcome, LamplighterError):
                self._record.note(f"{host}: nothing is sampled there: {outcome}")
            else:
                self.running[host] = outcome

    def judge(self, result: Result, host: str) -> tuple[str, ...]:
        """Fetch the samples of a measurement, and judge it.

        Args:
            result: of the measurement.
            host: the host whose clock it has.

        Returns:
            Why its figures of performance say nothing about the servers.
        """
        if not self.bounds.sampled or not (result.started_at and result.ended_at):
            return ()
        self.fetch()
        ahead = self._ahead_s()
        start_s, end_s = (
            datetime.fromisoformat(text).timestamp() - ahead.get(host, 0.0)
            for text in (result.started_at, result.ended_at)
        )
        void: list[str] = []
        for each in self._hosts:
            offset_s = ahead.get(each, 0.0)
            window = Window(start_s + offset_s, end_s + offset_s, offset_s)
            lines = self._new_lines(each)
            judged = judge_samples(each, tuple(samples_of(lines)), window, self.bounds)
            void += judged.void
            for remark in judged.remarks:
                self._record.note(f"telemetry: {remark}")
        return tuple(void)

    def fetch(self) -> None:
        """Copy what the samplers have written so far; what a lost host wrote stays there."""
        stop = self._processes.interrupts.copying()

        def copy(host: str) -> None:
            agent = self._processes.agents[host]
            path = f"{self.running[host].folder}/{FILE}"
            fetch_log(agent, path, self._file(host), stop)

        hosts = [host for host in self.running if not self._processes.agents[host].trouble]
        for host, outcome in fan_out(hosts, copy).items():
            if isinstance(outcome, FilesRefused):
                self._processes.refused.append(outcome)
            if isinstance(outcome, LamplighterError) and not isinstance(outcome, NotThere):
                self._record.note(f"{host}: its samples could not be fetched: {outcome}")

    def stop(self) -> None:
        """End the samplers, and fetch the rest of what they wrote."""
        for host, sampler in self.running.items():
            if not sampler.alive and not sampler.why_lost:
                tail, _ = tail_of(sampler, 1)
                last = tail[-1] if tail else "no output"
                self._record.note(f"{host}: its sampler ended early: {sampler.state}: {last}")
        asked = {
            host: (sampler, sampler.ask_to_stop(GRACE_S))
            for host, sampler in self.running.items()
            if not self._processes.agents[host].trouble
        }
        outcomes = gather(
            ((h, self._processes.agents[h], "stop", reply) for h, (_, reply) in asked.items()),
            STOP_MARGIN_S + GRACE_S,
        )
        for host, outcome in outcomes.items():
            if isinstance(outcome, LamplighterError):
                self._record.note(f"{host}: its sampler was not stopped: {outcome}")
            else:
                asked[host][0].stopped(outcome)
        self.fetch()

    def _start(self, host: str) -> RemoteProcess:
        processes = self._processes
        agent = processes.agents[host]
        path = f"{processes.inputs(host, TELEMETRY)}/{NAME}"
        agent.write(path, archive())
        controller = self._record.run.controller
        own = json.dumps([controller.boot_id, controller.pid, controller.start_ticks])
        argv = (agent.connection.python, FLAGS, path, own)
        # A sampler that ends is a gap, and ends no night.
        return processes.start(LaunchRequest(host, TELEMETRY, argv), on_end=lambda _: None)

    def _new_lines(self, host: str) -> list[str]:
        """Read the lines since the last measurement."""
        path, begin = self._file(host), self._read.get(host, 0)
        if not path.is_file():
            return []
        with path.open("rb") as file:
            file.seek(begin)
            data = file.read(MAX_BYTES)
        # The last line may still be incomplete: it belongs to what is read next.
        whole = data[: data.rfind(b"\n") + 1]
        self._read[host] = begin + len(whole)
        return whole.decode("utf-8", "replace").splitlines()

    def _file(self, host: str) -> Path:
        return self._folder / f"{host}.jsonl"

    def _ahead_s(self) -> Mapping[str, float]:
        """Return how far the clock of each host was ahead of this machine's when examined."""
        return {
            host: float(facts.get("clock_offset_s") or 0.0)
            for host, facts in self._record.run.hosts.items()
        }


@contextmanager
def sampling(plan: Plan, processes: Processes, record: Record) -> Iterator[Telemetry]:
    """Sample the hosts while inside, unless there is nothing to measure or the case forbids it.

    Args:
        plan: the plan of the night.
        processes: the processes of the run.
        record: gets `telemetry/<host>.jsonl` in its folder, and notes.
    """
    telemetry = Telemetry(plan, processes, record)
    if not telemetry.bounds.sampled or not plan.evaluations:
        yield telemetry
        return
    try:
        telemetry.start()
        yield telemetry
    finally:
        try:
            telemetry.stop()
        except Exception as error:  # noqa: BLE001 - it must not hide what ended the night
            record.note(f"the samplers were not stopped: {message_of(error)}")
