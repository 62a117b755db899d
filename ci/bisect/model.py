"""Define a point of a bisection, a file of points, and bisect.json, the state of a search. Pure."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ci.case.repeats import AUTO, Repeats
from ci.documents.strict import Strict
from ci.documents.values import shaped

Axis = Literal["vllm", "wheels", "case", "host", "points"]
_Folder = Annotated[
    str, shaped(r"(/|~/)[^$]*", "is not an absolute path on the host; begin it with / or ~/")
]


class Point(Strict):
    """One point: what of its nights differs from those of the others."""

    name: str = Field(min_length=1, description="it names the point, for --good and --bad")
    vllm: str = Field(default="", description="a version of configs/versions.yaml")
    venv: _Folder | None = Field(
        default=None, description="a virtual environment on the hosts, which has vLLM"
    )
    pins: dict[str, str] = Field(
        default={}, description="package → version, besides those of `vllm`"
    )
    links: str = Field(default="", description="a folder of wheels on this machine, for `pins`")
    config: str = Field(default="", description="a case file")
    revision: str = Field(default="", description="a commit of git: the case file as of it")
    cluster: str = Field(default="", description="a cluster file's path or name")
    hosts: tuple[str, ...] = Field(default=(), description="hosts of the cluster file")
    set: tuple[str, ...] = Field(default=(), description="KEY=VALUE in place of the case's values")
    remark: str = Field(default="", description="what a reader of the answer should know of it")
    unusable: str = Field(default="", description="why it cannot be measured; empty if it can")


class PointEntry(Point):
    """A point as a file has it: lists where the state has tuples."""

    hosts: list[str] = Field(default_factory=list)  # type: ignore[assignment]
    set: list[str] = Field(default_factory=list)  # type: ignore[assignment]


class PointsFile(Strict):
    """A file of points, in order."""

    points: list[PointEntry] = Field(min_length=2, description="it lists the points, in order")


class Measured(Strict):
    """A night of a point.

    Attributes:
        failed: why it says nothing of the point: what it starts did not start or answer; it has no
            valid figure; or hosts, the network or the operator ended it. Empty if it counts.
        value: its figure; None if it has none.
        runs: the figure of each of its runs; empty if there was one.
        n: number of items or requests that it is the figure of.
        right: number of right answers to each item, in the order of their ids, as one digit each
            to the base of 62; empty if they are unknown.
        questions: digest of the ids and the prompts of the items.
        good: whether it succeeded, where that is what is asked.
        reused: whether it had ended before this search began.
        reason: why it does not count, or what there was to see.
    """

    point: str
    run: str
    failed: Literal["", "start", "figure", "hosts"] = ""
    value: float | None = None
    unit: str = ""
    runs: tuple[float, ...] = ()
    n: int = 0
    right: str = ""
    questions: str = ""
    good: bool | None = None
    reused: bool = False
    reason: str = ""
    seconds: float = 0.0

    @property
    def counts(self) -> bool:
        """Whether it says anything of its point."""
        return not self.failed


class Asked(Strict):
    """What is asked of every night.

    Attributes:
        benchmark: name of the benchmark; empty for whether the servers start and answer.
        metric: of its figure.
        certainty: the probability of the answer, at least.
        nights: the largest number of nights.
        matters: the smallest loss that makes a point bad, in percent or points.
        reuse: whether nights of the history count.
        noise: how much nights of one version differed in the history, on the scale of the figure,
            and the degrees of freedom of that; null if it is unknown.
        noise_runs: number of runs of each of those nights.
        odd: whether the points have no order, and one that is worse than all others is looked for.
        repeats: how often a night measures: a number; or auto, as `repeats: auto` of a benchmark,
            where the case does not say more.
    """

    benchmark: str
    metric: str
    certainty: float
    nights: int
    matters: float
    reuse: bool = True
    noise: tuple[float, int] | None = None
    noise_runs: int = 1
    odd: bool = False
    repeats: Repeats = AUTO


class State(Strict):
    """bisect.json: a search, written after every night.

    Attributes:
        schema_version: of this file.
        id: name of its folder.
        axis: what differs between the points.
        case: name of the case.
        command: the command line that began it.
        request: the flags of its nights, as of `ci.request.Request`; secrets in `set` are hidden.
        points: in order, the good end first.
        skipped: point → why it cannot be measured.
        nights: all that were measured or reused, in order.
        answer: in one line; empty while there is none.
    """

    schema_version: Literal[1] = 1
    id: str
    axis: Axis
    case: str
    command: tuple[str, ...]
    request: dict[str, str | bool | tuple[str, ...]]
    asked: Asked
    points: tuple[Point, ...]
    skipped: dict[str, str] = Field(default={})
    nights: tuple[Measured, ...] = ()
    answer: str = ""
