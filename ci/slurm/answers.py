"""Read what Slurm's commands print. Pure; nothing of it is believed further than its form."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci.connect.printed import one_line
from ci.documents import address
from ci.errors import InfrastructureError

if TYPE_CHECKING:
    from collections.abc import Collection

JOB_FORMAT = "%i|%T|%r|%N|%e|%L|%S|%D|%P|%u|%j"
PARTITION_FORMAT = "%P|%a|%l|%D|%T|%N"
REASON_FORMAT = "%N|%T|%u|%H|%E"
MAX_NODES = 4096
_NODE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}")
_LEFT = re.compile(r"(?:(?P<d>\d{1,4})-)?(?:(?P<h>\d{1,4}):)?(?P<m>\d{1,4}):(?P<s>\d{1,2})")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
_STATE = re.compile(r"[A-Z_]{1,30}")


@dataclass(frozen=True)
class Job:
    """A job, as squeue shows it.

    Attributes:
        reason: why it waits, or why it ended; empty for none.
        hostlist: its nodes, in Slurm's form; empty while it has none.
        ends_at: when it ends, UTC; empty if unknown.
        left_s: seconds until its limit; None if unknown, infinite for none.
        starts_at: when it is expected to start, or has started, UTC; empty if unknown.
        nodes: how many it asks for, or has.
    """

    number: int
    state: str
    reason: str
    hostlist: str
    ends_at: str
    left_s: float | None
    starts_at: str
    nodes: int
    partition: str
    user: str
    name: str


@dataclass(frozen=True)
class PartitionNodes:
    """The nodes of a partition that have one state."""

    partition: str
    is_default: bool
    available: str
    limit_s: float | None
    count: int
    state: str
    hostlist: str


@dataclass(frozen=True)
class UnfitNode:
    """Nodes that Slurm does not use, and why."""

    hostlist: str
    state: str
    by: str
    since: str
    reason: str

    def __str__(self) -> str:
        since = f" since {self.since}" if self.since else ""
        return f"{self.hostlist} is {self.state}{since}, by {self.by}: {self.reason}"


def jobs_of(output: str) -> list[Job]:
    """Read the output of squeue in JOB_FORMAT.

    Raises:
        InfrastructureError: it is something else.
    """
    return [_job(line) for line in output.splitlines() if line.strip()]


def _job(line: str) -> Job:
    parts = line.split("|", 10)
    if len(parts) != 11 or not parts[0].isdecimal() or not _STATE.fullmatch(parts[1]):  # noqa: PLR2004
        raise InfrastructureError(f"squeue printed what is no job: {line[:100]!r}")
    number, state, reason, nodes, ends, left, starts, count, partition, user, name = parts
    return Job(
        number=int(number),
        state=state,
        reason="" if reason in {"None", "(null)"} else reason,
        hostlist="" if nodes in {"(null)", "None"} else nodes,
        ends_at=_time(ends),
        left_s=seconds_of(left),
        starts_at=_time(starts),
        nodes=int(count) if count.isdecimal() else 0,
        partition=partition,
        user=user,
        name=name,
    )


def _time(text: str) -> str:
    return f"{text}Z" if _TIME.fullmatch(text) else ""


def seconds_of(text: str) -> float | None:
    """Return the seconds of a duration of Slurm, `[D-][HH:]MM:SS`.

    Returns:
        0 once it is over (INVALID), infinity for UNLIMITED, None if it is unknown.
    """
    if text == "INVALID":
        return 0.0
    if text in {"UNLIMITED", "infinite"}:
        return float("inf")
    match = _LEFT.fullmatch(text)
    if match is None:
        return None
    days, hours, minutes, seconds = (int(match[name] or 0) for name in "dhms")
    return ((days * 24.0 + hours) * 60 + minutes) * 60 + seconds


def duration(seconds: float) -> str:
    """Write a duration as sbatch reads it: whole minutes and seconds, `MM:SS`."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02}"


def job_number(output: str) -> int:
    """Read what `sbatch --parsable` prints: the job, and perhaps `;cluster`.

    Raises:
        InfrastructureError: it is something else.
    """
    lines = output.split()
    number = lines[-1].split(";")[0] if lines else ""
    if not number.isdecimal():
        raise InfrastructureError(f"sbatch printed no job: {output[:100]!r}; run it by hand")
    return int(number)


def node_names(output: str) -> list[str]:
    """Read the output of `scontrol show hostnames`.

    Raises:
        InfrastructureError: a line is no name of a host, or there are too many.
    """
    names = output.split()
    wrong = next((name for name in names if not _NODE.fullmatch(name)), None)
    if wrong is not None or len(names) > MAX_NODES:
        raise InfrastructureError(
            f"scontrol named {len(names)} nodes, among them {str(wrong)[:100]!r}; expected names "
            f"of at most {MAX_NODES} hosts"
        )
    return list(dict.fromkeys(names))


def node_addresses(output: str) -> dict[str, str]:
    """Read node → NodeAddr from the output of `scontrol show node -o`.

    Raises:
        InfrastructureError: an address is none.
    """
    found = {}
    for line in output.splitlines():
        fields = dict(word.split("=", 1) for word in line.split() if "=" in word)
        name, node_address = fields.get("NodeName", ""), fields.get("NodeAddr", "")
        if not _NODE.fullmatch(name):
            continue
        try:
            parsed = address.parse(node_address)
        except ValueError as error:
            raise InfrastructureError(
                f"Slurm's address of {name}, {node_address[:100]!r}, {error}; correct NodeAddr"
            ) from None
        found[name] = parsed.host
    return found


def partitions_of(output: str) -> list[PartitionNodes]:
    """Read the output of sinfo in PARTITION_FORMAT; lines of another form are left out."""
    rows = [line.split("|") for line in output.splitlines()]
    return [
        PartitionNodes(
            partition=name.rstrip("*"),
            is_default=name.endswith("*"),
            available=available,
            limit_s=seconds_of(limit),
            count=int(count),
            state=state,
            hostlist=hostlist,
        )
        for name, available, limit, count, state, hostlist in (
            row
            for row in rows
            if len(row) == 6 and row[3].isdecimal()  # noqa: PLR2004 - of the format
        )
    ]


def unfit_of(output: str) -> list[UnfitNode]:
    """Read the output of `sinfo -R` in REASON_FORMAT; lines of another form are left out."""
    rows = [line.split("|", 4) for line in output.splitlines()]
    return [
        UnfitNode(nodes, state, by, _time(since), reason)
        for nodes, state, by, since, reason in (row for row in rows if len(row) == 5)  # noqa: PLR2004
    ]


def states_of(output: str, names: Collection[str]) -> dict[str, str]:
    """Read node → state from `%N|%T|%E` of sinfo; a node has a line for each of its partitions.

    Args:
        output: of sinfo.
        names: the nodes that were asked for; others are left out.
    """
    rows = [line.split("|", 2) for line in output.splitlines()]
    return {
        row[0]: row[1] if row[2] == "none" else f"{row[1]} ({one_line(row[2])[:200]})"
        for row in rows
        if len(row) == 3 and row[0] in names  # noqa: PLR2004 - of the format
    }


def canceller_of(output: str) -> str:
    """Return the uid of who cancelled a job, from `sacct -o State`; empty if it does not say."""
    match = re.search(r"^CANCELLED by (\d+)", output, re.MULTILINE)
    return match[1] if match else ""


def last_words(output: str, program: str) -> str:
    """Return what a command of Slurm complains of: its last line, without its own name."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    text = lines[-1] if lines else ""
    return re.sub(rf"^{program}: (?:error: |fatal: )?", "", text)[:300]
