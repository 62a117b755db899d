"""Where faults are played: nights over two lab hosts, what came of them, and what they left."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hosts_here import PATIENCE_S, until

from ci.lab import faults, inside
from ci.paths import workspace_of
from ci.report.markdown import cell

if TYPE_CHECKING:
    from ci.lab.model import Lab

PROJECT = Path(__file__).parents[2]
SERVER = PROJECT / "tests" / "integration" / "light_server.py"
# Patience: each only ends a test that has failed, on however slow a machine.
NIGHT_S = 1200
# Lease, grace, a tick and the agent's own silence: after that a cut-off host is free by itself.
DEAD_MAN_S = 240
# The lease, its own grace and a tick.
LEASE_S = 120
PORT = 18_370
INVOKE = (sys.executable, "-m", "invoke")

LIGHT = """\
test_name: "a night with a fault"
model: light
num_nodes: 2
npu_per_node: 0
ready_timeout_s: {ready_timeout_s}
env_common: {{SERVER_PORT: {port}}}
deployment:
  - server_cmd: "{python} {server} $SERVER_PORT {head} --port $SERVER_PORT"
  - server_cmd: "{python} {server} $SERVER_PORT {worker} --headless"
"""
# The light server says `yes` to everything, so no item is right; that is no matter here.
MEASURED = """\
benchmarks:
  acc:
    case_type: accuracy
    dataset_path: lamplighter/arithmetic
    request_conf: vllm_api_general_chat
    dataset_conf: gsm8k/gsm8k_gen_0_shot_cot_chat_prompt
    num_prompts: 40
    max_out_len: 16
    batch_size: 1
    baseline: 0
    threshold: 0
    deadline_s: {deadline_s}
