"""Suites whose hosts are the nodes of one Slurm job, with a real slurmctld, slurmd and munged.

`python -m ci.lab slurm` installs them; without them these tests are skipped.
"""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest
from hosts_here import until
from night import PROJECT
from slurm_stage import FOREIGN, FOREIGN_JOB, NOT_OURS
from suite_stage import SuiteStage

from ci.lab import faults, inside, slurm
from ci.paths import workspace_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from ci.lab.model import Lab

long = pytest.mark.long
FOREVER_S = 100_000


class SlurmSuites(SuiteStage):
    """Five lab hosts: the first has slurmctld and is the login host, the others are the nodes.

    Attributes:
        variables: further ones of the commands.
    """

    def __init__(self, lab: Lab, folder: Path) -> None:
        super().__init__(lab, folder)
        self.variables: dict[str, str] = dict(slurm.environment(lab))

    @property
    def hosts(self) -> list[str]:
        return slurm.nodes_of(self.lab)

    @property
    def env(self) -> dict[str, str]:
        return super().env | self.variables

    def suite_on_slurm(self, *nights: Mapping[str, object], **keys: object) -> None:
        """Write a suite, and a cluster file with these keys of `slurm:`."""
        asked = {"partition": "night", "time": "30m", "wait": "10m", "nodes": 4} | keys
        defaults = {
            "user": "root",
            "port": self.lab.port,
            "identity": str(self.lab.identity),
            "known_hosts": str(self.lab.known_hosts),
            "workspace": self.lab.workspace,
        }
        cluster = self.folder / "slurm.cluster"
        cluster.write_text(json.dumps({"slurm": asked, "defaults": defaults}), "utf-8")
        entries = [{**each, "cases": f"./{each['cases']}"} for each in nights]
        document = {"cluster": str(cluster), "nights": entries, "expected": "1m"}
        (self.folder / "suite.yaml").write_text(json.dumps(document), "utf-8")

    def three_nights(self, start_s: Mapping[str, int], **keys: object) -> None:
        """Write a suite of two nights on one node each, and one on two nodes."""
        for name, roles in (("a", ("good",)), ("b", ("good",)), ("wide", ("good", "worker"))):
            self.case(name, *roles, env={"START_S": start_s.get(name, 0)})
        self.suite_on_slurm({"cases": "a"}, {"cases": "b"}, {"cases": "wide"}, **keys)

    def slurm(self, *argv: str) -> str:
        """Run a command of Slurm on the login host, as root."""
        return slurm.slurm(self.lab, *argv)

    def occupy(self, *options: str) -> int:
        """Let somebody else's job have all nodes, or wait for them; return its number."""
        asked = ["--parsable", f"--job-name={FOREIGN}", "--nodes=4", "--exclusive", "--time=30"]
        quiet = ["--output=/dev/null", "--chdir=/tmp", f"--wrap=exec {FOREIGN_JOB}"]
        return int(self.slurm("sbatch", *asked, *quiet, *options).split(";")[0])

    @property
    def job(self) -> dict[str, Any]:
        """What suite.json says of the job."""
        found: dict[str, Any] = self.state["slurm"]
        return found

    def await_job(self) -> int:
        """Wait until the job is in suite.json; return its number."""
        number: int = self.until(lambda: self.has_begun and self.job["job"])
        return number

    def state_of(self, job: int) -> str:
        """Return the state of a job, as slurmctld has it."""
        return self.slurm("squeue", "-h", "-t", "all", "-j", str(job), "-o", "%T").strip()

    def records(self) -> list[dict[str, Any]]:
        """Return the records of all nights."""
        return [json.loads(each.read_text("utf-8")) for each in self.runs.glob("*/run.json")]

    def printed(self) -> str:
        return self.output.read_text("utf-8")

    def assert_given_back(self) -> None:
        """No job of ours waits or runs, and nothing of ours is left on any node."""
        shown = self.slurm("squeue", "-h", "-o", "%j %T")
        assert [line for line in shown.splitlines() if FOREIGN not in line] == []
        for host in self.hosts:
            until(lambda host=host: not self._ours_on(host))

    def _ours_on(self, host: str) -> list[str]:
        commands = [each.command for each in inside.processes(self.lab, host)]
        return [each for each in commands if not each.startswith(NOT_OURS)]

    def repair(self) -> None:
        """Make all hosts new, and the cluster on them."""
        for host in self.lab.hosts:
            faults.boot(self.lab, host.name)
        slurm.start(self.lab)


