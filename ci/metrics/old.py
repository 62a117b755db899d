"""Choose the groups of metrics that are old. Pure.

A group is known by its job, its key and the time of its last push: on the gateway, or in files.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ci.metrics.families import JOBS, NIGHT_JOB, SUCCESS_JOB
from ci.metrics.night import VERSION_LABEL

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

DAY_S = 86400.0
# A suite may test several versions of vLLM each night. One that had no night for longer than a
# weekend, while another had, was replaced.
REPLACED_AFTER_S = 4 * DAY_S
# More than all cases of a year of changes; the newest stay.
MAX_GROUPS = 1000


@dataclass(frozen=True)
class Pushed:
    """A group that was published.

    Attributes:
        job: its job.
        key: its other labels, as sorted pairs.
        at_s: Unix time of the last push.
        ended_s: Unix time at which the night ended; 0 if unknown.
    """

    job: str
    key: tuple[tuple[str, str], ...]
    at_s: float
    ended_s: float = field(default=0.0, compare=False)

    @property
    def night(self) -> tuple[tuple[str, str], ...]:
        """Return the key of its night, whatever the version of vLLM."""
        return tuple(pair for pair in self.key if pair[0] != VERSION_LABEL)


def key_of(labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return labels in the form of `Pushed.key`."""
    return tuple(sorted(labels.items()))


def old_groups(groups: Collection[Pushed], now_s: float, keep_days: int) -> list[Pushed]:
    """Return the groups to delete; none of a job that is not Lamplighter's.

    - A group without a push for `keep_days`, but a last success only with the last group of its
      night: a case that fails every night keeps the time of its last success.
    - A group of another version of vLLM of the same night, without a push for four days.
    - The oldest, if there are more than MAX_GROUPS.

    Args:
        groups: all groups that are there.
        now_s: Unix time, by the clock that `at_s` is of.
        keep_days: days.
    """
    ours = [group for group in groups if group.job in JOBS]
    newest: dict[tuple[tuple[str, str], ...], float] = {}
    for group in ours:
        if group.job == NIGHT_JOB:
            newest[group.night] = max(group.at_s, newest.get(group.night, 0.0))
    kept_s = keep_days * DAY_S

    def is_old(group: Pushed) -> bool:
        of_night = newest.get(group.night, 0.0)
        if group.job == SUCCESS_JOB:
            return now_s - max(group.at_s, of_night) > kept_s
        age_s = now_s - group.at_s
        replaced = group.job == NIGHT_JOB and of_night > group.at_s and age_s > REPLACED_AFTER_S
        return age_s > kept_s or replaced

    old = [group for group in ours if is_old(group)]
    stay = sorted({*ours} - {*old}, key=lambda group: -group.at_s)
    return [*old, *stay[MAX_GROUPS:]]
