"""Define why a night failed, as the record and the reports have it."""

from __future__ import annotations

from dataclasses import dataclass

# What to do after a SIGKILL that the run did not send.
KILLED_NEXT = "see `dmesg | grep -i oom`, and who else uses the host"


@dataclass(frozen=True)
class Explanation:
    """The first cause in the logs of a night.

    Attributes:
        kind: the class of the cause, e.g. `hccl_timeout`.
        cause: in one sentence.
        next_step: what to do.
        side: environment, configuration, product or tool.
        line: of the log, and the lines that continue it.
        process: whose log it is.
        host: where that process ran.
    """

    kind: str
    cause: str
    next_step: str
    side: str
    line: str
    process: str
    host: str

    def __str__(self) -> str:
        return f"{self.process} on {self.host}: {self.cause}; {self.next_step}"