@pytest.fixture(scope="session")
def five_hosts(as_root: None, labs: Callable[..., Lab]) -> Lab:
    if absent := slurm.missing():
        pytest.skip(f"needs Debian's {absent}: python -m ci.lab slurm installs them")
    lab = labs(5, workspace=workspace_of(""), shown=[PROJECT])
    slurm.start(lab)
    return lab


@pytest.fixture
def stage(five_hosts: Lab, tmp_path: Path) -> Iterator[SlurmSuites]:
    stage = SlurmSuites(five_hosts, tmp_path)
    stage.output.touch()
    yield stage
    stage.down.clear()  # all hosts are made new
    stage.end()
    stage.repair()


@long
def test_three_nights_in_one_slurm_job(stage: SlurmSuites):
    stage.three_nights({})
    assert stage.finish(stage.begin()) == 0
    job = stage.job
    assert (job["own"], job["released"], job["nodes"]) == (True, True, stage.hosts)
    assert stage.state_of(job["job"]) == "CANCELLED"
    records = stage.records()
    assert [each["outcome"] for each in records] == ["pass"] * 3
    assert {(each["slurm"]["job"], each["slurm"]["own"]) for each in records} == {
        (job["job"], False)
    }
    # All three began at once, so each had nodes of its own.
    used = [name for each in records for name in each["slurm"]["nodes"]]
    assert sorted(used) == stage.hosts
    assert f"Hosts: Slurm job {job['job']} of partition night" in (
        stage.path / "report.md"
    ).read_text("utf-8")
    assert f"Slurm job {job['job']} has {', '.join(stage.hosts)} until " in stage.printed()
    stage.assert_given_back()


@long
def test_slurm_job_of_a_suite_is_cancelled_in_the_middle(stage: SlurmSuites):
    stage.case("a", "good")
    stage.case("b", "good", env={"START_S": FOREVER_S})
    stage.case("wide", "good", "worker", env={"START_S": FOREVER_S})
    stage.case("all", "good", "worker", "worker")
    entries = [{"cases": name, "priority": 1} for name in ("a", "b", "wide")]
    stage.suite_on_slurm(*entries, {"cases": "all"}, nodes=3)
    controller = stage.begin()
    stage.until(lambda: stage.has_begun and stage.night("a")["state"] == "ended")
    for name in ("b", "wide"):
        stage.await_server(name)
    stage.slurm("scancel", str(stage.await_job()))
    assert stage.finish(controller) == 3
    assert stage.night("a")["attempts"][-1]["outcome"] == "pass"
    for name in ("b", "wide"):
        (attempt,) = stage.night(name)["attempts"]
        assert attempt["outcome"] == "unknown"
        assert attempt["reasons"][:2] == ["slurm_cancelled", "environment"]
        assert "CANCELLED: it was cancelled, and not by this run" in attempt["cause"]
        assert attempt["failed_hosts"] == {}
    assert (stage.night("all")["state"], stage.night("all")["attempts"]) == ("left-out", [])
    assert "CANCELLED" in stage.night("all")["note"]
    assert "CANCELLED" in stage.job["ended"]
    assert stage.state["quarantined"] == []
    stage.assert_given_back()


@long
def test_slurm_job_of_a_suite_is_preempted(stage: SlurmSuites):
    stage.three_nights({"a": 30, "b": 30, "wide": 30}, nodes=3)
    controller = stage.begin()
    first = stage.await_job()
    stage.until(lambda: stage.running)
    for name in stage.running:
        stage.await_server(name)
    other = stage.occupy("--partition=urgent")
    stage.until(lambda: stage.job["earlier"] == [first] and stage.job["job"])
    stage.slurm("scancel", str(other))
    assert stage.finish(controller) == 0
    attempts = [attempt for each in stage.state["nights"] for attempt in each["attempts"]]
    assert "slurm_preempted" in {reason for each in attempts for reason in each["reasons"]}
    assert stage.state_of(stage.job["job"]) == "CANCELLED"
    stage.assert_given_back()


