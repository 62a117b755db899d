"""The flags of `inv thresholds` and `inv judge.simulate`; see ci/commands/flags.py."""

from __future__ import annotations

from dataclasses import dataclass

from ci.commands.command import flag
from ci.commands.flags import Config, Json, Paths, Settings
from ci.commands.suite_flags import RUN_TYPE


@dataclass(frozen=True)
class Assumed:
    """The flags for what a case file does not tell."""

    noise: str = flag("standard deviation of a run of performance, in percent", "1.5")
    within: str = flag(
        "share of the variance of accuracy that is of the answers, the rest being which items are "
        "hard: 0.1 to 1; greedy answers about 0.4, hot ones 0.9",
        "0.5",
    )
    repeats: str = flag(
        "how often a night asks each item, or runs a performance benchmark; default: the case's "
        "`repeats`"
    )
    false_alarms: str = flag(
        "accepted number of false alarms a month, of all checks together; default: the case's "
        "`judge`, else 1"
    )
    nights_a_month: str = flag("number of nights a month; default: the case's `judge`, else 30")
    seed: int = flag("of the random numbers; the same seed gives the same figures", 1)


@dataclass(frozen=True)
class Thresholds(Json, Assumed, Settings, Config):
    """The flags of `inv thresholds`."""

    checks: int = flag("number of checks of all cases of a night; default: those of the case", 0)


@dataclass(frozen=True)
class Simulate(Json, Assumed, Paths):
    """The flags of `inv judge.simulate`."""

    run_type: str = RUN_TYPE
