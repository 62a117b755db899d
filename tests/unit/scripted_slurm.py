"""A stand-in for slurmctld.

It answers with lines that Slurm 22.05.8 printed on 2026-11-27, see captured/slurm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.errors import InfrastructureError
from ci.slurm.answers import jobs_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.slurm.answers import Job

WAITS = "15|PENDING|Resources||N/A|10:00|2026-11-27T19:04:20|2|night|root|lamplighter-x"
RUNS = "15|RUNNING|None|sltry-[2-3]|2026-11-27T19:14:20|10:00|2026-11-27T19:04:20|2|night|root|l-x"
NEVER = "15|PENDING|PartitionTimeLimit||N/A|20:00:00|N/A|2|night|root|lamplighter-x"
LATE = "15|DEADLINE|DeadLine||2026-11-27T19:03:40|10:00|2026-11-27T19:03:40|2|night|root|l-x"


def ended(state: str) -> str:
    return RUNS.replace("RUNNING", state)


class ScriptedSlurm:
    """A stand-in for slurmctld; of several answers about the job, the last one stays."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.submitted: list[tuple[int | None, str]] = []
        self.cancelled: list[int] = []
        self.states: dict[str, str] = {}
        self.mine: list[Job] = []

    def submit(
        self, _: object, nodes: int | None, run: str, __: str, ___: Sequence[str] = ()
    ) -> int:
        self.submitted.append((nodes, run))
        return 15

    def jobs_of_user(self) -> list[Job]:
        return self.mine

    def job(self, _: int) -> Job | None:
        if self.cancelled:
            return jobs_of(ended("CANCELLED"))[0]
        line = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if line == "silent":
            raise InfrastructureError("squeue failed: Unable to contact slurm controller")
        return jobs_of(line)[0] if line else None

    def cancel(self, number: int) -> None:
        self.cancelled.append(number)

    def canceller(self, _: int) -> str:
        return "1000"

    def nodes(self, _: str) -> dict[str, str]:
        return {"sltry-2": "10.213.0.3", "sltry-3": "10.213.0.4"}

    def node_states(self, names: list[str]) -> dict[str, str]:
        return {name: self.states.get(name, "allocated") for name in names}

    def close(self) -> None:
        pass
