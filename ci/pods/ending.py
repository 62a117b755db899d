"""The end of a night in pods: read their logs, and delete what was applied."""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING

from ci.errors import InfrastructureError, LamplighterError
from ci.k8s import kubectl
from ci.k8s.log_files import by_process
from ci.record.cause import message_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from ci.pods.where import Pods
    from ci.record.record import Record
    from ci.run.processes import Processes


def fetch_logs(pods: Pods, record: Record) -> str:
    """Write the log of every process to `logs/<pod>/<process>.log`; return what failed."""
    problems: list[str] = []
    ends: list[dict[str, object]] = []
    for host in pods.night.pods.hosts:
        own = [each.name for each in pods.night.pods.processes if each.host == host.name]
        text, there = "", False
        for previous in (True, False):
            try:
                text += kubectl.log_of(
                    host.name, pods.options.namespace, context=pods.context, previous=previous
                )
                there = True
            except LamplighterError as error:
                # Most pods have no container before the present one.
                if not previous:
                    problems.append(message_of(error))
        for name, log in by_process(text, own).items():
            record.keep(f"logs/{host.name}/{name}.log", log)
        ends += [{"name": name, "host": host.name, "state": "in a pod"} for name in own if there]
    record.update(processes=ends)
    for problem in problems:
        record.note(f"a log could not be fetched: {problem}")
    return "; ".join(problems)


def delete_all(pods: Pods, processes: Processes, record: Record) -> str:
    """Delete the objects of the night, and those of further manifests; return what failed.

    A failure is noted, and changes no outcome.
    """
    options, context = pods.options, pods.context
    again = f"`inv k8s.delete --name {pods.name} --namespace {options.namespace}`"
    calls: list[tuple[Callable[[], str], str]] = [
        (functools.partial(kubectl.delete, pods.name, options.namespace, context=context), again)
    ]
    calls += [
        (
            functools.partial(kubectl.delete_file, path, options.namespace, context=context),
            f"`kubectl -n {options.namespace} delete -f {path}`",
        )
        for path in pods.delete_files
    ]
    problems = []
    for call, advice in calls:
        try:
            _unless_repeated(call, processes)
        except (LamplighterError, OSError) as error:
            problems.append(f"{message_of(error)}; delete it with {advice}")
            record.note(f"not deleted: {problems[-1]}")
    return "; ".join(problems)


def _unless_repeated(call: Callable[[], str], processes: Processes) -> None:
    """Run a call in a thread, and wait for it; after a second Ctrl-C only some seconds more."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - raised again by the caller
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True, name="kubectl delete")
    thread.start()
    enough = processes.interrupts.copying()
    while thread.is_alive():
        thread.join(0.1)
        if enough():
            raise InfrastructureError("the deletion was asked for, and not awaited")
    if failed:
        raise failed[0]
