"""Suites on lab hosts: a host dies, a case is flaky, a controller is killed, Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from junitparser import JUnitXml

from ci.lab import faults
from ci.suite.progress import Quarantined

if TYPE_CHECKING:
    from suite_stage import SuiteStage


def test_six_cases_on_eight_hosts_of_which_one_dies(stage: SuiteStage):
    stage.case("first", "good")
    stage.case("plain", "good")
    stage.case("wide", "good", "worker")
    stage.case("doomed", "good", env={"START_S": 6})
    stage.case("flaky", "good", env={"FAILS_ON": stage.hosts[6]})
    stage.case("known", "crash")
    stage.suite(
        {"cases": "first", "canary": True, "owner": "ci"},
        {"cases": "plain"},
        {"cases": "wide"},
        {"cases": "doomed", "hosts": {"names": [stage.hosts[4], stage.hosts[5]]}},
        {"cases": "flaky", "hosts": {"names": [stage.hosts[6], stage.hosts[7]]}},
        {"cases": "known"},
        mute="[{cases: known, owner: me, until: 2999-12-31, because: a known crash}]",
    )
    controller = stage.begin()
    dead = stage.await_server("doomed")
    stage.crash(dead)
    assert stage.finish(controller) == 0
    state = stage.state
    outcomes = {each["name"]: each["attempts"][-1]["outcome"] for each in state["nights"]}
    passed = dict.fromkeys(("first", "plain", "wide", "doomed", "flaky"), "pass")
    assert outcomes == passed | {"known": "unknown"}
    assert (state["outcome"], state["exit_code"]) == ("pass", 0)
    first, second = stage.night("doomed")["attempts"]
    assert (first["hosts"], first["reasons"][1]) == ([dead], "environment")
    assert second["hosts"] != [dead]
    assert [each["host"] for each in state["quarantined"]] == [dead]
    first, second = stage.night("flaky")["attempts"]
    assert (first["reasons"], first["failed_hosts"]) == (["network", "environment", "network"], {})
    assert second["hosts"] == [stage.hosts[7]]
    stage.await_free()

    report = (stage.path / "report.md").read_text("utf-8")
    assert "PASS: 5 of 6 nights count, all passed" in report
    assert "Makespan " in report
    assert f"- {dead}, since " in report
    assert "known: unknown; until 2999-12-31 by me: a known crash" in report
    suites = list(JUnitXml.fromfile(str(stage.path / "junit.xml")))
    assert {each.name for each in suites} == outcomes.keys()
    assert sum(each.errors + each.failures for each in suites) == 0
    assert json.loads((stage.path / "suite-report.json").read_text("utf-8"))["muted"] == ["known"]
    assert f"quarantine {dead}, since " in stage.inv("suite.status", "--runs", str(stage.runs))
    assert dead in stage.inv("hosts.quarantine")


def test_a_killed_controller_is_resumed_and_takes_its_nights_over(stage: SuiteStage):
    for name in ("a", "b", "c"):
        stage.case(name, "good", env={"START_S": 15 if name == "b" else 0})
    two = {"names": stage.hosts[:2]}
    stage.suite(*({"cases": each, "hosts": two} for each in ("a", "b", "c")))
    controller = stage.begin()
    stage.await_server("b")
    running = stage.night("b")["attempts"]
    controller.kill()
    controller.wait()
    status = stage.inv("suite.status", "--runs", str(stage.runs))
    assert f"go on with `inv suite.run --resume {stage.path.name}`" in status
    before = {each["name"]: each for each in stage.state["nights"]}
    assert stage.finish(stage.begin("--resume", stage.path.name)) == 0
    assert f"b: run {running[0]['run']} still runs" in stage.output.read_text("utf-8")
    assert stage.state["outcome"] == "pass"
    # It is the same run of `b`, and what was done is not done again.
    assert [each["run"] for each in stage.night("b")["attempts"]] == [running[0]["run"]]
    for name, night in before.items():
        if night["attempts"]:
            assert stage.night(name)["attempts"][0]["run"] == night["attempts"][0]["run"]
            assert len(stage.night(name)["attempts"]) == 1
    assert len(list(stage.runs.glob("*/run.json"))) == 3
    stage.await_free()


@pytest.mark.long
def test_a_night_whose_process_dies_is_given_back_and_run_again(stage: SuiteStage):
    stage.case("a", "good", env={"START_S": 6})
    stage.suite({"cases": "a"})
    controller = stage.begin()
    stage.await_server("a")
    controller.kill()
    controller.wait()
    run = stage.night("a")["attempts"][0]["run"]
    pid = int((stage.path / "processes" / run / "pid").read_text())
    os.kill(pid, signal.SIGKILL)
    assert stage.finish(stage.begin("--resume", "last")) == 0
    first, second = stage.night("a")["attempts"]
    assert (first["outcome"], first["reasons"]) == ("unknown", ["controller_died", "environment"])
    assert second["outcome"] == "pass"
    stage.await_free()


@pytest.mark.long
def test_a_suite_that_has_ended_runs_again_what_its_dead_hosts_lost(stage: SuiteStage):
    """An operator repairs both hosts that a night has lost, releases them, and resumes."""
    two = stage.hosts[:2]
    stage.case("lost", "good", env={"START_S": 6})
    stage.case("other", "good")
    stage.case("broken", "crash")
    stage.suite(
        {"cases": "lost", "hosts": {"names": two}},
        {"cases": "other", "hosts": {"names": stage.hosts[2:]}},
        {"cases": "broken", "hosts": {"names": stage.hosts[2:]}},
        mute="[{cases: broken, owner: me, until: 2999-12-31, because: a known crash}]",
    )
    controller = stage.begin()
    first = stage.await_server("lost")
    stage.crash(first)
    stage.until(lambda: len(stage.night("lost")["attempts"]) > 1)
    stage.crash(stage.await_server("lost"))
    assert stage.finish(controller) == 3
    assert stage.night("lost")["note"] == "run 2 times"
    report = stage.path / "report.md"
    resume = f"`inv suite.run --resume {stage.path.name}`"
    assert resume in report.read_text("utf-8")
    for host in two:
        faults.boot(stage.lab, host)
    stage.down.clear()
    stage.inv("hosts.release", "--cluster", str(stage.lab.cluster_file), "--on", ",".join(two))
    assert stage.finish(stage.begin("--resume", "last")) == 0
    outcomes = [each["outcome"] for each in stage.night("lost")["attempts"]]
    assert outcomes == ["unknown", "unknown", "pass"]
    assert len(stage.night("other")["attempts"]) == len(stage.night("broken")["attempts"]) == 1
    assert resume not in report.read_text("utf-8")
    assert stage.finish(stage.begin("--resume", "last")) == 2
    assert "nothing is left to run" in stage.output.read_text("utf-8")
    stage.await_free()


def test_ctrl_c_hands_all_hosts_back_and_says_what_was_not_begun(stage: SuiteStage):
    for name in ("a", "b", "c"):
        stage.case(name, "good", env={"START_S": 60})
    two = {"names": stage.hosts[:2]}
    stage.suite(*({"cases": each, "hosts": two} for each in ("a", "b", "c")))
    controller = stage.begin()
    stage.until(lambda: len(stage.running) == 2)
    begun = stage.running
    for name in begun:
        stage.await_server(name)
    controller.send_signal(signal.SIGINT)
    assert stage.finish(controller) == 130
    (left,) = {"a", "b", "c"} - set(begun)
    assert (stage.night(left)["state"], stage.night(left)["attempts"]) == ("left-out", [])
    output = stage.output.read_text("utf-8")
    assert f"{left} is not begun: SIGINT ended the suite" in output
    assert "INTERRUPTED by SIGINT" in output
    for name in begun:
        (attempt,) = stage.night(name)["attempts"]
        assert (attempt["outcome"], attempt["exit_code"]) == ("unknown", 130)
        assert Path(stage.runs, attempt["run"], "report.md").exists()
    stage.await_free()


def test_nights_that_share_a_host_run_side_by_side(stage: SuiteStage):
    for name in ("a", "b", "c"):
        stage.case(name, "good", env={"START_S": 8})
    cluster = yaml.safe_load(stage.lab.cluster_file.read_text("utf-8"))
    first = stage.hosts[0]
    cluster["hosts"] = {first: cluster["hosts"][first]}
    cluster["defaults"]["accelerator"] = {"kind": "cpu", "count": 4}
    own = stage.folder / "one-host.yaml.cluster"
    own.write_text(json.dumps(cluster))
    stage.suite(*({"cases": each, "share": True, "devices": 2} for each in ("a", "b", "c")))
    controller = stage.begin("--cluster", str(own))
    stage.until(lambda: len(stage.running) == 2)
    for name in stage.running:
        stage.await_server(name)
    assert len(stage.running) == 2
    assert stage.finish(controller) == 0
    last = {each["name"]: each["attempts"] for each in stage.state["nights"]}
    assert [len(each) for each in last.values()] == [1] * 3
    devices = sorted(each[0]["devices"][first] for each in last.values())
    assert devices[0] != devices[-1]
    assert [each[0]["outcome"] for each in last.values()] == ["pass"] * 3
    stage.await_free()


@pytest.mark.long
def test_a_host_in_quarantine_is_examined_serves_and_takes_nights_again(stage: SuiteStage):
    first, second = stage.hosts[:2]
    stage.case("a", "good")
    stage.case("b", "good")
    stage.suite(
        {"cases": "a", "hosts": {"names": [first]}}, {"cases": "b", "hosts": {"names": [second]}}
    )
    by_suite = Quarantined(
        host=first,
        address=stage.lab.host(first).address,
        reason="it was lost",
        since="2026-01-01T00:00:00.000Z",
        by="me",
        run="a-run",
    )
    by_hand = ("--cluster", str(stage.lab.cluster_file), "--on", second)
    stage.inv("hosts.quarantine", *by_hand, "--reason", "a new disk")
    file = stage.folder / "workspace" / "quarantine.json"
    entries = [*json.loads(file.read_text("utf-8")), by_suite.model_dump()]
    entries[1]["address"] = entries[0]["address"].replace(
        stage.lab.host(second).address, stage.lab.host(first).address
    )
    file.write_text(json.dumps(entries))
    assert stage.finish(stage.begin()) == 3
    assert stage.night("a")["attempts"][0]["outcome"] == "pass"
    assert stage.night("b")["state"] == "left-out"
    assert stage.state["released"] == [first]
    assert [each["host"] for each in stage.state["quarantined"]] == [second]
    output = stage.output.read_text("utf-8")
    assert f"{first} is in quarantine: it is examined, then the smoke test of a" in output
    assert f"{first} takes nights again" in output
    runs = [json.loads(each.read_text("utf-8")) for each in stage.runs.glob("*/run.json")]
    assert sorted(each["purpose"] for each in runs) == ["night", "smoke"]
    assert "takes nights again" in stage.inv("hosts.release", *by_hand)
    assert "no host is in quarantine" in stage.inv("hosts.quarantine")
    stage.await_free()


@pytest.mark.long
def test_a_large_night_in_which_two_hosts_die(stage: SuiteStage):
    names = [f"n{number}" for number in range(8)]
    for number, name in enumerate(names):
        stage.case(name, "good", env={"START_S": number})
    stage.case("wide", "good", "worker", "worker", env={"START_S": 3})
    stage.case("wider", "good", "worker", "worker", "worker")
    stage.case("doomed", "good", env={"START_S": 8})
    stage.case("lost", "good", env={"START_S": 8})
    hosts = stage.hosts
    stage.suite(
        {"cases": names[0], "canary": True},
        *({"cases": name} for name in names[1:]),
        {"cases": "wide", "priority": 2},
        {"cases": "wider", "priority": 1},
        {"cases": "doomed", "hosts": {"names": [hosts[0], hosts[1]]}, "priority": 3},
        {"cases": "lost", "hosts": {"names": [hosts[6], hosts[7]]}, "priority": 3},
    )
    controller = stage.begin()
    dead = [stage.await_server(name) for name in ("doomed", "lost")]
    for host in dead:
        stage.crash(host)
    assert stage.finish(controller) == 0
    state = stage.state
    assert {each["attempts"][-1]["outcome"] for each in state["nights"]} == {"pass"}
    assert sorted(each["host"] for each in state["quarantined"]) == sorted(dead)
    for each in state["nights"]:
        last = each["attempts"][-1]
        assert not set(last["hosts"]) & set(dead) or last["ended_at"]
    stage.await_free()
