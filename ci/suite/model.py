"""Define the keys and types of a suite file: configs/suites/*.yaml. Pure."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from ci.case.model import Device
from ci.documents.strict import Strict
from ci.documents.values import Tag, Version
from ci.suite.notifying import Notify, NotifyTarget
from ci.suite.values import Clock, Day, Duration, Patterns, RunTypeName

Stage = Literal["functional", "accuracy", "performance"]
STAGES: tuple[Stage, ...] = ("functional", "accuracy", "performance")
# Where a suite defines none; in each of them everything runs.
RUN_TYPES = ("pr", "daily", "weekly")
# Assumed of a night that has neither an `expected` nor a past.
ASSUMED_S = 3600.0


class Window(Strict):
    """When nights may run. A night that is expected to end later is not begun."""

    start: Clock | None = Field(
        default=None, description="time of day of the first start, e.g. '22:00'; default: at once"
    )
    until: Clock | None = Field(
        default=None, description="time of day at which the last night has to end; default: any"
    )


class Sizes(Strict):
    """At most so many items and requests of each benchmark."""

    accuracy: int | None = Field(
        default=None, ge=1, description="largest `num_prompts` of a benchmark of accuracy"
    )
    performance: int | None = Field(
        default=None, ge=1, description="largest `num_prompts` of a benchmark of performance"
    )


class Retry(Strict):
    """When a night that ended `unknown` is run again on other hosts, in the same window."""

    times: int = Field(default=1, ge=0, le=3, description="how often; 0 for never")
    reasons: list[str] = Field(
        default=["environment"],
        description="for which reasons of the failure table (configs/failures.yaml): names of "
        "rules, classes, or sides. What the product failed by is never run again",
    )
    most_failed: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="nothing is run again while more than this share of the nights has failed: "
        "then the cause is not in one of them",
    )


class SuiteJudging(Strict):
    """How the figures of all cases are judged, as `judge` of a case; a case's own has priority."""

    same_vllm: bool | None = Field(
        default=None, description="whether only nights of the same build of vLLM count"
    )
    false_alarms_a_month: float | None = Field(
        default=None,
        gt=0,
        le=1_000_000,
        description="number of healthy checks of the whole suite that may fail in a month; each "
        "case gets the share of its benchmarks",
    )
    nights_a_month: int | None = Field(
        default=None, ge=1, le=1000, description="number of nights a month"
    )
    control: Literal["none", "last-good"] | None = Field(
        default=None,
        description="control runs: whether the last good version of vLLM is measured on the same "
        "hosts beside a figure that stays suspect",
    )


class RunType(Strict):
    """What runs in a run type; what is not said runs as the case has it."""

    stages: list[Stage] | None = Field(
        default=None,
        description="which parts of a night run, beside its smoke test: `functional`, `accuracy`, "
        "`performance`. Default: all",
    )
    tags: list[Tag] | None = Field(
        default=None, description="only nights with one of these tags run"
    )
    functional: str | None = Field(
        default=None,
        min_length=1,
        description="functional suite: a path, a name in configs/functional, or `none`; default: "
        "that of the case",
    )
    functional_cases: Patterns | None = Field(
        default=None,
        description="names, tags or patterns of the cases of the functional suite that run. "
        "Default: all",
    )
    benchmarks: Patterns | None = Field(
        default=None, description="names or patterns of the benchmarks that run. Default: all"
    )
    sizes: Sizes | None = Field(default=None, description="largest numbers of items and requests")
    set: dict[str, Any] | None = Field(
        default=None,
        description="KEY → value in place of the case file's value, as with `--set KEY=VALUE`",
    )
    window: Window | None = Field(default=None, description="when its nights may run")


class HostsEntry(Strict):
    """On which hosts of the cluster file a night may run; all that is said has to hold."""

    kind: Device | None = Field(
        default=None,
        description="kind of device; default: the case's `device`, else every host with enough "
        "devices",
    )
    names: Patterns | None = Field(default=None, description="names or patterns of hosts")
    labels: dict[str, str] | None = Field(
        default=None, description="labels of the cluster file: label → value or pattern"
    )


def _by_name(value: Any) -> Any:  # noqa: ANN401 - any value of YAML
    """Read a list of run types as a mapping of them without settings of their own."""
    names = value if isinstance(value, list) else []
    plain = names and all(isinstance(name, str) for name in names)
    return dict.fromkeys(names) if plain else value


RunTypes = Annotated[
    dict[RunTypeName, RunType | None],
    BeforeValidator(_by_name),
    Field(min_length=1),
]


