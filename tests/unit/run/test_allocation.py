"""The hosts from Slurm: what is asked, when it is given up, and what an end of the job means.

`ScriptedSlurm` is a stand-in for slurmctld; tests/faults/test_slurm.py plays the same with a real
one.
"""

from __future__ import annotations

import io
import math
from contextlib import closing
from queue import SimpleQueue
from typing import TYPE_CHECKING

import pytest
from scripted_slurm import LATE, NEVER, RUNS, WAITS, ScriptedSlurm, ended

from ci.errors import AllocationFailed, HostLost, InfrastructureError, Interrupted, UserError
from ci.inventory.cluster_file import parse_cluster
from ci.record.start import start
from ci.report.console import Plain
from ci.report.screen import SafeStream
from ci.run import allocation as module
from ci.run import slurm_job, slurm_queue
from ci.run.allocation import HAND_BACK_S, Allocation
from ci.run.interrupt import Interrupts
from ci.run.slurm_nodes import Share

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ci.record.record import Record


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Record]:
    with closing(Plain(SafeStream(io.StringIO()))) as view:
        yield start(tmp_path, view, lambda *_: None, case="c", config="c.yaml", argv=["inv"])


@pytest.fixture(autouse=True)
def no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    for name in ("POLL_FIRST_S", "POLL_S"):
        for each in (slurm_queue, slurm_job):
            monkeypatch.setattr(each, name, 0.01)
    monkeypatch.setattr(slurm_job, "LOST_HOST_S", 0.01)


def allocation(  # noqa: PLR0913 - what a test may ask for
    monkeypatch: pytest.MonkeyPatch,
    slurm: ScriptedSlurm,
    keys: str = "",
    nights: int = 1,
    *,
    needed: int = 2,
    share: Share | None = None,
) -> Allocation:
    monkeypatch.setattr(module, "Slurm", lambda _: slurm)
    hosts = parse_cluster(f"slurm: {{time: 10m{keys}}}".encode(), "c.yaml").slurm
    assert hosts is not None
    return Allocation(hosts, needed, nights, share)


def test_hosts_are_given_and_taken_back(monkeypatch: pytest.MonkeyPatch, record: Record):
    slurm = ScriptedSlurm(WAITS, WAITS, RUNS)
    given = allocation(monkeypatch, slurm)
    targets = given.obtain(record, Interrupts())
    assert [(each.name, each.address) for each in targets] == [
        ("sltry-2", "10.213.0.3"),
        ("sltry-3", "10.213.0.4"),
    ]
    assert slurm.submitted == [(2, record.id)]
    noted = record.run.slurm
    assert noted is not None
    assert (noted.job, noted.own, noted.nodes) == (15, True, ("sltry-2", "sltry-3"))
    assert noted.ends_at == "2026-11-27T19:14:20Z"
    given.night_ended(record, kept=False)
    assert slurm.cancelled == [15]
    assert record.run.slurm
    assert record.run.slurm.released


def test_one_job_for_several_nights(monkeypatch: pytest.MonkeyPatch, record: Record):
    slurm = ScriptedSlurm(RUNS)
    with allocation(monkeypatch, slurm, nights=2) as given:
        for cancelled in ([], [15]):
            given.obtain(record, Interrupts())
            given.night_ended(record, kept=False)
            assert slurm.cancelled == cancelled
    assert len(slurm.submitted) == 1
    assert slurm.cancelled == [15]


def test_a_night_that_is_left_out_leaves_no_job(monkeypatch: pytest.MonkeyPatch, record: Record):
    slurm = ScriptedSlurm(RUNS)
    with allocation(monkeypatch, slurm, nights=2) as given:
        given.obtain(record, Interrupts())
    assert slurm.cancelled == [15]


def test_servers_that_are_kept_keep_their_job(monkeypatch: pytest.MonkeyPatch, record: Record):
    slurm = ScriptedSlurm(RUNS)
    with allocation(monkeypatch, slurm) as given:
        given.obtain(record, Interrupts())
        given.night_ended(record, kept=True)
    assert slurm.cancelled == []


@pytest.mark.parametrize(("answers", "keys", "kind"), [
    ((WAITS,), ", wait: 0s", "slurm_queue"),
    ((WAITS, LATE), "", "slurm_queue"),
    ((NEVER,), "", "slurm_limit"),
    ((WAITS, ended("CANCELLED")), "", "slurm_cancelled"),
    ((WAITS, ended("BOOT_FAIL")), "", "slurm_boot_fail"),
    ((WAITS, ""), "", "slurm_ended"),
])  # fmt: skip
def test_no_hosts(
    monkeypatch: pytest.MonkeyPatch, record: Record, answers: tuple[str, ...], keys: str, kind: str
):
    slurm = ScriptedSlurm(*answers)
    given = allocation(monkeypatch, slurm, keys)
    with pytest.raises(AllocationFailed) as failed:
        given.obtain(record, Interrupts())
    assert failed.value.kind == kind
    assert slurm.cancelled == [15]


