"""What the doctor says of Slurm's queue, with what Slurm 22.05.8 printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from ci.doctor.queue import queue_findings
from ci.inventory.cluster_file import parse_cluster
from ci.slurm.answers import partitions_of, unfit_of

CAPTURED = Path(__file__).parents[1] / "captured" / "slurm"
TAKEN = (True, "Job 9 to start at 2026-11-28T05:52:49 using 4 processors on nodes n[1-2]")


def findings(
    keys: str, would_start: tuple[bool, str] = TAKEN, needed: int = 2
) -> list[tuple[str, str]]:
    hosts = parse_cluster(f"slurm: {{{keys}}}".encode(), "c.yaml").slurm
    assert hosts is not None
    shown = partitions_of((CAPTURED / "partitions.txt").read_text("utf-8"))
    chosen = [each for each in shown if hosts.partition in {"", each.partition}]
    unfit = unfit_of((CAPTURED / "reasons.txt").read_text("utf-8"))
    found = queue_findings(hosts, chosen, unfit, would_start, needed)
    return [(each.severity, each.message) for each in found]


def test_fit():
    assert findings("time: 8h") == [
        ("info", f"Slurm would take the job: {TAKEN[1]}"),
        ("warning", "sltry-3 is down* since 2026-11-27T19:05:01Z, by root: Not responding"),
    ]


@pytest.mark.parametrize(("keys", "words"), [
    ("time: 8h, partition: nowhere", "there is no partition nowhere"),
    ("time: 8h, partition: urgent", "partition urgent gives nodes for 1 h at most, and slurm.time"),
    ("time: 1h, partition: closed", "partition closed is down: its jobs do not start"),
    ("time: 1h, nodes: 3", "partition night has 2 nodes, and the night needs 3"),
])  # fmt: skip
def test_errors(keys: str, words: str):
    errors = [message for severity, message in findings(keys) if severity == "error"]
    assert len(errors) == 1
    assert words in errors[0]


def test_a_refusal_is_an_error():
    refused = (False, "Invalid account or account/partition combination specified")
    assert ("error", f"Slurm would refuse the job: {refused[1]}") in findings("time: 8h", refused)


def test_nodes_that_are_down_are_no_refusal():
    later = (False, "Requested node configuration is not available")
    assert ("warning", f"Slurm could not start the job now: {later[1]}") in findings(
        "time: 8h", later
    )
