"""Nights of the tests: `inv nightly` on a case, what it prints, and the folder of its run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hosts_here import PATIENCE_S, until

from ci.paths import PROJECT
from ci.report.markdown import cell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

LIGHT_SERVER = PROJECT / "tests" / "integration" / "light_server.py"
INVOKE = (sys.executable, "-m", "invoke")
# Only ends a test that has failed, on however slow a machine.
NIGHT_S = 3600


def inv(*words: str, cwd: Path = PROJECT, **env: str) -> subprocess.CompletedProcess[str]:
    """Run an `inv` command to its end."""
    return subprocess.run(
        [*INVOKE, *words],
        cwd=cwd,
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **env},
    )


def runs_in(folder: Path) -> list[Path]:
    """Return the folders of runs in the folder of all runs, which also has their history."""
    return sorted(path for path in folder.iterdir() if path.is_dir())


def light_case(*manners: str, port: int, **keys: object) -> str:
    """Return a case of light servers, one for each host; all but the first are headless."""
    roles = ["--port $SERVER_PORT"] + ["--headless"] * (len(manners) - 1)
    commands = [
        f"python3 {LIGHT_SERVER} $SERVER_PORT {manner} {role}"
        for manner, role in zip(manners, roles, strict=True)
    ]
    case = {
        "test_name": "a light night",
        "model": "light",
        "num_nodes": len(manners),
        "npu_per_node": 0,
        "env_common": {"SERVER_PORT": port},
        "deployment": [{"server_cmd": command} for command in commands],
    }
    return json.dumps(case | keys)  # which is YAML, too


class Night:
    """A night that was started; its files are in a folder of its own.

    Attributes:
        case: the case file, written here where its text was given.
        seconds: how long it took; 0 until `finish`.
    """

    def __init__(
        self,
        folder: Path,
        case: str | Path,
        *flags: str,
        invoke: Sequence[str] = INVOKE,
        command: Sequence[str] = ("nightly",),
        runs: Path | None = None,
        **env: str,
    ) -> None:
        own = Path(tempfile.mkdtemp(prefix="night-", dir=folder))
        self.runs, self._output = runs or own / "runs", own / "output"
        self._earlier = runs_in(self.runs) if self.runs.is_dir() else []
        self.case = own / "case.yaml" if isinstance(case, str) else case
        if isinstance(case, str):
            self.case.write_text(case, "utf-8")
        argv = [*invoke, *command, "--config", str(self.case), "--runs", str(self.runs), *flags]
        self.seconds, self._began_s = 0.0, time.monotonic()
        with self._output.open("w") as output:
            self.process = subprocess.Popen(
                argv,
                cwd=PROJECT,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "CI": "true", **env},
            )

    def finish(self, patience_s: float = NIGHT_S) -> int:
        """Wait for its end; return the exit code."""
        self.process.wait(patience_s)
        self.seconds = time.monotonic() - self._began_s
        print(self.output)
        return self.code

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    @property
    def code(self) -> int:
        return self.process.returncode

    @property
    def output(self) -> str:
        return self._output.read_text("utf-8")

    @property
    def folder(self) -> Path:
        (folder,) = [each for each, run in self._added.items() if run["purpose"] == "night"]
        return folder

    @property
    def beside(self) -> list[dict[str, Any]]:
        """The records of what belongs to the night, the oldest first."""
        return [run for run in self._added.values() if run["purpose"] != "night"]

    @property
    def _added(self) -> dict[Path, dict[str, Any]]:
        added = [each for each in runs_in(self.runs) if each not in self._earlier]
        records = {each: json.loads((each / "run.json").read_text("utf-8")) for each in added}
        return dict(sorted(records.items(), key=lambda pair: pair[1]["started_at"]))

    @property
    def record(self) -> dict[str, Any]:
        return json.loads((self.folder / "run.json").read_text("utf-8"))

    @property
    def report(self) -> str:
        return (self.folder / "report.md").read_text("utf-8")

    @property
    def notes(self) -> str:
        return (self.folder / "journal.jsonl").read_text("utf-8")

    @property
    def cause(self) -> str:
        """What ended the night early, else why the first check could not be judged."""
        record = self.record
        unknown = (check["reason"] for check in record["checks"] if check["outcome"] == "unknown")
        return record["cause"]["message"] if record["cause"] else next(unknown, "")

    def assert_unknown(self, *words: str, code: int = 3) -> None:
        """Its outcome is unknown; console and report name the cause in one line, in these words."""
        assert (self.code, self.record["outcome"]) == (code, "unknown")
        for word in words:
            assert word in self.cause
        assert "\n" not in self.cause
        assert self.cause in self.output
        assert cell(self.cause) in self.report

    def log(self, host: str, process: str) -> str:
        return (self.folder / "logs" / host / f"{process}.log").read_text("utf-8")

    def await_printed(self, words: str) -> None:
        """Wait until the night has printed these words."""
        self._await(lambda: words in self.output, words, PATIENCE_S)

    def await_step(self, name: str, patience_s: float = PATIENCE_S) -> None:
        """Wait until the night is in this step."""

        def there() -> bool:
            journal = next(self.runs.glob("*/journal.jsonl"), None)
            return journal is not None and f'"{name}' in journal.read_text("utf-8")

        self._await(there, name, patience_s)

    def _await(self, condition: Callable[[], bool], what: str, patience_s: float) -> None:
        until(lambda: condition() or self.process.poll() is not None, patience_s)
        assert self.process.poll() is None, f"the night ended before {what!r}: {self.output}"


@pytest.fixture
def start_night(tmp_path: Path) -> Iterator[Callable[..., Night]]:
    """Start nights, see `Night`; afterwards those that still run are interrupted."""
    nights: list[Night] = []

    def start(case: str | Path, *flags: str, **further: Any) -> Night:
        nights.append(Night(tmp_path, case, *flags, **further))
        return nights[-1]

    yield start
    for night in nights:
        if night.process.poll() is None:
            night.interrupt()
            night.finish()
