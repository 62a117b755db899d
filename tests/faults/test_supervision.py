"""Faults of what supervises a run on a host: stopped, killed, hostile, or with something left."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from hosts_here import until
from stage import PORT

from ci.lab import faults, inside

if TYPE_CHECKING:
    from stage import Night, Stage

SERVER = f"light_server.py {PORT}"
LITTER = f"/dev/shm/light-{PORT}"
HOSTILE = Path(__file__).with_name("hostile_agent.py")


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


def test_hostile_agent(stage: Stage):
    faults.hide_python(stage.lab, stage.worker)
    script = r"""cat > /root/hostile.py; python3=$(command -v python3.hidden)
        cat > "${python3%.hidden}" <<END
#!/bin/sh
[ "\$1" = -ISB ] && exec $python3 /root/hostile.py "\$@"; exec $python3 "\$@"
END
        chmod +x "${python3%.hidden}" """
    inside.run_in(stage.lab, stage.worker, ["sh", "-c", script], stdin=HOSTILE.read_text())
    night = stage.night(stage.case())
    night.assert_unknown("not handed back", f"{stage.worker} was not verified", "malformed")
    assert {check["outcome"] for check in night.record["checks"][:2]} == {"pass"}
    assert not [*stage.folder.rglob("lied")]
    assert "\x1b" not in night.output
    stage.await_free()


def test_something_is_left_on_a_host(stage: Stage):
    night = stage.night(stage.case("litter"))
    night.assert_unknown(f"{stage.head}: {LITTER} of root", "(1 MiB)", "remove that")
    assert {check["outcome"] for check in night.record["checks"][:2]} == {"pass"}
    inside.run_in(stage.lab, stage.head, ["rm", LITTER])
    stage.await_nothing_left()
