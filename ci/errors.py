"""Define the error tree, and the exit codes of every command.

LamplighterError                 3  (unknown)
├── UserError                    2  the operator can fix it: a case, an argument, a missing folder
│   └── CaseError                2  problems in a case file, each with file, line and key path
├── InfrastructureError          3  a host, a process or a tool failed; not a result of the model
│   ├── ConnectionLost           3  the connection to a host broke
│   ├── HostUnreachable          3  a host cannot be connected to
│   ├── HostKeyRefused           3  a host's key differs from the known one, or none is known
│   ├── FilesRefused             3  a host sent files that no honest host sends
│   ├── CopyStopped              3  the operator stopped a copy that takes long
│   ├── CommandTimedOut          3  a host did not answer a request in time
│   ├── HostBusy                 3  another run holds the host
│   ├── AllocationFailed         3  Slurm gave no hosts, or took them away
│   ├── PreparationFailed        3  making an environment or a model failed
│   ├── HostLost                 3  a required host was lost during the run, or rebooted
│   ├── ProcessDied              3  a required process ended
│   ├── NotHandedBack            3  a host is not as it was found, after the run
│   └── NotReady                 3  a server was not ready before its deadline
└── Interrupted                130  Ctrl-C, SIGTERM or SIGHUP reached the controller

A regression is a verdict, never an exception.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of all commands."""

    PASS = 0
    FAIL = 1
    USER = 2
    UNKNOWN = 3
    INTERRUPTED = 130


class LamplighterError(Exception):
    """Root of the tree. `exit_code` is the exit code of the command."""

    exit_code = ExitCode.UNKNOWN


class UserError(LamplighterError):
    """The operator's input is wrong; the message explains what to do."""

    exit_code = ExitCode.USER


@dataclass(frozen=True)
class Problem:
    """One error or warning of a case file.

    Attributes:
        file: path as the user gave it.
        line: 1-based line of the key or value.
        column: 1-based column.
        key: key path, e.g. `benchmarks.acc.threshold`; empty for the file as a whole.
        message: the problem, and what to do.
    """

    file: str
    line: int
    column: int
    key: str
    message: str

    def __str__(self) -> str:
        location = f"{self.file}:{self.line}:{self.column}: "
        return location + (f"{self.key}: {self.message}" if self.key else self.message)


class CaseError(UserError):
    """A case file was refused; has all problems found, in file order."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class InfrastructureError(LamplighterError):
    """A host, a process or a tool failed. The night is unknown, neither pass nor fail."""


class ConnectionLost(InfrastructureError):  # noqa: N818 - named after the event
    """The connection to a host broke."""


class HostUnreachable(InfrastructureError):  # noqa: N818
    """A host cannot be connected to; the message has the reason and what to check."""


class HostKeyRefused(InfrastructureError):  # noqa: N818
    """A host's key differs from the known one, or none is known."""


class FilesRefused(InfrastructureError):  # noqa: N818
    """A host sent files that no honest host sends: the host's data cannot be trusted."""


class CopyStopped(InfrastructureError):  # noqa: N818
    """The operator stopped a copy that takes long, by a second Ctrl-C."""


class CommandTimedOut(InfrastructureError):  # noqa: N818
    """A host did not answer a request in time."""

    def __init__(self, host: str, what: str, timeout_s: float) -> None:
        super().__init__(
            f"{host}: no answer to `{what}` within {timeout_s:g} s; the host may be overloaded or "
            "its disk may hang; check it there",
        )


QUEUE_ADVICE = "queue for it with --wait, or "


class HostBusy(InfrastructureError):  # noqa: N818
    """Another run holds the host."""

    def __init__(self, host: str, holder: dict[str, object]) -> None:
        super().__init__(
            f"{host} is held by run {holder.get('run', '?')} of {holder.get('owner', '?')} "
            f"(process {holder.get('process', '?')}, pid {holder.get('pid', '?')}) "
            f"since {holder.get('since', '?')}; {QUEUE_ADVICE}end that run with "
            f"`inv down --run {holder.get('run', 'RUN')}`",
        )
        self.host = host
        self.holder = holder


class AllocationFailed(InfrastructureError):  # noqa: N818
    """Slurm gave no hosts, or took them away.

    Attributes:
        kind: the class of the cause; configs/failures.yaml has it, too.
        cause: in one sentence.
        next_step: what to do.
        worth_again: whether one more try in the same night may succeed.
    """

    def __init__(self, kind: str, cause: str, next_step: str, *, worth_again: bool = False) -> None:
        super().__init__(f"{cause}; {next_step}")
        self.kind = kind
        self.cause = cause
        self.next_step = next_step
        self.worth_again = worth_again


class PreparationFailed(InfrastructureError):  # noqa: N818
    """Making an environment or a model on a host failed; `tail` is the end of its output."""

    def __init__(self, message: str, tail: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.tail = tail


class HostLost(InfrastructureError):  # noqa: N818
    """A required host was lost during the run, or rebooted."""


class ProcessDied(InfrastructureError):  # noqa: N818
    """A required process ended.

    Attributes:
        process: its name in the plan.
        host: its host; empty if irrelevant.
        reason: the cause in one line, from its log.
        tail: the last lines of its log.
        from_log: whether other logs may show an earlier cause; not if the run or the host ended it.
        killed: SIGKILL ended it or a child of it, and its log has no cause.
    """

    def __init__(  # noqa: PLR0913 - what is known of an end
        self,
        process: str,
        reason: str,
        tail: tuple[str, ...] = (),
        *,
        host: str = "",
        from_log: bool = True,
        killed: bool = False,
    ) -> None:
        super().__init__(f"{process}{f' on {host}' if host else ''}: {reason}")
        self.process = process
        self.host = host
        self.reason = reason
        self.tail = tail
        self.from_log = from_log
        self.killed = killed


class NotReady(InfrastructureError):  # noqa: N818
    """A server was not ready before its deadline; the message has its last state."""


class NotHandedBack(InfrastructureError):  # noqa: N818
    """A host is not as it was found, after the run: the next one must not begin there."""


class Interrupted(LamplighterError):  # noqa: N818
    """The controller received Ctrl-C, SIGTERM or SIGHUP."""

    exit_code = ExitCode.INTERRUPTED
