"""Where and how the pods of a night run, and what is known of an end there."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci.errors import LamplighterError, ProcessDied
from ci.k8s import kubectl
from ci.k8s.options import name_of
from ci.k8s.pods_state import events_text, pods_state
from ci.k8s.pods_state import name_of as pod_name
from ci.record.cause import message_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ci.k8s.options import Options
    from ci.k8s.pods_state import Ended, PodsState
    from ci.pods.plan import PodsNight

POLL_S = 2.0
# A pod that cannot start is given up after so long, and an API server that does not answer.
STUCK_S, SILENT_S = 30.0, 60.0
TAIL_LINES = 20


@dataclass(frozen=True)
class Pods:
    """Where and how the pods of a night run.

    Attributes:
        night: the plans.
        options: as for `ci.k8s.render`.
        context: context of the kubeconfig; empty for the current one.
        delete_files: manifests whose objects are deleted at the end, too.
        poll_s: how often the pods are looked at while they start.
        stuck_s: how long a pod may be unable to start.
        silent_s: how long the API server may fail to answer.
    """

    night: PodsNight
    options: Options
    context: str = ""
    delete_files: tuple[str, ...] = ()
    poll_s: float = POLL_S
    stuck_s: float = STUCK_S
    silent_s: float = SILENT_S

    @property
    def name(self) -> str:
        """Return the name of the LeaderWorkerSet."""
        return name_of(self.night.pods.case, self.options)

    def now(self) -> list[dict[str, Any]]:
        """Return the pods as they are; errors as of `ci.k8s.kubectl.pods`."""
        return kubectl.pods(self.name, self.options.namespace, context=self.context)

    def state(self) -> PodsState:
        """Return what the pods do now; errors as of `ci.k8s.kubectl.pods`."""
        return pods_state(self.now(), len(self.night.pods.hosts))


def died(pods: Pods, ended: Ended) -> ProcessDied:
    """Explain the end of a container from its log and its termination message."""
    from ci.explain.classify import classify  # noqa: PLC0415 - only for an end that is not expected

    lines: Sequence[str] = ()
    for previous in (True, False):
        with suppress(LamplighterError):
            text = kubectl.log_of(
                ended.pod, pods.options.namespace, context=pods.context, previous=previous
            )
            lines = text.splitlines()
            break
    signal = ended.exit_code - 128 if ended.exit_code > 128 else None  # noqa: PLR2004 - as a shell
    cause = classify("\n".join(lines) or ended.message, ended.exit_code, signal)
    known = "" if cause.kind == "unknown" else cause.message
    told = ended.message.splitlines()[-1] if ended.message else f"exit code {ended.exit_code}"
    return ProcessDied(
        ended.pod,
        f"its container ended: {': '.join(filter(None, (known, told)))}",
        tuple(lines[-TAIL_LINES:]),
    )


def warnings_about(pods: Pods, found: Sequence[dict[str, Any]]) -> str:
    """Return the cluster's warnings about the pods and their set, for the end of a message."""
    names = {pods.name, *(host.name for host in pods.night.pods.hosts), *map(pod_name, found)}
    try:
        listed = kubectl.events(names, pods.options.namespace, context=pods.context)
    except LamplighterError as error:
        return f"; the cluster's events cannot be read: {message_of(error)}"
    text = events_text(listed)
    return f"; the cluster says: {text}" if text else "; the cluster has no warning about them"
