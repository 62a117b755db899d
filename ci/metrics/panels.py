"""What the Grafana dashboard shows: the labels to select by, and its panels. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

# The labels that a reader can select by, and how they are called.
VARIABLES = {
    "cluster": "Cluster",
    "suite": "Suite",
    "run_type": "Run type",
    "case": "Case",
    "model": "Model",
    "vllm_version": "vLLM",
}
_SELECTED = ",".join(f'{name}=~"${name}"' for name in VARIABLES)
# The last success has the version that passed, not the one that is selected.
_SUCCESS = ",".join(f'{name}=~"${name}"' for name in VARIABLES if name != "vllm_version")
_FAILED = f'lamplighter_check_outcome{{{_SELECTED},outcome="fail"}} == 1'
RED, AMBER, GREEN = "red", "orange", "green"


@dataclass(frozen=True)
class Panel:
    """A panel of the dashboard.

    Attributes:
        kind: Grafana's type of it.
        title: a short one.
        about: what it shows; Grafana shows it on hover.
        queries: expression → legend.
        width: of 24 columns.
        height: in rows of the grid.
        unit: as Grafana names it; empty for none.
        thresholds: value → colour from there on; the first is for all below.
        instant: whether only the present value is wanted.
        options: Grafana's options of the kind.
    """

    kind: str
    title: str
    about: str
    queries: dict[str, str]
    width: int
    height: int = 8
    unit: str = ""
    thresholds: dict[float | None, str] = field(default_factory=dict)
    instant: bool = False
    options: dict[str, Any] = field(default_factory=dict)


_LAST = {"reduceOptions": {"calcs": ["lastNotNull"]}}
_LEGEND = {"legend": {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull"]}}
_CHECK = "{{case}} {{check}} {{metric}}"

PANELS = (
    Panel(
        "stat",
        "Last nights by outcome",
        "How many of the selected cases passed, failed, or are unknown, by their last night.",
        {f"sum by (outcome) (lamplighter_night_outcome{{{_SELECTED}}})": "{{outcome}}"},
        8,
        5,
        instant=True,
        options={**_LAST, "colorMode": "background"},
    ),
    Panel(
        "stat",
        "Oldest last pass",
        "The selected case whose last pass is the oldest; a case that never passed is not in it.",
        {f"max(time() - lamplighter_last_success_timestamp_seconds{{{_SUCCESS}}})": "age"},
        8,
        5,
        unit="s",
        thresholds={None: GREEN, 2 * 86400: AMBER, 3 * 86400: RED},
        instant=True,
        options=_LAST,
    ),
    Panel(
        "stat",
        "Oldest last night",
        "Nothing is known of a case since its last night; more than a day is one too few.",
        {
            "max(time() - max by (case, cluster, suite, run_type) "
            f"(lamplighter_night_timestamp_seconds{{{_SELECTED}}}))": "age"
        },
        8,
        5,
        unit="s",
        thresholds={None: GREEN, 30 * 3600: AMBER, 54 * 3600: RED},
        instant=True,
        options=_LAST,
    ),
    Panel(
        "table",
        "Checks that missed their bound",
        "Failed checks of the last nights, with value, baseline and bound in the unit of the row.",
        {
            f"max without (outcome) ({_FAILED})": "failed",
            **{
                f"max without (outcome) (lamplighter_check_{what}{{{_SELECTED}}} "
                f"and ignoring (outcome) {_FAILED})": what
                for what in ("value", "baseline", "bound")
            },
        },
        24,
        instant=True,
    ),
    Panel(
        "state-timeline",
        "Outcomes of the nights",
        "1 pass, 0 unknown, -1 fail.",
        {
            f'lamplighter_night_outcome{{{_SELECTED},outcome="pass"}} - ignoring (outcome) '
            f'lamplighter_night_outcome{{{_SELECTED},outcome="fail"}}': (
                "{{case}} {{cluster}} {{vllm_version}}"
            )
        },
        24,
        thresholds={None: RED, 0: AMBER, 1: GREEN},
    ),
    Panel(
        "timeseries",
        "Figures against their baselines",
        "Value divided by baseline: 1 is the baseline. For latencies lower is better.",
        {
            f"lamplighter_check_value{{{_SELECTED}}} / "
            f"(lamplighter_check_baseline{{{_SELECTED}}} != 0)": _CHECK
        },
        24,
        unit="percentunit",
        options=_LEGEND,
    ),
    Panel(
        "timeseries",
        "Value and bound: accuracy",
        "Percentage points.",
        {
            f'lamplighter_check_value{{{_SELECTED},unit="%"}}': _CHECK,
            f'lamplighter_check_bound{{{_SELECTED},unit="%"}}': f"bound of {_CHECK}",
        },
        12,
        unit="percent",
        options=_LEGEND,
    ),
    Panel(
        "timeseries",
        "Value and bound: throughput",
        "Tokens, or requests, a second.",
        {
            f'lamplighter_check_value{{{_SELECTED},unit=~".*/s"}}': _CHECK,
            f'lamplighter_check_bound{{{_SELECTED},unit=~".*/s"}}': f"bound of {_CHECK}",
        },
        12,
        options=_LEGEND,
    ),
    Panel(
        "timeseries",
        "Value and bound: latencies and starts",
        "Milliseconds or seconds, as the unit of the legend says.",
        {
            f'lamplighter_check_value{{{_SELECTED},unit=~"ms|s"}}': f"{_CHECK} {{{{unit}}}}",
            f'lamplighter_check_bound{{{_SELECTED},unit=~"ms|s"}}': (
                f"bound of {_CHECK} {{{{unit}}}}"
            ),
        },
        12,
        options=_LEGEND,
    ),
    Panel(
        "timeseries",
        "Time that nights and measurements take",
        "Whole nights, and the measurements of each check.",
        {
            f"lamplighter_night_duration_seconds{{{_SELECTED}}}": "{{case}} whole night",
            f"lamplighter_check_duration_seconds{{{_SELECTED}}}": _CHECK,
        },
        12,
        unit="s",
        options=_LEGEND,
    ),
    Panel(
        "table",
        "Last pass of each case",
        "When it ended, and with which version of vLLM.",
        {f"lamplighter_last_success_timestamp_seconds{{{_SUCCESS}}} * 1000": "last pass"},
        12,
        unit="dateTimeAsIso",
        instant=True,
    ),
    Panel(
        "timeseries",
        "Checks of a night, and those left out",
        "A night publishes 100 checks at most, those that failed first.",
        {
            f"lamplighter_night_checks{{{_SELECTED}}}": "{{case}}",
            f"lamplighter_night_checks_left_out{{{_SELECTED}}} > 0": "{{case}} left out",
        },
        12,
        options=_LEGEND,
    ),
)