class NightsEntry(Strict):
    """Some cases, and how their nights run. Of several entries with a case the last one counts."""

    cases: Patterns = Field(
        description="it lists case files: names or patterns in configs/cases, or paths from the "
        "suite file on, with a `/`; FILE#NAME chooses cases of a file by their names"
    )
    without: Patterns | None = Field(
        default=None, description="names or patterns of files or cases that are left out"
    )
    tagged: list[Tag] | None = Field(
        default=None, description="only cases that have one of these `tags` in their file"
    )
    tags: list[Tag] = Field(
        default=[], description="further tags of these nights, for --filter and run types"
    )
    run_types: RunTypes | None = Field(
        default=None,
        description="the run types in which they run: a list, or a mapping with settings that "
        "replace those of the suite's run types. Default: all",
    )
    vllm: list[Version] | None = Field(
        default=None,
        min_length=1,
        description="versions of vLLM, one night for each; default: the suite's, else the case's",
    )
    hosts: HostsEntry | None = Field(default=None, description="on which hosts they may run")
    share: bool = Field(
        default=False,
        description="true: a night runs beside others on a host, if it needs only some of its "
        "devices",
    )
    devices: int | None = Field(
        default=None,
        ge=1,
        le=1024,
        description="devices of each host that a night needs; default: the case's `npu_per_node`",
    )
    priority: int = Field(
        default=0, ge=-100, le=100, description="nights with a higher one come first"
    )
    canary: bool = Field(
        default=False, description="true: comes before all others, whatever their priority"
    )
    gate: bool = Field(
        default=False,
        description="true: a canary without which no other night begins; if it does not pass, they "
        "are left out",
    )
    owner: str = Field(default="", max_length=200, description="whom its failures concern")
    expected: Duration | None = Field(
        default=None,
        description="how long a night takes, e.g. 1h30m; default: the median of past nights and "
        "10 %",
    )
    set: dict[str, Any] | None = Field(
        default=None,
        description="KEY → value in place of the case file's value, as with `--set KEY=VALUE`",
    )
    functional: str | None = Field(
        default=None,
        min_length=1,
        description="functional suite: a path, a name in configs/functional, or `none`; default: "
        "that of the case",
    )
    retry: Retry | None = Field(default=None, description="when a night is run again")


class MuteEntry(Strict):
    """Nights that run and are shown, but whose failures do not make the suite fail."""

    cases: Patterns = Field(description="it lists names or patterns of nights or case files")
    owner: str = Field(min_length=1, description="it is who repairs them")
    until: Day = Field(description="it is the last day of the mute, e.g. 2026-12-31")
    because: str = Field(min_length=1, description="it is the reason, for those who see the report")


class SuiteFile(Strict):
    """A suite: the cases of a night, and how they run on the hosts of a cluster."""

    title: str = Field(default="", description="title in reports")
    cluster: str | None = Field(
        default=None,
        min_length=1,
        description="cluster file: a path, or its name in configs/clusters, unless --cluster "
        "names one",
    )
    vllm: list[Version] | None = Field(
        default=None,
        min_length=1,
        description="versions of vLLM, one night of each case for each; default: the case's",
    )
    window: Window | None = Field(default=None, description="when nights may run")
    expected: Duration | None = Field(
        default=None,
        description="assumed duration of a night that has neither its own `expected` nor a past; "
        "default: 1h",
    )
    accuracy: str | None = Field(
        default=None,
        min_length=1,
        description="a file with the evaluation and the least score of every night, beside the "
        "suite file; $LAMPLIGHTER_ACCURACY_CONFIG replaces it",
    )
    retry: Retry | None = Field(default=None, description="when a night is run again")
    judge: SuiteJudging | None = Field(
        default=None, description="how figures are judged, and how many false alarms are accepted"
    )
    run_types: dict[RunTypeName, RunType | None] | None = Field(
        default=None,
        min_length=1,
        description="run type → what runs in it. Default: pr, daily and weekly, with everything",
    )
    nights: list[NightsEntry] = Field(
        min_length=1, description="it lists cases, and how their nights run"
    )
    mute: list[MuteEntry] = Field(default=[], description="nights whose failures do not count")
    notify: Notify | None = Field(
        default=None, description="who is told when the nights have ended; see docs/notify.md"
    )


_OF_RUN_TYPE: dict[str, type[Strict]] = {"sizes": Sizes, "window": Window}
# The first pattern that matches counts, and `*` matches dots too: the inner ones come first.
SECTIONS: dict[str, type[Strict]] = {
    "": SuiteFile,
    **{f"nights.*.run_types.*.{key}": model for key, model in _OF_RUN_TYPE.items()},
    **{f"run_types.*.{key}": model for key, model in _OF_RUN_TYPE.items()},
    "nights.*.run_types.*": RunType,
    "run_types.*": RunType,
    "nights.*.hosts": HostsEntry,
    "nights.*.retry": Retry,
    "nights.*": NightsEntry,
    "mute.*": MuteEntry,
    "notify.to.*": NotifyTarget,
    "notify": Notify,
    "window": Window,
    "retry": Retry,
    "judge": SuiteJudging,
}
