"""Decide from the pods of a plan, as the API server lists them, whether they serve. Pure.

https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#PodStatus
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# Reasons for which a container waits, and that do not pass by themselves within a night. The first
# pull of an image fails as ErrImagePull, which may pass; only then it backs off.
STUCK = frozenset(
    {
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
    }
)
MESSAGE_CHARS = 500


@dataclass(frozen=True)
class Ended:
    """A container that has ended; nothing in a pod of ours ends by itself.

    Attributes:
        pod: its pod.
        exit_code: as of the container, whose program passes on that of its first process.
        message: its termination message: the end of its log, or what `pod.py` wrote.
    """

    pod: str
    exit_code: int
    message: str


@dataclass(frozen=True)
class PodsState:
    """What the pods of a plan do.

    Attributes:
        ready: whether all of them are ready.
        pending: the first condition that is still missing; empty if they are ready.
        stuck: why a pod cannot start; empty if nothing is known against it.
        ended: a container that has ended.
    """

    ready: bool
    pending: str
    stuck: str = ""
    ended: Ended | None = None


def pods_state(pods: Sequence[Mapping[str, Any]], wanted: int) -> PodsState:
    """Return the state of the pods of a plan.

    Args:
        pods: `items` of a list of pods.
        wanted: how many the plan has.
    """
    known = sorted(pods, key=name_of)
    ended = next((end for pod in known for end in _ends(pod)), None)
    stuck = next((reason for pod in known for reason in _stuck(pod)), "")
    missing = [reason for pod in known for reason in _missing(pod)]
    if len(known) < wanted:
        missing.append(f"{len(known)} of {wanted} pods exist")
    return PodsState(not missing and not ended, missing[0] if missing else "", stuck, ended)


def name_of(pod: Mapping[str, Any]) -> str:
    """Return the name of a pod."""
    return str((pod.get("metadata") or {}).get("name", ""))


def node_of(pod: Mapping[str, Any]) -> dict[str, str]:
    """Return what a record keeps of a pod: its node, its address and its image."""
    status = pod.get("status") or {}
    image = next((str(each.get("imageID", "")) for each in _statuses(pod)), "")
    node = str((pod.get("spec") or {}).get("nodeName", ""))
    return {"hostname": node, "address": str(status.get("podIP", "")), "image": image}


def events_text(events: Sequence[Mapping[str, Any]], limit: int = 3) -> str:
    """Write the last warnings of the cluster about objects: `FailedScheduling of big-0: …`."""
    warnings = [event for event in events if event.get("type") == "Warning"]
    warnings.sort(key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))
    lines = [
        f"{event.get('reason')} of {(event.get('involvedObject') or {}).get('name')}: "
        f"{_short(event.get('message'))}"
        for event in warnings
    ]
    return "; ".join(list(dict.fromkeys(lines))[-limit:])


def _ends(pod: Mapping[str, Any]) -> Iterator[Ended]:
    for status in _statuses(pod):
        for key in ("state", "lastState"):
            ended = (status.get(key) or {}).get("terminated")
            if ended:
                reason = _short(ended.get("message")) or str(ended.get("reason") or "")
                yield Ended(name_of(pod), int(ended.get("exitCode") or 0), reason)
    status = pod.get("status") or {}
    if status.get("phase") == "Failed" and not list(_statuses(pod)):
        # Such as one that its node has evicted.
        reason = f"{status.get('reason') or 'Failed'}: {_short(status.get('message'))}"
        yield Ended(name_of(pod), 0, reason)


def _stuck(pod: Mapping[str, Any]) -> Iterator[str]:
    for status in _statuses(pod):
        waiting = (status.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in STUCK:
            yield f"{name_of(pod)}: {waiting['reason']}: {_short(waiting.get('message'))}"


def _missing(pod: Mapping[str, Any]) -> Iterator[str]:
    if (pod.get("metadata") or {}).get("deletionTimestamp"):
        yield f"{name_of(pod)} is being deleted"
        return
    conditions = {
        each.get("type"): each for each in (pod.get("status") or {}).get("conditions") or ()
    }
    scheduled, ready = conditions.get("PodScheduled") or {}, conditions.get("Ready") or {}
    if ready.get("status") == "True":
        return
    if scheduled.get("status") == "False":
        yield f"{name_of(pod)} is not scheduled: {_short(scheduled.get('message'))}"
        return
    waiting = next(
        (
            waiting.get("reason")
            for status in _statuses(pod)
            if (waiting := (status.get("state") or {}).get("waiting"))
        ),
        None,
    )
    yield f"{name_of(pod)} is {waiting or 'not ready'}"


def _statuses(pod: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return (pod.get("status") or {}).get("containerStatuses") or ()


def _short(text: object) -> str:
    return " ".join(str(text or "").split())[:MESSAGE_CHARS]
