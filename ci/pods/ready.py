"""Wait until the pods of a night are ready, and watch them afterwards."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci.documents.counted import counted
from ci.errors import InfrastructureError, LamplighterError, NotReady
from ci.k8s import kubectl
from ci.k8s.forward import forwarded
from ci.k8s.pods_state import name_of, node_of, pods_state
from ci.pods.where import died, warnings_about
from ci.record.cause import message_of
from ci.session import START

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ci.pods.where import Pods
    from ci.record.record import Record
    from ci.run.events import Events
    from ci.run.processes import Processes

WATCH_S = 5.0
# After the forward has ended: until the cluster shows the end of a pod.
SETTLE_S = 10.0


def await_pods(pods: Pods, processes: Processes, record: Record) -> None:
    """Wait until all pods are ready.

    Raises:
        NotReady: they were not before the deadline; the message has the cluster's events.
        ProcessDied: a container ended.
        InfrastructureError: a pod cannot start, or the API server does not answer.
    """
    case, wanted = pods.night.pods.case, len(pods.night.pods.hosts)
    deadline = time.monotonic() + case.ready_timeout_s
    pending, silent, stuck = counted(wanted, "pod"), _Since(), _Since()
    with record.step(START, "server"):
        while True:
            try:
                found = processes.run_locally(pods.now, pending)
                silent.over()
            except InfrastructureError as error:
                if silent.seconds() >= pods.silent_s:
                    raise
                found, pending = [], f"the API server: {message_of(error)}"
            state = pods_state(found, wanted)
            if state.ready:
                record.update(hosts={name_of(pod): node_of(pod) for pod in found})
                return
            if state.ended:
                raise died(pods, state.ended)
            if not state.stuck:
                stuck.over()
            elif stuck.seconds() >= pods.stuck_s:
                raise InfrastructureError(f"{state.stuck}{warnings_about(pods, found)}")
            pending = (state.stuck or state.pending) if found or not silent.began else pending
            if time.monotonic() > deadline:
                raise NotReady(
                    f"the pods were not ready within {case.ready_timeout_s:g} s: {pending}"
                    f"{warnings_about(pods, found)}; if they need longer, raise ready_timeout_s in "
                    "the case"
                )
            next_look = time.monotonic() + pods.poll_s
            processes.await_locally(_past(next_look), pending)


class _Since:
    """How long a condition has lasted."""

    def __init__(self) -> None:
        self.began: float | None = None

    def seconds(self) -> float:
        """Return the seconds since the first call after `over`."""
        self.began = self.began or time.monotonic()
        return time.monotonic() - self.began

    def over(self) -> None:
        """Note that the condition does not hold."""
        self.began = None


@dataclass(frozen=True)
class Watch:
    """The watch over the pods of a night.

    Attributes:
        port: of this machine, forwarded to the pods.
        settle: waits for the reason, if the forward has ended.
    """

    port: int
    settle: Callable[[], object]


@contextmanager
def watched(pods: Pods, events: Events) -> Iterator[Watch]:
    """Forward a port to the pods while inside; end the current wait if that or a pod ends."""
    front, port = pods.night.front, pods.night.pods.endpoint.port
    argv = kubectl.forward_argv(front.host, pods.options.namespace, port, context=pods.context)
    left, ended, told = threading.Event(), threading.Event(), threading.Event()

    def watch() -> None:
        # A pod that is not ready for a moment is no cause: the tools notice that it answers late.
        while not left.wait(WATCH_S):
            if found := _end_of(pods):
                events.put(found)
                return

    def broken(error: BaseException) -> None:
        ended.set()
        deadline = time.monotonic() + SETTLE_S
        found = _end_of(pods)
        while not found and time.monotonic() < deadline and not left.wait(pods.poll_s):
            found = _end_of(pods)
        # The end of its pod, which the cluster shows a moment later, is the better cause.
        events.put(found or error)
        told.set()

    watcher = threading.Thread(target=watch, daemon=True, name="watch the pods")
    with forwarded(argv, broken) as own:
        watcher.start()
        try:
            yield Watch(own, lambda: ended.is_set() and told.wait(SETTLE_S + kubectl.ANSWER_S))
        finally:
            left.set()
            watcher.join(kubectl.ANSWER_S)


def _end_of(pods: Pods) -> BaseException | None:
    """Return why a container has ended; None if none has, or the cluster does not answer."""
    with suppress(LamplighterError):
        state = pods.state()
        return died(pods, state.ended) if state.ended else None
    return None


def _past(moment_s: float) -> Callable[[], bool]:
    return lambda: time.monotonic() >= moment_s
