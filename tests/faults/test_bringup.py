"""Faults during bring-up: of servers, of the network, of hosts. The real vLLM's are elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from hosts_here import until
from stage import PORT

from ci.lab import faults, inside

if TYPE_CHECKING:
    from night import Night
    from stage import Stage

OUTAGE_S = 5


def assert_logs_home(stage: Stage, night: Night) -> None:
    """Both servers' logs are here; that of the worker may be empty, where it was ended at once."""
    assert {path.parent.name for path in night.folder.glob("logs/*/server-*.log")} == {*stage.hosts}


def await_servers(stage: Stage) -> None:
    """Wait until both servers run and the head's answers, if it ever does."""
    for host in stage.hosts:
        stage.pid_in(host, "light_server.py")
    until(lambda: PORT in inside.ports(stage.lab, stage.head))


def test_no_fault_at_all(stage: Stage):
    stage.in_table = False
    night = stage.night(stage.case())
    assert (night.code, night.record["outcome"]) == (0, "pass")
    assert "light server is up" in night.log(stage.head, "server-0")
    assert "a worker server is up" in night.log(stage.worker, "server-1")
    stage.await_nothing_left()


def test_a_server_exits_after_20_s(stage: Stage):
    night = stage.night(stage.case("late", ready_timeout_s=180))
    night.assert_unknown("server-0", stage.head, "exited with code 3", "does not like this")
    assert "does not like this" in night.log(stage.head, "server-0")
    assert_logs_home(stage, night)
    stage.await_nothing_left()


def test_a_server_never_listens(stage: Stage):
    night = stage.night(stage.case("deaf", ready_timeout_s=30))
    night.assert_unknown("not ready after 30 s", "health 200 (connection refused)", stage.head)
    assert "a deaf server is up" in night.log(stage.head, "server-0")
    assert_logs_home(stage, night)
    stage.await_nothing_left()


def test_a_server_answers_503_for_ever(stage: Stage):
    night = stage.night(stage.case("busy", ready_timeout_s=30))
    night.assert_unknown("not ready after 30 s", "health 200 (HTTP 503", stage.head)
    assert_logs_home(stage, night)
    stage.await_nothing_left()


def test_a_server_hangs_on_completions(stage: Stage):
    night = stage.night(stage.case("mute", ready_timeout_s=30))
    night.assert_unknown("not ready after 30 s", "a completion with tokens", stage.head)
    assert_logs_home(stage, night)
    stage.await_nothing_left()


def test_link_down_for_5_s(stage: Stage):
    night = stage.begin(stage.case("warming"))
    await_servers(stage)
    faults.pull_cable(stage.lab, stage.worker)
    time.sleep(OUTAGE_S)  # what the fault is
    faults.repair(stage.lab, stage.worker)
    night.finish()
    assert (night.code, night.record["outcome"]) == (0, "pass")
    assert_logs_home(stage, night)
    stage.await_nothing_left()


def test_link_down_for_good(stage: Stage):
    night = stage.begin(stage.case("busy", ready_timeout_s=180))
    await_servers(stage)
    faults.cut(stage.lab, stage.worker)
    night.finish()
    night.assert_unknown(f"lost {stage.worker}", "power, link and firewall")
    assert night.log(stage.head, "server-0")
    # Nobody can reach it to see: it has ended everything by itself.
    stage.await_nothing_left(folders=(stage.worker,))
    # Once it is back, what the report says to do brings the rest home.
    run = night.record["id"]
    assert f"inv down --run {run}" in night.notes
    faults.repair(stage.lab, stage.worker)
    assert stage.inv("down", "--run", run).returncode == 0
    assert [path for path in inside.written(stage.lab, stage.worker) if run in path] == []


def test_20_percent_of_packets_lost(stage: Stage):
    night = stage.begin(stage.case("warming"))
    night.await_step("start the servers")
    faults.lose_packets(stage.lab, stage.worker, 20)
    night.finish()
    assert (night.code, night.record["outcome"]) == (0, "pass")
    assert_logs_home(stage, night)
    stage.await_nothing_left()


def test_sshd_restarted_with_its_sessions_killed(stage: Stage):
    night = stage.begin(stage.case("warming", measured=True))
    await_servers(stage)
    faults.restart_sshd(stage.lab, stage.worker)
    # Again, where a tool's end has to be heard of afterwards.
    night.await_step("evaluate")
    stage.pid_in(stage.head, "ais_bench")
    faults.restart_sshd(stage.lab, stage.head)
    night.finish()
    assert (night.code, night.record["outcome"]) == (0, "pass")
    assert all(f"{host}: connected again" in night.notes for host in stage.hosts)
    assert_logs_home(stage, night)
    stage.await_nothing_left()


def test_a_host_crashes_and_reboots_empty(stage: Stage):
    night = stage.begin(stage.case("busy", ready_timeout_s=180))
    await_servers(stage)
    faults.crash(stage.lab, stage.worker)
    faults.boot(stage.lab, stage.worker)
    night.finish()
    night.assert_unknown(f"lost {stage.worker}", "rebooted", "run again")
    assert "its logs could not be fetched: they no longer exist" in night.notes
    assert night.log(stage.head, "server-0")
    stage.await_nothing_left()
