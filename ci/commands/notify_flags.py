"""The flags of `inv notify`; see ci/commands/flags.py."""

from __future__ import annotations

from dataclasses import dataclass

from ci.commands.command import flag
from ci.commands.flags import DryRun, Run, Runs


@dataclass(frozen=True)
class Notify(DryRun, Runs, Run):
    """The flags of `inv notify`."""

    suite: str = flag(
        "suite whose `notify` and owners hold, and whose latest run is told if no run is named: a "
        "path, or a name in configs/suites; default: each "
        "service whose variable is set, e.g. LAMPLIGHTER_SLACK_WEBHOOK"
    )
    services: str = flag(
        "only these services, with commas: slack, feishu, wecom, dingtalk, json, email"
    )
    link: str = flag("address under which the folder of runs is served, for links to reports")
    always: bool = flag(
        "tell it also if nothing changed since the night before, or if it was told already",
        default=False,
    )
