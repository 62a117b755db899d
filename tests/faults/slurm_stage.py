"""Where faults of Slurm are played: a lab with a real slurmctld, whose nodes nights ask for."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hosts_here import until
from night import INVOKE, NIGHT_S, PROJECT
from stage import Stage

from ci.lab import faults, slurm

if TYPE_CHECKING:
    from night import Night

FOREIGN = "somebody-else"
FOREIGN_JOB = "sleep 100000"
HOLDER = "sleep 2147483647"  # of a job that still runs
NOT_OURS = ("slurmctld", "slurmd", "slurmstepd", "munged", FOREIGN_JOB, HOLDER)


@dataclass
class SlurmStage(Stage):
    """Three lab hosts: the first has slurmctld and is the login host, the others are the nodes.

    Attributes:
        user: who logs in to the nodes.
    """

    user: str = "root"

    @property
    def hosts(self) -> tuple[str, str]:
        """The nodes."""
        first, second = slurm.nodes_of(self.lab)
        return first, second

    @property
    def head(self) -> str:
        return self.hosts[0]

    @property
    def worker(self) -> str:
        return self.hosts[1]

    def cluster_file(self, **keys: object) -> str:
        """Write a cluster file whose hosts come from Slurm; return its path."""
        asked = {"partition": "night", "time": "30m", "wait": "10m"} | keys
        defaults = {
            "user": self.user,
            "port": self.lab.port,
            "identity": str(self.lab.identity),
            "known_hosts": str(self.lab.known_hosts),
        }
        if self.user == "root":
            defaults["workspace"] = self.lab.workspace
        path = self.folder / "slurm.yaml"
        path.write_text(json.dumps({"slurm": asked, "defaults": defaults}), "utf-8")
        return str(path)

    def begin_on_slurm(
        self, case: str, *flags: str, env: dict[str, str] | None = None, **keys: object
    ) -> Night:
        """Start `inv nightly` with hosts from Slurm; `keys` are those of `slurm:`."""
        cluster = ("--cluster", self.cluster_file(**keys))
        variables = {**slurm.environment(self.lab), **(env or {})}
        self.nights.append(self.start_night(case, *cluster, *flags, **variables))
        return self.nights[-1]

    def night_on_slurm(self, case: str, *flags: str, **keys: object) -> Night:
        """Run a whole night with hosts from Slurm."""
        night = self.begin_on_slurm(case, *flags, **keys)
        night.finish()
        return night

    def slurm(self, *argv: str) -> str:
        """Run a command of Slurm on the login host, as root."""
        return slurm.slurm(self.lab, *argv)

    def occupy(self, *options: str) -> int:
        """Let somebody else's job have both nodes, or wait for them; return its number."""
        asked = ["--parsable", f"--job-name={FOREIGN}", "--nodes=2", "--exclusive", "--time=30"]
        quiet = ["--output=/dev/null", "--chdir=/tmp", f"--wrap=exec {FOREIGN_JOB}"]
        return int(self.slurm("sbatch", *asked, *quiet, *options).split(";")[0])

    def job_of(self, night: Night) -> dict[str, Any]:
        """Return what the record of a night says of its job."""
        found: dict[str, Any] = night.record["slurm"]
        return found

    def state_of(self, job: int) -> str:
        """Return the state of a job, as slurmctld has it."""
        return self.slurm("squeue", "-h", "-t", "all", "-j", str(job), "-o", "%T").strip()

    def await_state(self, job: int, state: str) -> None:
        until(lambda: self.state_of(job) == state)

    def await_job(self, night: Night) -> int:
        """Wait until a night has recorded its job; return its number."""
        number = 0

        def there() -> bool:
            nonlocal number
            record = next(night.runs.glob("*/run.json"), None)
            found = record and json.loads(record.read_text("utf-8"))["slurm"]
            number = found["job"] if found else 0
            return bool(number) or night.process.poll() is not None

        until(there)
        assert number, night.output
        return number

    def down(self, night: Night) -> int:
        """Run `inv down` for a night; return its exit code."""
        ended = subprocess.run(
            [*INVOKE, "down", "--run", str(night.folder)],
            cwd=PROJECT,
            env={**os.environ, **slurm.environment(self.lab)},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=NIGHT_S,
            check=False,
        )
        print(ended.stdout)
        return ended.returncode

    def doctor(self) -> str:
        """Return what `inv doctor` says of the queue."""
        argv = [*INVOKE, "doctor", "--cluster", self.cluster_file()]
        variables = {**os.environ, **slurm.environment(self.lab)}
        return subprocess.run(
            argv, cwd=PROJECT, env=variables, text=True, stdout=subprocess.PIPE, check=False
        ).stdout

    def ours_on(self, host: str) -> list[str]:
        """Commands of what runs on a host besides the lab, Slurm and somebody else's job."""
        return [each for each in super().ours_on(host) if not each.startswith(NOT_OURS)]

    def assert_no_job_left(self) -> None:
        """No job of ours waits or runs."""
        shown = self.slurm("squeue", "-h", "-o", "%j %T")
        assert [line for line in shown.splitlines() if FOREIGN not in line] == []

    def track_by_cgroup(self) -> None:
        """Make the cluster new, as most clusters are: processes of a step end with it."""
        if not slurm.has_freezer():
            pytest.skip("needs the freezer of cgroup v1, which this machine does not have")
        self.repair(contain=True)

    def repair(self, *, contain: bool = False) -> None:
        """Make all hosts new, and the cluster on them."""
        for host in self.lab.hosts:
            faults.boot(self.lab, host.name)
        slurm.start(self.lab, contain=contain)
