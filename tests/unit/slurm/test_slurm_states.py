"""States of jobs and reasons become outcomes; each class is in the failure table, too."""

from __future__ import annotations

import pytest

from ci.explain.rules import FILE, load
from ci.slurm.states import fate_of, is_hopeless, kinds


@pytest.mark.parametrize(("state", "ran", "kind", "again"), [
    ("PENDING", False, None, False),
    ("CONFIGURING", False, None, False),
    ("RUNNING", True, None, False),
    ("COMPLETING", True, None, False),
    ("RESIZING", True, None, False),
    ("PENDING", True, "slurm_requeued", True),
    ("REQUEUED", True, "slurm_requeued", True),
    ("TIMEOUT", True, "slurm_time_limit", False),
    ("CANCELLED", True, "slurm_cancelled", False),
    ("CANCELLED by 1000", True, "slurm_cancelled", False),
    ("CANCELLED+", True, "slurm_cancelled", False),
    ("PREEMPTED", True, "slurm_preempted", True),
    ("NODE_FAIL", True, "slurm_node_fail", True),
    ("DEADLINE", False, "slurm_queue", False),
    ("BOOT_FAIL", False, "slurm_boot_fail", True),
    ("OUT_OF_MEMORY", True, "slurm_out_of_memory", False),
    ("SUSPENDED", True, "slurm_suspended", False),
    ("REVOKED", False, "slurm_ended", False),
    ("COMPLETED", True, "slurm_ended", False),
    ("FAILED", True, "slurm_ended", False),
    ("SOMETHING_NEW", True, "slurm_ended", False),
    ("", True, "slurm_ended", False),
])  # fmt: skip
def test_what_becomes_of_a_job(*, state: str, ran: bool, kind: str | None, again: bool):
    fate = fate_of(state, ran=ran)
    assert (fate and fate.kind) == kind
    assert (fate.worth_again if fate else False) == again


@pytest.mark.parametrize(("reason", "hopeless"), [
    ("PartitionTimeLimit", True), ("PartitionNodeLimit", True), ("PartitionConfig", True),
    ("BadConstraints", True), ("InvalidQOS", True), ("InvalidAccount", True),
    ("AssocMaxNodePerJobLimit", True), ("QOSMaxWallDurationPerJobLimit", True),
    ("AssocGrpWallLimit", True), ("JobHeldAdmin", True), ("DependencyNeverSatisfied", True),
    ("Priority", False), ("Resources", False), ("ReqNodeNotAvail", False), ("", False),
    ("PartitionDown", False), ("Reservation", False), ("AssocGrpNodeLimit", False),
    ("QOSMaxJobsPerUserLimit", False), ("BeginTime", False), ("Licenses", False),
])  # fmt: skip
def test_reasons_that_never_pass(*, reason: str, hopeless: bool):
    assert is_hopeless(reason) is hopeless


def test_each_class_is_in_the_failure_table():
    assert kinds() <= {rule.class_ for rule in load(FILE).values()}
