"""Faults that are there before the night begins: of hosts, ports and other runs."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING

from hosts_here import until
from stage import PORT

from ci.lab import faults, inside
from ci.lab.programs import find_program, install
from ci.paths import workspace_of
from ci.record.controller import owner

if TYPE_CHECKING:
    from stage import Stage


def test_host_down(stage: Stage):
    faults.crash(stage.lab, stage.worker)
    night = stage.night(stage.case())
    night.assert_unknown(f"{stage.worker}: ", "power")
    faults.boot(stage.lab, stage.worker, empty=False)
    stage.await_nothing_left()


def test_port_22_filtered(stage: Stage):
    faults.filter_port(stage.lab, stage.worker, stage.lab.port)
    night = stage.night(stage.case())
    night.assert_unknown(f"{stage.worker}: ", f"port {stage.lab.port}", "firewall")
    stage.await_nothing_left()


def test_wrong_host_key(stage: Stage):
    faults.new_host_key(stage.lab, stage.worker)
    night = stage.night(stage.case())
    night.assert_unknown(f"{stage.worker}: ", "has changed", "inv hosts.trust")
    stage.await_nothing_left()


def test_no_python3(stage: Stage):
    faults.hide_python(stage.lab, stage.worker)
    stage.excuse()
    night = stage.night(stage.case())
    faults.show_python(stage.lab, stage.worker)
    night.assert_unknown(f"{stage.worker}: ", "there is no python3", "install Python 3.8 or later")
    stage.await_nothing_left()


def test_disk_full(stage: Stage):
    faults.fill_disk(stage.lab, stage.worker)
    night = stage.night(stage.case())
    night.assert_unknown(f"{stage.worker}: ", "No space left", "has room", workspace_of(""))
    stage.await_nothing_left()


def test_port_taken_by_a_foreign_process(stage: Stage):
    foreign = f"python3 -m http.server {PORT}"
    inside.run_in(stage.lab, stage.head, ["sh", "-c", f"setsid {foreign} >/dev/null 2>&1 &"])
    until(lambda: PORT in inside.ports(stage.lab, stage.head))
    night = stage.night(stage.case())
    night.assert_unknown(f"{stage.head}: ", f"port {PORT}", "of root", foreign, "stop that process")
    os.kill(stage.pid_in(stage.head, foreign), signal.SIGKILL)  # it has not been touched
    stage.await_nothing_left()


def kill_supervision(stage: Stage) -> None:
    """Kill every supervisor and guardian at one stroke: none may end the other's orphans."""
    ours = [
        process.pid
        for host in stage.hosts
        for process in inside.processes(stage.lab, host)
        if "python3 -ISB -c" in process.command
    ]
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in ours:
            with contextlib.suppress(ProcessLookupError):  # an agent ends by itself
                os.kill(pid, number)


def test_stale_processes_of_a_dead_run(stage: Stage):
    dead = stage.begin(stage.case("family"))
    stale = f"light_server.py {PORT} busy"
    stage.pid_in(stage.head, stale)
    until(lambda: PORT in inside.ports(stage.lab, stage.head))
    dead.process.kill()
    kill_supervision(stage)
    dead.finish()
    until(lambda: [stale in command for command in stage.ours_on(stage.head)] == [True])

    stage.subject = night = stage.night(stage.case())
    run = dead.folder.name
    night.assert_unknown(stage.head, f"port {PORT}", stale, run, f"inv down --run {run}")
    assert len(stage.ours_on(stage.head)) == 1  # it is named, and not touched

    assert stage.inv("down", "--run", run).returncode == 0
    assert stage.night(stage.case()).code == 0
    stage.await_nothing_left()


def test_another_run_holds_a_host(stage: Stage):
    holder = stage.begin(stage.case("busy"))
    holder.await_step("start the servers")
    run = holder.folder.name
    stage.subject = refused = stage.night(stage.case())
    record = holder.record
    refused.assert_unknown(stage.head, run, owner(), record["started_at"][:13], "--wait")

    queueing = stage.begin(stage.case(), "--wait")
    queueing.await_printed(run)
    assert "queue for it with --wait" not in queueing.output
    assert queueing.process.poll() is None
    holder.interrupt()
    assert holder.finish() == 130
    assert queueing.finish() == 0
    stage.await_nothing_left()


def test_clock_off_by_an_hour(stage: Stage):
    faults.set_clock(stage.lab, stage.worker, 3600)
    stage.subject = night = stage.night(stage.case())
    night.assert_unknown(f"{stage.worker}: ", "clock", "3600", "NTP")
    # No lease and no wait depends on it.
    assert stage.night(stage.case(), "--skip-doctor").code == 0
    stage.await_nothing_left()


def log_in(stage: Stage, shell: str, **files: str) -> None:
    """Change root's login shell and start-up files on both hosts."""
    for host in stage.hosts:
        root = inside.root_of(stage.lab, host)
        passwd = (root / "etc/passwd").read_text()
        (root / "etc/passwd").write_text(passwd.replace("/root:/bin/bash", f"/root:{shell}", 1))
        for name, text in files.items():
            (root / "root" / f".{name}").write_text(text)
    stage.excuse()


def test_noisy_profile(stage: Stage):
    title = "(while sleep 1; do printf '\\033]0;x\\007'; done) &"
    ready = '{"event": "ready", "boot_id": "x", "home": "/nowhere", "name": "n"}'
    log_in(stage, "/bin/bash", bashrc=f"echo hello\n{title}\necho '{ready}'\nread -t 9 answer\n")
    night = stage.night(stage.case(measured=True))
    assert night.code == 0
    assert list(night.folder.glob("evaluate/acc/raw/**/*.jsonl"))
    assert "a worker server is up" in night.log(stage.worker, "server-1")
    stage.await_nothing_left()


def test_tcsh_is_the_login_shell(stage: Stage):
    if find_program("tcsh") is None:
        install(["tcsh"])
    log_in(stage, "/bin/tcsh", tcshrc="echo hello\n")
    night = stage.night(stage.case())
    assert night.code == 0
    assert "light server is up" in night.log(stage.head, "server-0")
    stage.await_nothing_left()


def test_one_session_to_a_connection(stage: Stage):
    for host in stage.hosts:
        config = inside.root_of(stage.lab, host) / "run/lab/sshd_config"
        settings = config.read_text()
        assert "MaxSessions 1000" in settings
        config.write_text(settings.replace("MaxSessions 1000", "MaxSessions 1"))
        faults.restart_sshd(stage.lab, host)
    night = stage.night(stage.case())
    assert night.code == 0
    assert "a worker server is up" in night.log(stage.worker, "server-1")
    stage.await_nothing_left()
