"""Faults of the controller: killed, suspended, told to stop, and two of them at once."""

from __future__ import annotations

import signal
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from hosts_here import until
from stage import LEASE_S

from ci.lab import inside
from ci.lab.lab import cluster_text
from ci.paths import workspace_of

if TYPE_CHECKING:
    from night import Night
    from stage import Stage

SUSPENDED_S = 120
TOOL = "ais_bench"


def begin_evaluation(stage: Stage) -> Night:
    """Begin a night, and wait until its evaluation tool on the head has said something."""
    night = stage.begin(stage.case("slow", measured=True))
    night.await_step("evaluate")
    await_log(stage, night, "acc", "\n")
    return night


def await_log(stage: Stage, night: Night, process: str, words: str) -> None:
    """Wait until a log on the head has these words."""
    runs = inside.root_of(stage.lab, stage.head) / f"{workspace_of('')}/.lamplighter".lstrip("/")
    logs = f"*/{night.folder.name}/{process}/log"
    until(lambda: any(words in log.read_text() for log in runs.glob(logs)))


def serving(stage: Stage) -> list[str]:
    """What a night has started, on all hosts together."""
    words = ("light_server", TOOL, "sleep infinity")
    shown = [command for host in stage.hosts for command in stage.ours_on(host)]
    return [command for command in shown if any(word in command for word in words)]


def test_controller_killed_9(stage: Stage):
    night = begin_evaluation(stage)
    night.process.kill()
    night.finish()
    until(lambda: not serving(stage), LEASE_S)
    stage.await_free()

    run = night.folder.name
    stage.subject = night
    assert stage.night(stage.case()).code == 0  # nobody holds the hosts

    assert stage.inv("down", "--run", run).returncode == 0
    logs = stage.elsewhere / "runs" / run / "logs"
    assert "light server is up" in (logs / stage.head / "server-0.log").read_text()
    assert "a worker server is up" in (logs / stage.worker / "server-1.log").read_text()
    assert (logs / stage.head / "acc.log").read_text()
    stage.await_nothing_left()

    assert stage.inv("down", "--run", run, "--runs", str(night.runs)).returncode == 0
    assert night.record["outcome"] == "unknown"
    assert "the controller was killed" in night.cause
    assert night.cause in night.report


def test_controller_suspended_for_2_minutes(stage: Stage):
    night = begin_evaluation(stage)
    night.process.send_signal(signal.SIGSTOP)
    until(lambda: not serving(stage), LEASE_S)
    threading.Event().wait(SUSPENDED_S)
    night.process.send_signal(signal.SIGCONT)
    night.finish()
    night.assert_unknown("no contact with the controller for too long", "suspended")
    assert "light server is up" in night.log(stage.head, "server-0")
    assert "a worker server is up" in night.log(stage.worker, "server-1")
    assert night.log(stage.head, "acc")
    stage.await_nothing_left()


def test_ctrl_c_once_and_twice(stage: Stage):
    once = begin_evaluation(stage)
    once.interrupt()
    once.finish()
    assert "light server is up" in once.log(stage.head, "server-0")
    assert once.log(stage.head, "acc")
    stage.await_nothing_left()

    twice = stage.begin(stage.case("stubborn"))
    twice.await_step("start the servers")
    await_log(stage, twice, "server-0", "ignores TERM")
    for words in ("SIGINT: stopping", "SIGINT again"):
        twice.interrupt()
        twice.await_printed(words)
    twice.finish()
    assert "ignores TERM" in twice.log(stage.head, "server-0")
    (server,) = (process for process in twice.record["processes"] if process["name"] == "server-0")
    assert (server["escalated"], server["complete"]) == (True, True)
    stage.await_nothing_left()

    for night in (once, twice):
        night.assert_unknown("interrupted by SIGINT", code=130)


def mirrored(stage: Stage) -> Stage:
    """The same hosts under names that sort the other way round, for another controller."""
    first, second = stage.lab.hosts
    hosts = (replace(first, name=f"z-{first.name}"), replace(second, name=f"a-{second.name}"))
    file = stage.folder / "mirrored.yaml"
    file.write_text(cluster_text(replace(stage.lab, hosts=hosts)))
    return replace(stage, lab=replace(stage.lab, cluster_file=file))


def test_two_controllers_at_once(stage: Stage):
    for other in (stage, mirrored(stage)):
        nights = [each.begin(each.case("warming")) for each in (stage, other)]
        loser, winner = sorted(nights, key=lambda night: -night.finish())
        stage.subject = loser
        assert winner.code == 0
        loser.assert_unknown(f"is held by run {winner.folder.name}")
        assert {process["name"] for process in loser.record["processes"]} <= {"lease"}
        stage.await_nothing_left()
