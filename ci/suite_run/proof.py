"""Let a host in quarantine prove itself: a clean examination, then a smoke test of a case."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ci.connect.printed import one_line
from ci.record.secrets import hide_in_text
from ci.record.start import run_id
from ci.suite.next_orders import Begin
from ci.suite.smoke import smoke_night
from ci.suite_run.ended import end_of
from ci.suite_run.order import request_of, start_night, with_command
from ci.suite_run.process import NightProcess, start_process

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ci.suite.next_orders import Setting
    from ci.suite.night import SuiteNight
    from ci.suite.progress import SuiteRun
    from ci.suite_run.folder import SuiteFolder


@dataclass
class Proof:
    """The proof of a host; `problem` waits for its end.

    Attributes:
        host: which host.
        run: the suite's run.
        setting: its nights and hosts.
        runs: the folder of all runs.
        folder: the suite's own.
    """

    host: str
    run: SuiteRun
    setting: Setting
    runs: Path
    folder: SuiteFolder
    _process: NightProcess | None = field(default=None, repr=False)
    _stopped: bool = False

    @property
    def night(self) -> SuiteNight | None:
        """Return the night whose smoke test the host has to pass."""
        return smoke_night(self.host, tuple(self.setting.nights.values()), self.setting.jobs)

    @property
    def what(self) -> str:
        """Say what the proof is."""
        night = self.night
        smoke = f"then the smoke test of {night.name}" if night else "no case runs on it alone"
        return f"it is examined, {smoke}"

    @property
    def doing(self) -> str:
        """Return what is waited for."""
        return self._process.doing if self._process else ""

    def interrupt(self) -> None:
        """End it; the host stays in quarantine."""
        self._stopped = True
        if self._process:
            self._process.interrupt()

    def problem(self) -> str:
        """Examine the host and run the smoke test; say what failed, empty if nothing did."""
        folder = self.folder.process_folder(f"proof-{self.host}")
        more = ("--workspace", self.run.workspace) if self.run.workspace else ()
        words = ("doctor", "--cluster", self.run.cluster, "--on", self.host, *more)
        self._process = start_process(folder, words)
        code = self._process.wait()
        if self._stopped:
            return "interrupted"
        if code != 0:
            return f"`inv {' '.join(words)}` finds an error; see {folder / 'output'}"
        night = self.night
        return self._smoke(night, folder) if night else ""

    def _smoke(self, night: SuiteNight, folder: Path) -> str:
        name = run_id(f"smoke-{night.case.name}", datetime.now(UTC))
        targets = {target.name: target for target in self.setting.targets}
        request = request_of(
            self.run, night, Begin(night.name, (self.host,)), str(self.runs), name, targets
        )
        request = with_command(
            replace(
                request, measure=False, purpose="smoke", functional="none", benchmarks="", queue_s=0
            )
        )
        self._process = start_night(folder, request)
        down: Sequence[str] = ("down", "--run", name, "--runs", str(self.runs))
        ended = end_of(self._process, self.runs / name, (self.host,), down, lambda _: None)
        if ended is None:
            return f"the smoke test of {night.name} did not begin"
        if ended.outcome == "pass":
            return ""
        return hide_in_text(one_line(f"the smoke test of {night.name}: {ended.cause}; run {name}"))
