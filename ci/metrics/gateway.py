"""Push groups of metrics to a pushgateway, and delete old ones, with bounded tries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import requests

from ci.metrics.gateway_client import Client, Refused
from ci.metrics.night import ended_s
from ci.metrics.old import key_of, old_groups

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ci.metrics.families import Group
    from ci.metrics.settings import Gateway

# Seconds before each further try: a gateway that restarts is back by then.
PAUSES_S = (1.0, 4.0)
MAX_DELETED = 100


@dataclass(frozen=True)
class Outcome:
    """What became of a push.

    Attributes:
        error: why it failed, in one line; empty if all groups were pushed.
        tries: number of tries.
        deleted: number of old groups that were deleted.
        remark: what failed besides, e.g. to delete old groups.
        pushed: whether a group was pushed; not if the gateway has all of a later night.
    """

    error: str = ""
    tries: int = 1
    deleted: int = 0
    remark: str = ""
    pushed: bool = True


def push(
    gateway: Gateway,
    groups: Sequence[Group],
    pause: Callable[[float], bool],
    pauses_s: Sequence[float] = PAUSES_S,
    *,
    only_newer: bool = False,
) -> Outcome:
    """Push groups, each in place of its last push, and delete the old ones.

    Args:
        gateway: where to.
        groups: in this order; a success comes after its night.
        pause: waits for so many seconds; False if there shall be no further try.
        pauses_s: seconds before each further try.
        only_newer: leave out a group that the gateway has of a later night.
    """
    client = Client(gateway)
    tries = 0
    for wait_s in (0.0, *pauses_s):
        if wait_s and not pause(wait_s):
            break
        tries += 1
        try:
            wanted = _newer(groups, client) if only_newer else groups
            for group in wanted:
                client.put(group)
        except (OSError, ValueError, Refused, requests.RequestException) as error:
            failed = client.reason(error)
            if isinstance(error, Refused) and not error.passing:
                break
        else:
            return _clean_up(client, wanted, tries) if wanted else Outcome(pushed=False)
    return Outcome(failed, tries)


def _newer(groups: Sequence[Group], client: Client) -> list[Group]:
    there = {(each.job, each.key): each.ended_s for each in client.pushed()}
    return [
        group for group in groups if there.get((group.job, key_of(group.key)), 0) <= ended_s(group)
    ]


def _clean_up(client: Client, groups: Sequence[Group], tries: int) -> Outcome:
    deleted = 0
    try:
        there = list(client.pushed())
        just_pushed = {(group.job, key_of(group.key)) for group in groups}
        # The gateway's own clock; it may differ from the controller's.
        now_s = max((each.at_s for each in there if (each.job, each.key) in just_pushed), default=0)
        for group in old_groups(there, now_s, client.gateway.keep_days)[:MAX_DELETED]:
            if (group.job, group.key) not in just_pushed:
                client.delete(group)
                deleted += 1
    except (OSError, ValueError, Refused, requests.RequestException) as error:
        remark = f"old groups could not be deleted: {client.reason(error)}"
        return Outcome("", tries, deleted, remark)
    return Outcome("", tries, deleted)
