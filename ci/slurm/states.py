"""What the states of a job mean for a night. Pure.

The states are those of squeue(1), JOB STATE CODES, and the reasons of JOB REASON CODES.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

WAITING = frozenset({"PENDING", "CONFIGURING", "REQUEUED", "RESIZING", "SPECIAL_EXIT"})
RUNNING = frozenset({"RUNNING"})
# Reasons that do not pass while the job is as it is. Limits of a group or a user do: its other
# jobs end.
_NEVER = re.compile(
    r"Partition(?:NodeLimit|TimeLimit|Config)|BadConstraints|DependencyNeverSatisfied"
    r"|Invalid(?:QOS|Account)|(?:Account|QOS)NotAllowed|QOSUsageThreshold|JobHeld\w+"
    r"|Reservation(?:Deleted|Invalid)|(?:Assoc|QOS)(?:Max|Min)\w*PerJob(?:Limit)?"
    r"|(?:Assoc|QOS)Max(?:WallDuration|Wall)\w*Limit|(?:Assoc|QOS)Grp(?:Wall|CPUMinutes)\w*Limit"
)


@dataclass(frozen=True)
class Fate:
    """What became of a job that is not running.

    Attributes:
        kind: the class of the cause, see configs/failures.yaml.
        cause: follows `Slurm job 12: STATE: `.
        next_step: what to do.
        worth_again: whether one more try in the same night may succeed.
    """

    kind: str
    cause: str
    next_step: str
    worth_again: bool = False


_ENDED = {
    "TIMEOUT": Fate(
        "slurm_time_limit",
        "it reached its time limit",
        "raise `time` under `slurm:` in the cluster file, or run fewer cases in one night",
    ),
    "CANCELLED": Fate(
        "slurm_cancelled",
        "it was cancelled, and not by this run",
        "ask who cancelled it, and run again",
    ),
    "PREEMPTED": Fate(
        "slurm_preempted",
        "a job with a higher priority took its nodes",
        "run again, or choose a `partition` or `qos` that is not preempted",
        worth_again=True,
    ),
    "NODE_FAIL": Fate(
        "slurm_node_fail",
        "Slurm lost one of its nodes",
        "see `sinfo -R` and the node's console, and run again",
        worth_again=True,
    ),
    "DEADLINE": Fate(
        "slurm_queue",
        "it cannot start within `wait`",
        "raise `wait` under `slurm:` in the cluster file, ask for fewer nodes or less `time`, or "
        "choose another partition",
    ),
    "BOOT_FAIL": Fate(
        "slurm_boot_fail", "its nodes did not boot", "see `sinfo -R`, and run again",
        worth_again=True,
    ),
    "OUT_OF_MEMORY": Fate(
        "slurm_out_of_memory",
        "its processes used more memory than the job has",
        "ask for more with `extra: [--mem=0]`, or for whole nodes with `--exclusive`",
    ),
    "REVOKED": Fate(
        "slurm_ended", "another cluster of the federation started it", "run again"
    ),
    "SUSPENDED": Fate(
        "slurm_suspended",
        "Slurm suspended it, so figures of this night would be wrong",
        "choose a `partition` or `qos` that is not suspended, and run again",
    ),
    "STOPPED": Fate(
        "slurm_suspended",
        "its processes were stopped, so figures of this night would be wrong",
        "see who stopped it, and run again",
    ),
    "COMPLETED": Fate(
        "slurm_ended", "it ended by itself", "see who ended its processes, and run again"
    ),
    "FAILED": Fate(
        "slurm_ended", "it ended by itself", "see the log of slurmd on its first node"
    ),
}  # fmt: skip
_REQUEUED = Fate(
    "slurm_requeued",
    "it was put back into the queue",
    "see who did so (`scontrol requeue`, a prolog that failed), and run again",
    worth_again=True,
)
_GONE = Fate(
    "slurm_ended",
    "Slurm no longer knows it",
    "see `sacct` or the log of slurmctld, and run again",
)
# Slurm shows them for a moment, between what it was and what it becomes.
PASSING = frozenset({"COMPLETING", "SIGNALING", "STAGE_OUT"})


def is_hopeless(reason: str) -> bool:
    """Return whether a reason to wait never passes."""
    return bool(_NEVER.fullmatch(reason))


def fate_of(state: str, *, ran: bool) -> Fate | None:
    """Return what became of a job; None if it runs, or may still start.

    Args:
        state: of the job; empty if Slurm no longer knows it.
        ran: whether it has been seen running.
    """
    word = state.split(maxsplit=1)[0].rstrip("+") if state else ""
    if word in RUNNING or word in PASSING:
        return None
    if word in WAITING:
        return _REQUEUED if ran and word != "RESIZING" else None
    if not word:
        return _GONE
    return _ENDED.get(word) or Fate("slurm_ended", "this state is not known here", "see `squeue`")


def worth_again() -> frozenset[str]:
    """Return the classes of the ends of a job after which another one may fare better."""
    return frozenset(fate.kind for fate in (*_ENDED.values(), _REQUEUED) if fate.worth_again)


def kinds() -> set[str]:
    """Return the classes of all causes."""
    named = {fate.kind for fate in (*_ENDED.values(), _REQUEUED, _GONE)}
    return named | {"slurm_queue", "slurm_refused", "slurm_limit", "slurm_node_drained"}