"""


@dataclass
class Night:
    """A night under way, or over."""

    process: subprocess.Popen[str]
    runs: Path
    said: Path
    began_s: float
    output: str = ""
    seconds: float = 0.0

    def finish(self) -> Night:
        """Wait for its end, within bounds; `output` and `seconds` are there then."""
        self.process.wait(NIGHT_S)
        self.output = self.said.read_text()
        self.seconds = time.monotonic() - self.began_s
        print(self.output)
        return self

    @property
    def code(self) -> int:
        return self.process.returncode

    @property
    def folder(self) -> Path:
        (folder,) = self.runs.iterdir()
        return folder

    @property
    def record(self) -> dict[str, Any]:
        return json.loads((self.folder / "run.json").read_text())

    @property
    def cause(self) -> str:
        """What ended the night early, else why the first check could not be judged."""
        record = self.record
        unknown = (one["reason"] for one in record["checks"] if one["outcome"] == "unknown")
        return record["cause"]["message"] if record["cause"] else next(unknown, "")

    def assert_unknown(self, *words: str, code: int = 3) -> None:
        """Its outcome is unknown; console and report name the cause in one line, in these words."""
        assert (self.code, self.record["outcome"]) == (code, "unknown")
        for word in words:
            assert word in self.cause
        assert "\n" not in self.cause
        assert self.cause in self.output
        assert cell(self.cause) in (self.folder / "report.md").read_text()

    @property
    def notes(self) -> str:
        return (self.folder / "journal.jsonl").read_text()

    def log(self, host: str, process: str) -> str:
        return (self.folder / "logs" / host / f"{process}.log").read_text()

    def await_said(self, words: str) -> None:
        """Wait until the night has said this to whoever watches, or has ended."""
        until(lambda: words in self.said.read_text() or self.process.poll() is not None)
        assert self.process.poll() is None, f"the night ended before it said {words!r}"

    def await_step(self, name: str, patience_s: float = PATIENCE_S) -> None:
        """Wait until the night is in this step, or has ended."""

        def there() -> bool:
            journal = next(self.runs.glob("*/journal.jsonl"), None)
            known = journal is not None and f'"{name}' in journal.read_text()
            return known or self.process.poll() is not None

        until(there, patience_s)
        assert self.process.poll() is None, f"the night ended before {name!r}"


@dataclass
class Stage:
    """Two lab hosts, `head` and `worker`, and the nights that were begun on them.

    Attributes:
        excused: files on the hosts that are the fault's own, not the night's.
        subject: the night that the fault is about; else it is the last one.
        in_table: whether it makes a row.
    """

    lab: Lab
    folder: Path
    nights: list[Night] = field(default_factory=list)
    excused: set[str] = field(default_factory=set)
    subject: Night | None = None
    in_table: bool = True

    @property
    def head(self) -> str:
        return self.lab.hosts[0].name

    @property
    def worker(self) -> str:
        return self.lab.hosts[1].name

    @property
    def elsewhere(self) -> Path:
        return self.folder / "elsewhere"

    @property
    def cluster(self) -> tuple[str, str]:
        return "--cluster", str(self.lab.cluster_file)

    @property
    def hosts(self) -> tuple[str, str]:
        return self.head, self.worker

    def case(
        self,
        head: str = "good",
        worker: str = "worker",
        *,
        ready_timeout_s: int = 180,
        measured: bool = False,
        deadline_s: int = 900,
    ) -> Path:
        """Write a case of two light servers with these manners."""
        text = LIGHT.format(
            ready_timeout_s=ready_timeout_s,
            port=PORT,
            python="python3",
            server=SERVER,
            head=head,
            worker=worker,
        )
        path = self.folder / f"case-{len(self.nights)}.yaml"
        path.write_text(text + (MEASURED.format(deadline_s=deadline_s) if measured else ""))
        return path

    def begin(self, case: Path, *flags: str) -> Night:
        """Start `inv nightly` over both hosts."""
        runs = self.folder / f"runs-{len(self.nights)}"
        argv = [*INVOKE, "nightly", "--config", str(case)]
        argv += [*self.cluster, "--runs", str(runs), *flags]
        said = self.folder / f"said-{len(self.nights)}"
        with said.open("w") as output:
            process = subprocess.Popen(
                argv,
                cwd=PROJECT,
                text=True,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "CI": "true"},
            )
        night = Night(process, runs, said, time.monotonic())
        self.nights.append(night)
        return night

    def night(self, case: Path, *flags: str) -> Night:
        """Run a whole night."""
        return self.begin(case, *flags).finish()

    def inv(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run another command of the operator's over both hosts, from another folder."""
        self.elsewhere.mkdir(exist_ok=True)
        ended = subprocess.run(
            [*INVOKE, "--search-root", str(PROJECT), *argv, *self.cluster],
            cwd=self.elsewhere,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=NIGHT_S,
            check=False,
        )
        print(ended.stdout)
        return ended

    def pid_in(self, host: str, words: str, patience_s: float = PATIENCE_S) -> int:
        """Wait for a process of a host whose command has these words; its pid on this machine."""
        found: list[int] = []

        def there() -> bool:
            found[:] = [p.pid for p in inside.processes(self.lab, host) if words in p.command]
            return bool(found)

        until(there, patience_s)
        return found[0]

    def excuse(self) -> None:
        """What is written on the hosts by now is not the night's."""
        self.excused = {path for host in self.hosts for path in inside.written(self.lab, host)}

    def ours_on(self, host: str) -> list[str]:
        """Commands of what runs on a host besides the lab itself."""
        return [one.command for one in inside.processes(self.lab, host)]

    def await_free(self, *, cut_off: tuple[str, ...] = ()) -> None:
        """Wait until nothing runs on any host.

        Args:
            cut_off: hosts whose sshd cannot know that a session is over; TCP tells it in minutes.
        """
        for host in self.hosts:
            spared = "sshd: " if host in cut_off else "-"
            until(
                lambda host=host, spared=spared: all(
                    command.startswith(spared) for command in self.ours_on(host)
                ),
                DEAD_MAN_S,
            )

    def await_nothing_left(self, *, folders: tuple[str, ...] = ()) -> None:
        """Wait until no host has a process, a port or a file of ours; looks from inside.

        Args:
            folders: hosts that were cut off: their logs could not come home, so that a run's
                folder may stay there.
        """
        self.await_free(cut_off=folders)
        for host in self.hosts:
            assert inside.ports(self.lab, host) == set()
            left = [path for path in inside.written(self.lab, host) if not known_file(path)]
            left = [path for path in left if path not in self.excused]
            if host in folders:
                left = [path for path in left if "/.lamplighter/" not in path]
            assert left == [], f"{host} has {left}"

    def mend(self) -> None:
        """Make both hosts new."""
        for host in self.hosts:
            faults.boot(self.lab, host)


def known_file(path: str) -> bool:
    """What every host has and may keep: the two files of the lock, which nobody holds."""
    kept = f"{re.escape(workspace_of(''))}/.lamplighter/[^/]+/lock(.guard)?"
    return bool(re.fullmatch(kept, path)) or path.startswith("/var/log/")