def test_what_was_refused_once_is_not_asked_for_again(
    monkeypatch: pytest.MonkeyPatch, record: Record
):
    slurm = ScriptedSlurm(NEVER)
    given = allocation(monkeypatch, slurm, nights=2)
    for _ in range(2):
        with pytest.raises(AllocationFailed, match="PartitionTimeLimit"):
            given.obtain(record, Interrupts())
    assert len(slurm.submitted) == 1


def test_no_answer_in_the_queue_is_no_news(monkeypatch: pytest.MonkeyPatch, record: Record):
    slurm = ScriptedSlurm("silent", WAITS, "silent", RUNS)
    assert len(allocation(monkeypatch, slurm).obtain(record, Interrupts())) == 2


def test_ctrl_c_in_the_queue(monkeypatch: pytest.MonkeyPatch, record: Record):
    slurm, interrupts = ScriptedSlurm(WAITS), Interrupts()
    given = allocation(monkeypatch, slurm)
    interrupts.deliver("SIGINT")
    with pytest.raises(Interrupted):
        given.obtain(record, interrupts)
    assert slurm.cancelled == [15]


@pytest.mark.parametrize(("state", "kind"), [
    ("TIMEOUT", "slurm_time_limit"), ("CANCELLED", "slurm_cancelled"),
    ("PREEMPTED", "slurm_preempted"), ("NODE_FAIL", "slurm_node_fail"),
    ("PENDING", "slurm_requeued"), ("SUSPENDED", "slurm_suspended"),
])  # fmt: skip
def test_the_end_of_the_job_ends_the_night(
    monkeypatch: pytest.MonkeyPatch, record: Record, state: str, kind: str
):
    slurm = ScriptedSlurm(RUNS, RUNS, "silent", ended(state))
    given = allocation(monkeypatch, slurm)
    given.obtain(record, Interrupts())
    events: SimpleQueue[object] = SimpleQueue()
    with given.watched(events, record):  # type: ignore[arg-type]
        failed = events.get(timeout=60)
    assert isinstance(failed, AllocationFailed)
    assert failed.kind == kind
    assert f"Slurm job 15: {state}: " in str(failed)


def test_a_lost_host_is_told_by_its_connection_before_slurm(
    monkeypatch: pytest.MonkeyPatch, record: Record
):
    monkeypatch.setattr(slurm_job, "LOST_HOST_S", 3600)
    slurm = ScriptedSlurm(RUNS, ended("NODE_FAIL"))
    given = allocation(monkeypatch, slurm)
    given.obtain(record, Interrupts())
    events: SimpleQueue[object] = SimpleQueue()
    with given.watched(events, record):  # type: ignore[arg-type]
        given.explained(HostLost("lost sltry-2: silent"), record)
    assert events.empty()
    assert "NODE_FAIL" in (record.path / "journal.jsonl").read_text()


@pytest.mark.parametrize(("state", "error", "kind"), [
    ("TIMEOUT", HostLost("lost sltry-2: silent"), "slurm_time_limit"),
    ("CANCELLED", InfrastructureError("server-0: killed"), "slurm_cancelled"),
    ("NODE_FAIL", InfrastructureError("server-0: killed"), "slurm_node_fail"),
    ("NODE_FAIL", HostLost("lost sltry-2: silent"), None),
    ("RUNNING", HostLost("lost sltry-2: silent"), None),
    ("TIMEOUT", Interrupted("interrupted by SIGINT"), None),
    ("TIMEOUT", UserError("the case is wrong"), None),
])  # fmt: skip
def test_the_cause_of_an_early_end(
    monkeypatch: pytest.MonkeyPatch,
    record: Record,
    state: str,
    error: BaseException,
    kind: str | None,
):
    slurm = ScriptedSlurm(RUNS, ended("COMPLETING"), ended(state))
    given = allocation(monkeypatch, slurm)
    given.obtain(record, Interrupts())
    cause = given.explained(error, record)
    if kind is None:
        assert cause is error
        assert ("NODE_FAIL" in (record.path / "journal.jsonl").read_text()) == (
            state == "NODE_FAIL"
        )
    else:
        assert isinstance(cause, AllocationFailed)
        assert cause.kind == kind
        assert f"after it: {error}" in str(cause)


def test_no_answer_is_no_news(monkeypatch: pytest.MonkeyPatch, record: Record):
    given = allocation(monkeypatch, ScriptedSlurm(RUNS, "silent"))
    given.obtain(record, Interrupts())
    error = HostLost("lost sltry-2: silent")
    assert given.explained(error, record) is error


