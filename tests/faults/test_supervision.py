"""Faults of what supervises a run on a host: stopped, or killed with its guardian."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from hosts_here import until
from stage import PORT

from ci.lab import inside

if TYPE_CHECKING:
    from stage import Night, Stage

SERVER = f"light_server.py {PORT}"


def supervising(stage: Stage, server: int) -> tuple[int, int]:
    """Find the supervisor of a server on the head, and its guardian."""
    parents = {p.pid: p.parent for p in inside.processes(stage.lab, stage.head)}
    return parents[server], parents[parents[server]]


def begin(stage: Stage, head: str) -> tuple[Night, int]:
    """Begin a night that does not become ready; returns it and its server on the head."""
    night = stage.begin(stage.case(head))
    server = stage.pid_in(stage.head, SERVER)
    until(lambda: PORT in inside.ports(stage.lab, stage.head))
    return night, server


def test_a_supervisor_is_stopped(stage: Stage):
    night, server = begin(stage, "busy")
    stage.subject = night
    for pid in supervising(stage, server):
        os.kill(pid, signal.SIGSTOP)
    night.process.send_signal(signal.SIGINT)
    night.finish()
    night.assert_unknown("interrupted by SIGINT", code=130)
    stage.await_nothing_left()

    dead, server = begin(stage, "busy")
    dead.process.kill()
    for pid in supervising(stage, server):
        os.kill(pid, signal.SIGSTOP)
    dead.finish()
    assert stage.inv("down", "--run", dead.folder.name).returncode == 0
    stage.await_nothing_left()


def test_supervisor_and_guardian_are_killed(stage: Stage):
    night, server = begin(stage, "family")
    pids = supervising(stage, server)
    for number in (signal.SIGSTOP, signal.SIGKILL):  # neither sees the other's end
        for pid in pids:
            os.kill(pid, number)
    night.finish()
    night.assert_unknown(stage.head, "server-0")
    stage.await_nothing_left()
