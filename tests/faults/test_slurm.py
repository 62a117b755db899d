"""Faults of hosts that Slurm allocates, with a real slurmctld, slurmd and munged.

`python -m ci.lab slurm` installs them; without them these tests are skipped.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hosts_here import until
from night import PROJECT
from slurm_stage import SlurmStage

from ci.lab import faults, slurm
from ci.paths import workspace_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from night import Night

    from ci.lab.model import Lab

long = pytest.mark.long


@pytest.fixture(scope="session")
def slurm_lab(as_root: None, labs: Callable[..., Lab]) -> Lab:
    if absent := slurm.missing():
        pytest.skip(f"needs Debian's {absent}: python -m ci.lab slurm installs them")
    lab = labs(3, workspace=workspace_of(""), shown=[PROJECT])
    slurm.start(lab)
    return lab


@pytest.fixture
def stage(
    slurm_lab: Lab,
    tmp_path: Path,
    start_night: Callable[..., Night],
    note_in_table: Callable[[SlurmStage], None],
) -> Iterator[SlurmStage]:
    stage = SlurmStage(slurm_lab, tmp_path, start_night)
    yield stage
    for night in stage.nights:  # those of a test that failed
        night.process.kill()
        night.process.wait()
    note_in_table(stage)
    stage.repair()


def assert_ended(night: Night, kind: str, *words: str, code: int = 3) -> None:
    """A night is unknown because of its job, in these words; its class is that of the table."""
    night.assert_unknown(*words, code=code)
    assert night.record["explanation"]["kind"] == kind
    assert night.record["explanation"]["side"] == "environment"


def test_slurm_gives_the_hosts_and_has_them_back(stage: SlurmStage):
    night = stage.night_on_slurm(stage.case())
    assert night.code == 0
    job = stage.job_of(night)
    assert (job["nodes"], job["own"], job["released"]) == (list(stage.hosts), True, True)
    assert {target["name"] for target in night.record["targets"]} == set(stage.hosts)
    assert stage.state_of(job["job"]) == "CANCELLED"
    stage.await_free()


@long
def test_slurm_has_no_nodes_within_the_wait(stage: SlurmStage):
    stage.occupy()
    night = stage.night_on_slurm(stage.case(), wait="5s", time="60m")
    assert_ended(night, "slurm_queue", "Slurm", "`wait`")
    stage.assert_no_job_left()


@long
def test_slurm_job_that_never_starts(stage: SlurmStage):
    night = stage.night_on_slurm(stage.case(), time="20h")
    assert_ended(night, "slurm_limit", "would never start: Partition")
    stage.assert_no_job_left()


@long
def test_slurm_refuses_the_job(stage: SlurmStage):
    night = stage.night_on_slurm(stage.case(), partition="nowhere")
    assert_ended(night, "slurm_refused", "Invalid partition name", "slurm.yaml")


@long
def test_slurm_queue_is_shown_and_ends_by_ctrl_c(stage: SlurmStage):
    stage.occupy()
    night = stage.begin_on_slurm(stage.case())
    job = stage.await_job(night)
    night.await_printed(f"Slurm job {job} is PENDING (Resources)")
    night.interrupt()
    assert night.finish() == 130
    assert stage.state_of(job) == "CANCELLED"


@long
def test_slurm_job_cancelled(stage: SlurmStage):
    night = stage.begin_on_slurm(stage.case("busy"))
    night.await_step("start the servers")
    stage.slurm("scancel", str(stage.await_job(night)))
    night.finish()
    assert_ended(night, "slurm_cancelled", "CANCELLED", "not by this run")
    stage.await_free()


@long
def test_slurm_job_preempted(stage: SlurmStage):
    night = stage.begin_on_slurm(stage.case("busy"))
    night.await_step("start the servers")
    stage.occupy("--partition=urgent")
    night.finish()
    assert_ended(night, "slurm_preempted", "PREEMPTED", "higher priority")
    stage.await_free()


@long
def test_slurm_job_suspended(stage: SlurmStage):
    night = stage.begin_on_slurm(stage.case("busy"))
    night.await_step("start the servers")
    stage.slurm("scontrol", "suspend", str(stage.await_job(night)))
    night.finish()
    assert_ended(night, "slurm_suspended", "SUSPENDED", "figures of this night would be wrong")
    stage.await_free()


@long
def test_slurm_time_limit(stage: SlurmStage):
    night = stage.night_on_slurm(stage.case("busy", ready_timeout_s=600), time="1m")
    assert_ended(night, "slurm_time_limit", "TIMEOUT", "time limit", "raise `time`")
    stage.await_free()


@long
def test_slurm_job_ends_too_soon_for_an_evaluation(stage: SlurmStage):
    night = stage.night_on_slurm(stage.case(measured=True), time="2m")
    night.assert_unknown("the evaluation of acc is not begun", "raise `time`")
    assert not (night.folder / "logs" / stage.head / "acc.log").exists()
    assert {check["outcome"] for check in night.record["proved"]} == {"pass"}
    stage.assert_no_job_left()


@long
def test_slurm_node_fails(stage: SlurmStage):
    night = stage.begin_on_slurm(stage.case("busy", ready_timeout_s=600))
    stage.pid_in(stage.worker, "light_server")
    faults.crash(stage.lab, stage.worker)
    night.finish()
    night.assert_unknown(f"lost {stage.worker}")
    assert "NODE_FAIL" in night.notes
    faults.boot(stage.lab, stage.worker, empty=False)


@long
def test_slurm_node_drained_meanwhile(stage: SlurmStage):
    night = stage.begin_on_slurm(stage.case("busy"))
    night.await_step("start the servers")
    drain = ("update", f"nodename={stage.worker}", "state=drain", "reason=fan is loud")
    stage.slurm("scontrol", *drain)
    night.await_printed("fan is loud")
    assert "this night goes on" in night.output
    assert night.process.poll() is None
    night.interrupt()
    assert night.finish() == 130


@long
def test_slurm_nodes_drained_before(stage: SlurmStage):
    for name in stage.hosts:
        stage.slurm("scontrol", "update", f"nodename={name}", "state=drain", "reason=new fan")
    assert "new fan" in stage.doctor()
    night = stage.night_on_slurm(stage.case(), wait="5s")
    assert_ended(night, "slurm_queue", "DRAINED")
    stage.assert_no_job_left()


@long
def test_slurmctld_stops_meanwhile(stage: SlurmStage):
    night = stage.begin_on_slurm(stage.case("busy"))
    night.await_step("start the servers")
    stage.slurm("scontrol", "shutdown", "slurmctld")
    night.await_printed("no news of it")
    assert night.process.poll() is None
    slurm.start_controller(stage.lab)
    night.interrupt()
    assert night.finish() == 130
    until(lambda: stage.state_of(stage.job_of(night)["job"]) == "CANCELLED")


@long
def test_slurm_controller_killed_9(stage: SlurmStage):
    night = stage.begin_on_slurm(stage.case("busy"))
    night.await_step("start the servers")
    job = stage.await_job(night)
    night.process.kill()
    night.finish()
    stage.await_free()
    assert stage.state_of(job) == "RUNNING"  # until its limit, or until somebody cancels it
    assert stage.down(night) == 0
    assert stage.state_of(job) == "CANCELLED"
    assert night.record["cause"]["message"].startswith("the controller was killed")


@long
def test_slurm_controller_killed_9_in_the_queue(stage: SlurmStage):
    stage.occupy()
    night = stage.begin_on_slurm(stage.case())
    job = stage.await_job(night)
    night.process.kill()
    night.finish()
    assert stage.down(night) == 0
    assert stage.state_of(job) == "CANCELLED"


@long
def test_ssh_into_nodes_forbidden_and_srun_instead(stage: SlurmStage):
    stage.track_by_cgroup()
    for name in stage.hosts:
        faults.stop_sshd(stage.lab, name)
    night = stage.night_on_slurm(stage.case(), transport="srun")
    assert night.code == 0
    assert night.record["targets"][0]["srun"]["node"] == stage.head
    assert "SLURM_" not in night.log(stage.head, "server-0")
    stage.assert_no_job_left()


@long
def test_srun_on_a_login_host(stage: SlurmStage):
    for name in stage.hosts:
        faults.stop_sshd(stage.lab, name)
    login = f"{stage.lab.hosts[0].address}:{stage.lab.port}"
    nowhere = {"SLURM_CONF": "/nowhere"}
    night = stage.begin_on_slurm(stage.case(), env=nowhere, transport="srun", login_host=login)
    assert night.finish() == 0
    assert night.record["targets"][1]["srun"]["login"]["address"] == stage.lab.hosts[0].address
    stage.assert_no_job_left()


@long
def test_srun_of_an_agent_is_killed(stage: SlurmStage):
    stage.track_by_cgroup()
    night = stage.begin_on_slurm(stage.case("busy"), transport="srun")
    night.await_step("start the servers")
    stage.pid_in(stage.head, "light_server")
    job = stage.await_job(night)
    # Steps in the order of their start: of each node first the holder, then the agent.
    steps = stage.slurm("squeue", "-h", "-s", "-j", str(job), "-o", "%i %N").splitlines()
    of_head = sorted(
        int(step.split()[0].split(".")[1])
        for step in steps
        if step.split()[1] == stage.head and step.split()[0].split(".")[1].isdecimal()
    )
    stage.slurm("scancel", f"{job}.{of_head[1]}")
    night.await_printed("connected again")
    assert [words for words in stage.ours_on(stage.head) if "light_server" in words]
    night.interrupt()
    assert night.finish() == 130
    stage.assert_no_job_left()


@long
def test_slurm_on_a_login_host_and_pam_slurm_adopt(stage: SlurmStage):
    stage.track_by_cgroup()
    stage.user = "tester"
    slurm.add_user(stage.lab, stage.user)
    for name in stage.hosts:
        slurm.adopt_logins(stage.lab, name)
        faults.restart_sshd(stage.lab, name)
    login = f"{stage.lab.hosts[0].address}:{stage.lab.port}"
    passed = stage.night_on_slurm(stage.case(), login_host=login, env={"SLURM_CONF": "/nowhere"})
    assert passed.code == 0
    assert passed.record["slurm"]["login"]["address"] == stage.lab.hosts[0].address
    stage.assert_no_job_left()

    listed = json.loads((stage.folder / "slurm.yaml").read_text("utf-8"))
    hosts = {name: {"address": stage.lab.host(name).address} for name in stage.hosts}
    cluster = stage.folder / "listed.yaml"
    cluster.write_text(json.dumps({"defaults": listed["defaults"], "hosts": hosts}), "utf-8")
    stage.nights.append(stage.start_night(stage.case(), "--cluster", str(cluster)))
    stage.nights[-1].finish()
    stage.nights[-1].assert_unknown("refuses the login", "no active jobs on this node")


@long
def test_inside_a_job_of_the_operator(stage: SlurmStage):
    job = stage.occupy()
    stage.await_state(job, "RUNNING")
    night = stage.night_on_slurm(stage.case(), env={"SLURM_JOB_ID": str(job)})
    assert night.code == 0
    assert stage.job_of(night) | {"ends_at": "", "state": ""} == {
        "job": job, "own": False, "login": None, "state": "", "partition": "night",
        "nodes": list(stage.hosts), "ends_at": "", "released": False,
    }  # fmt: skip
    assert stage.state_of(job) == "RUNNING"
    stage.await_free()