@long
def test_slurm_gives_a_suite_no_hosts_within_the_wait(stage: SlurmSuites):
    stage.occupy()
    stage.three_nights({}, wait="5s", time="60m")
    assert stage.finish(stage.begin()) == 3
    assert {(each["state"], each["attempts"] == []) for each in stage.state["nights"]} == {
        ("left-out", True)
    }
    assert "Slurm gave no hosts within 5.0 s" in stage.night("a")["note"]
    assert "Slurm gave no hosts within 5.0 s" in (stage.path / "report.md").read_text("utf-8")
    assert stage.records() == []
    stage.assert_given_back()


@long
def test_ctrl_c_cancels_the_job_of_a_suite_in_the_queue(stage: SlurmSuites):
    stage.occupy()
    stage.three_nights({})
    controller = stage.begin()
    job = stage.await_job()
    stage.until(lambda: f"Slurm job {job} is PENDING (Resources)" in stage.printed())
    controller.send_signal(signal.SIGINT)
    assert stage.finish(controller) == 130
    assert stage.state_of(job) == "CANCELLED"
    assert stage.records() == []


@long
def test_ctrl_c_hands_the_nodes_of_a_suite_back(stage: SlurmSuites):
    stage.three_nights({"a": FOREVER_S, "b": FOREVER_S, "wide": FOREVER_S})
    controller = stage.begin()
    stage.until(lambda: len(stage.running) == 3)
    for name in stage.running:
        stage.await_server(name)
    controller.send_signal(signal.SIGINT)
    assert stage.finish(controller) == 130
    assert stage.state_of(stage.job["job"]) == "CANCELLED"
    assert [each["exit_code"] for each in stage.records()] == [130] * 3
    stage.assert_given_back()


@long
def test_a_killed_controller_of_a_suite_takes_its_slurm_job_over(stage: SlurmSuites):
    stage.three_nights({"wide": 20}, nodes=2)
    controller = stage.begin()
    stage.await_server("wide")
    job = stage.await_job()
    controller.kill()
    controller.wait()
    assert stage.state_of(job) == "RUNNING"
    status = stage.inv("suite.status", "--runs", str(stage.runs))
    assert f"Slurm job {job} of partition night" in status
    assert stage.finish(stage.begin("--resume", "last")) == 0
    assert (stage.job["job"], stage.job["earlier"], stage.job["released"]) == (job, [], True)
    assert {each["slurm"]["job"] for each in stage.records()} == {job}
    assert [len(each["attempts"]) for each in stage.state["nights"]] == [1] * 3
    stage.assert_given_back()


@long
def test_inv_down_cancels_the_job_that_a_suite_left(stage: SlurmSuites):
    stage.three_nights({"wide": FOREVER_S}, nodes=2)
    controller = stage.begin()
    stage.await_server("wide")
    job = stage.await_job()
    run = stage.path.name
    down = ("down", "--run", run, "--runs", str(stage.runs))
    assert f"cancels Slurm job {job}" in stage.inv(*down)
    controller.kill()
    controller.wait()
    assert f"Slurm job {job} of {run} is cancelled" in stage.inv(*down)
    stage.assert_given_back()
    until(lambda: all(each["outcome"] != "running" for each in stage.records()))
    (unknown,) = [each for each in stage.records() if each["outcome"] == "unknown"]
    assert unknown["explanation"]["kind"] == "slurm_cancelled"


@long
def test_a_suite_inside_a_job_of_the_operator(stage: SlurmSuites):
    job = stage.occupy()
    until(lambda: stage.state_of(job) == "RUNNING")
    stage.variables["SLURM_JOB_ID"] = str(job)
    stage.three_nights({})
    assert stage.finish(stage.begin()) == 0
    assert (stage.job["job"], stage.job["own"], stage.job["released"]) == (job, False, False)
    assert {each["slurm"]["job"] for each in stage.records()} == {job}
    assert stage.state_of(job) == "RUNNING"


