"""What Slurm 22.05.8 printed on 2026-11-27 is read, and nothing else is believed."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from ci.errors import InfrastructureError
from ci.slurm import answers

CAPTURED = Path(__file__).parents[1] / "captured" / "slurm"
JOB = "7|RUNNING|None|n[1-2]|N/A|9:59|N/A|2|night|me|lamplighter-a|b"


def captured(name: str) -> str:
    return (CAPTURED / f"{name}.txt").read_text("utf-8")


def test_jobs():
    jobs = {job.number: job for job in answers.jobs_of(captured("squeue"))}
    assert {number: job.state for number, job in jobs.items()} == {
        1: "CANCELLED", 3: "PENDING", 4: "PENDING", 5: "PENDING", 6: "CANCELLED", 11: "PREEMPTED",
        12: "CANCELLED", 14: "DEADLINE", 15: "RUNNING", 16: "TIMEOUT", 17: "PENDING",
    }  # fmt: skip
    running, late, waiting = jobs[15], jobs[16], jobs[5]
    assert (running.hostlist, running.left_s, running.reason) == ("sltry-[2-3]", 40, "")
    assert (running.ends_at, running.nodes) == ("2026-11-27T19:04:20Z", 2)
    assert (late.left_s, late.reason) == (0, "TimeLimit")
    assert (waiting.hostlist, waiting.starts_at) == ("", "2026-11-27T19:22:00Z")
    assert jobs[4].left_s == 20 * 3600
    assert "DRAINED" in jobs[17].reason


def test_a_name_may_have_the_separator():
    assert answers.jobs_of(JOB)[0].name == "lamplighter-a|b"


@pytest.mark.parametrize("line", [
    "slurm_load_jobs error: Unable to contact slurm controller",
    "x|RUNNING|None|n1|N/A|9:59|N/A|2|night|me|name",
    "7|run;rm|None|n1|N/A|9:59|N/A|2|night|me|name",
    "7|RUNNING",
])  # fmt: skip
def test_what_is_no_job_is_refused(line: str):
    with pytest.raises(InfrastructureError, match="no job"):
        answers.jobs_of(line)


@pytest.mark.parametrize(("text", "seconds"), [
    ("0:59", 59), ("9:59", 599), ("12:00:00", 43200), ("1-02:03:04", 93784), ("INVALID", 0),
    ("UNLIMITED", math.inf), ("infinite", math.inf), ("NOT_SET", None), ("N/A", None), ("", None),
])  # fmt: skip
def test_durations(text: str, seconds: float | None):
    assert answers.seconds_of(text) == seconds


@pytest.mark.parametrize(("seconds", "text"), [(60, "1:00"), (28800, "480:00"), (90, "1:30")])
def test_durations_for_sbatch(seconds: float, text: str):
    assert answers.duration(seconds) == text
    assert answers.seconds_of(text) == seconds


@pytest.mark.parametrize(("output", "job"), [("12\n", 12), ("12;lab\n", 12)])
def test_the_number_of_a_new_job(output: str, job: int):
    assert answers.job_number(output) == job


@pytest.mark.parametrize("output", ["", "Submitted", "12a\n", "-1"])
def test_what_is_no_number_is_refused(output: str):
    with pytest.raises(InfrastructureError, match="printed no job"):
        answers.job_number(output)


def test_nodes():
    assert answers.node_names("sltry-2\nsltry-3\n") == ["sltry-2", "sltry-3"]
    assert answers.node_addresses(captured("nodes")) == {
        "sltry-2": "10.213.0.3",
        "sltry-3": "10.213.0.4",
    }


@pytest.mark.parametrize("name", ["-oProxyCommand=x", "a/b", "a;b", "$(id)", "x" * 300])
def test_names_that_are_no_hosts_are_refused(name: str):
    with pytest.raises(InfrastructureError):
        answers.node_names(f"n1\n{name}\n")


@pytest.mark.parametrize("address", ["-oProxyCommand=x", "a/b", "300.1.1.1", "", "a b"])
def test_addresses_that_are_none_are_refused(address: str):
    with pytest.raises(InfrastructureError, match="NodeAddr"):
        answers.node_addresses(f"NodeName=n1 NodeAddr={address.replace(' ', '@@')} State=IDLE")


def test_more_nodes_than_there_are_anywhere_are_refused():
    with pytest.raises(InfrastructureError):
        answers.node_names("\n".join(f"n{number}" for number in range(answers.MAX_NODES + 1)))


def test_partitions():
    found = answers.partitions_of(captured("partitions") + "noise\n")
    assert [(each.partition, each.is_default, each.available, each.count) for each in found] == [
        ("night", True, "up", 1), ("night", True, "up", 1), ("urgent", False, "up", 1),
        ("urgent", False, "up", 1), ("closed", False, "down", 1), ("closed", False, "down", 1),
    ]  # fmt: skip
    assert [(each.limit_s, each.state, each.hostlist) for each in found][:2] == [
        (43200, "down*", "sltry-3"), (43200, "idle", "sltry-2"),
    ]  # fmt: skip


def test_nodes_that_are_not_used():
    (node,) = answers.unfit_of(captured("reasons"))
    assert str(node) == "sltry-3 is down* since 2026-11-27T19:05:01Z, by root: Not responding"
    states = answers.states_of(captured("states"), {"sltry-2", "sltry-3"})
    assert states == {"sltry-2": "idle", "sltry-3": "down* (Not responding)"}
    assert answers.states_of(captured("states"), {"sltry-2"}) == {"sltry-2": "idle"}


def test_complaints():
    lines = captured("sbatch").splitlines()
    assert [answers.last_words(line, "sbatch") for line in lines][:2] == [
        "Batch job submission failed: Invalid partition name specified",
        "Batch job submission failed: Invalid feature specification",
    ]
    assert answers.last_words("", "sbatch") == ""


@pytest.mark.parametrize(("output", "uid"), [
    ("CANCELLED by 1000\n", "1000"), ("TIMEOUT\n", ""), ("", ""),
])  # fmt: skip
def test_who_cancelled(output: str, uid: str):
    assert answers.canceller_of(output) == uid
