"""The flags of `inv bisect`; see ci/commands/flags.py."""

from __future__ import annotations

from dataclasses import dataclass

from ci.commands.command import flag
from ci.commands.flags import RESUME, Case, DryRun, Runs


@dataclass(frozen=True)
class Ends:
    """The flags for the points of a search."""

    good: str = flag("the good end: a point, or a revision of git; default: the first point")
    bad: str = flag("the bad end: a point, or a revision of git; default: the last point")
    axis: str = flag(
        "what differs between the points: vllm (versions of configs/versions.yaml), case (commits "
        "that touch the case file) or host (hosts of the cluster file)",
        "vllm",
    )
    points: str = flag("a file of points in order, in place of --axis; see docs/bisect.md")
    wheels: str = flag(
        "a folder of wheels of vLLM, or of folders named by commit, in place of --axis; --vllm "
        "is the version whose environment they are put into"
    )


@dataclass(frozen=True)
class Answer:
    """The flags for what an answer has to be."""

    check: str = flag(
        "the figure that became worse: a benchmark, or BENCHMARK.METRIC; start for whether the "
        "servers start and answer; default: the case's benchmark, if it has only one"
    )
    certainty: str = flag("probability of the answer, 0.5 to 0.999", "0.95")
    loss: str = flag(
        "the smallest loss that makes a point bad, in percent, or points of a score; default: 1 "
        "percent, or half a point"
    )
    times: str = flag(
        "how often each night measures, on the same servers: a number, or auto: 3 times a figure "
        "of performance, a score as `repeats: auto`, or as often as the case says",
        "auto",
    )
    max_nights: int = flag(
        "the largest number of nights to run; reused ones are not among them", 60
    )
    no_reuse: bool = flag("use no finished nights of the history", default=False)
    resume: str = RESUME


@dataclass(frozen=True)
class Bisect(Answer, Ends, DryRun, Runs, Case):
    """The flags of `inv bisect`."""

    skip_doctor: bool = flag("do not examine the hosts first", default=False)
    wait: bool = flag("queue for hosts that another run holds, instead of failing", default=False)