@long
def test_a_drained_node_takes_no_further_night_of_a_suite(stage: SlurmSuites):
    stage.case("wide", "good", "worker", env={"START_S": 20})
    stage.case("a", "good")
    stage.case("b", "good")
    first = {"cases": "wide", "canary": True}
    stage.suite_on_slurm(first, {"cases": "a"}, {"cases": "b"}, nodes=2)
    controller = stage.begin()
    stage.await_server("wide")
    good, loud = stage.job["nodes"]
    stage.slurm("scontrol", "update", f"nodename={loud}", "state=drain", "reason=fan is loud")
    assert stage.finish(controller) == 0
    assert [stage.night(name)["attempts"][0]["hosts"] for name in ("a", "b")] == [[good], [good]]
    assert f"{loud} takes no further nights: Slurm says drain" in stage.printed()
    assert "fan is loud" in stage.printed()


@long
def test_a_node_of_a_suite_fails_and_the_others_go_on(stage: SlurmSuites):
    stage.case("a", "good", env={"START_S": 20})
    stage.case("b", "good")
    names = {"names": stage.hosts[2:]}
    stage.suite_on_slurm({"cases": "a", "hosts": names}, {"cases": "b"})
    controller = stage.begin()
    dead = stage.await_server("a")
    stage.crash(dead)
    assert stage.finish(controller) == 0
    first, second = stage.night("a")["attempts"]
    assert (first["hosts"], first["reasons"]) == ([dead], ["host_lost", "environment"])
    assert second["hosts"] == [({*stage.hosts[2:]} - {dead}).pop()]
    assert (stage.job["earlier"], stage.job["ended"]) == ([], "")
    assert stage.state_of(stage.job["job"]) == "CANCELLED"


@long
def test_what_would_last_longer_than_the_job_of_a_suite_is_not_begun(stage: SlurmSuites):
    stage.case("a", "good")
    stage.case("slow", "good")
    stage.suite_on_slurm({"cases": "a"}, {"cases": "slow", "expected": "20m"}, time="8m")
    assert stage.finish(stage.begin()) == 3
    assert stage.night("a")["attempts"][-1]["outcome"] == "pass"
    assert stage.night("slow")["state"] == "left-out"
    job = stage.job["job"]
    assert f"is expected to take 20m, but Slurm job {job} has " in stage.night("slow")["note"]
    stage.assert_given_back()


@long
def test_a_suite_on_nodes_that_forbid_ssh(stage: SlurmSuites):
    for name in stage.hosts:
        faults.stop_sshd(stage.lab, name)
    login = f"{stage.lab.hosts[0].address}:{stage.lab.port}"
    stage.variables["SLURM_CONF"] = "/nowhere"  # Slurm's commands run on the login host alone
    stage.three_nights({}, transport="srun", login_host=login)
    assert stage.finish(stage.begin()) == 0
    assert [each["outcome"] for each in stage.records()] == ["pass"] * 3
    assert {each["targets"][0]["srun"]["job"] for each in stage.records()} == {stage.job["job"]}
    assert stage.job["login"]["address"] == stage.lab.hosts[0].address
    stage.assert_given_back()


@long
def test_a_node_in_quarantine_is_examined_serves_and_takes_nights_again(stage: SlurmSuites):
    stage.case("a", "good")
    stage.suite_on_slurm({"cases": "a"}, nodes=2)
    node = stage.lab.host(stage.hosts[0])
    cluster = str(stage.folder / "slurm.cluster")
    reason = ("--reason", "it was lost")
    stage.inv("hosts.quarantine", "--cluster", cluster, "--on", node.name, *reason)
    file = stage.folder / "workspace" / "quarantine.json"
    (entry,) = json.loads(file.read_text("utf-8"))
    assert entry["address"] == f"{node.address}:{stage.lab.port}"
    file.write_text(json.dumps([entry | {"run": "a-run"}]), "utf-8")  # as a suite writes it
    assert stage.finish(stage.begin()) == 0
    assert f"{node.name} takes nights again" in stage.printed()
    assert stage.state["released"] == [node.name]
    assert sorted(each["purpose"] for each in stage.records()) == ["night", "smoke"]
    stage.assert_given_back()