@pytest.mark.parametrize(("left", "needed_s", "begun"), [
    ("10:00", 0, True), ("10:00", 400, True), ("10:00", 500, False), ("2:00", 0, False),
    ("INVALID", 0, False), ("UNLIMITED", 1e6, True), ("NOT_SET", 1e6, True),
])  # fmt: skip
def test_what_would_not_be_over_is_not_begun(
    monkeypatch: pytest.MonkeyPatch, record: Record, *, left: str, needed_s: float, begun: bool
):
    slurm = ScriptedSlurm(RUNS.replace("|10:00|", f"|{left}|"))
    given = allocation(monkeypatch, slurm)
    assert given.left_s == math.inf
    given.obtain(record, Interrupts())
    late = given.too_late(needed_s, "acc")
    assert (late == "") is begun
    assert begun or ("acc is not begun" in late and "2026-11-27T19:14:20Z" in late)
    assert given.left_s == math.inf or given.left_s <= 600 - HAND_BACK_S


def test_a_drained_node_is_not_for_the_next_night(monkeypatch: pytest.MonkeyPatch, record: Record):
    slurm = ScriptedSlurm(RUNS)
    given = allocation(monkeypatch, slurm, nights=2)
    given.obtain(record, Interrupts())
    slurm.states = {"sltry-3": "draining (fan)"}
    with pytest.raises(AllocationFailed, match="sltry-3 is draining") as failed:
        given.obtain(record, Interrupts())
    assert failed.value.kind == "slurm_node_drained"


def test_one_more_job_after_a_preemption(monkeypatch: pytest.MonkeyPatch, record: Record):
    slurm = ScriptedSlurm(RUNS, ended("PREEMPTED"), RUNS, ended("PREEMPTED"))
    given = allocation(monkeypatch, slurm, nights=3)
    given.obtain(record, Interrupts())
    given.obtain(record, Interrupts())
    assert len(slurm.submitted) == 2
    with pytest.raises(AllocationFailed, match="PREEMPTED"):
        given.obtain(record, Interrupts())


def test_inside_a_job(monkeypatch: pytest.MonkeyPatch, record: Record):
    monkeypatch.setenv("SLURM_JOB_ID", "15")
    slurm = ScriptedSlurm(RUNS)
    with allocation(monkeypatch, slurm) as given:
        given.obtain(record, Interrupts())
        given.night_ended(record, kept=False)
    assert (slurm.submitted, slurm.cancelled) == ([], [])
    assert record.run.slurm
    assert not record.run.slurm.own


def test_inside_a_job_with_too_few_nodes(monkeypatch: pytest.MonkeyPatch, record: Record):
    monkeypatch.setenv("SLURM_JOB_ID", "15")
    slurm = ScriptedSlurm(RUNS)
    monkeypatch.setattr(slurm, "nodes", lambda _: {"sltry-2": "10.213.0.3"})
    with pytest.raises(UserError, match="has 1 node, and the case has 2"):
        allocation(monkeypatch, slurm).obtain(record, Interrupts())


def test_a_night_of_a_suite_has_its_share_of_a_job(monkeypatch: pytest.MonkeyPatch, record: Record):
    slurm = ScriptedSlurm(RUNS)
    share = Share(15, ("sltry-3",))
    with allocation(monkeypatch, slurm, needed=1, share=share) as given:
        assert [each.name for each in given.obtain(record, Interrupts())] == ["sltry-3"]
        given.night_ended(record, kept=False)
    assert (slurm.submitted, slurm.cancelled) == ([], [])
    assert record.run.slurm
    assert (record.run.slurm.job, record.run.slurm.own) == (15, False)
    assert record.run.slurm.nodes == ("sltry-3",)


@pytest.mark.parametrize(("answer", "nodes", "kind"), [
    (ended("CANCELLED"), ("sltry-3",), "slurm_cancelled"),
    (WAITS, ("sltry-3",), "slurm_requeued"),
    (RUNS, ("sltry-3", "sltry-4"), "slurm_node_drained"),
])  # fmt: skip
def test_a_share_of_a_job_that_is_no_more(
    monkeypatch: pytest.MonkeyPatch,
    record: Record,
    answer: str,
    nodes: tuple[str, ...],
    kind: str,
):
    slurm = ScriptedSlurm(answer)
    given = allocation(monkeypatch, slurm, needed=len(nodes), share=Share(15, nodes))
    with pytest.raises(AllocationFailed) as failed:
        given.obtain(record, Interrupts())
    assert failed.value.kind == kind
    assert slurm.cancelled == []
