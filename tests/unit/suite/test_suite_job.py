"""The Slurm job of a suite: asked for, taken over, watched, renewed once, and cancelled.

`ScriptedSlurm` is a stand-in for slurmctld; tests/faults/test_slurm_suites.py plays the same with a
real one.
"""

from __future__ import annotations

from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import pytest
from scripted_slurm import NEVER, RUNS, WAITS, ScriptedSlurm, ended

from ci.inventory.cluster_file import parse_cluster
from ci.run import slurm_job, slurm_queue
from ci.slurm.answers import jobs_of
from ci.suite_run import suite_job as module
from ci.suite_run.job_state import JobSeen, first_state
from ci.suite_run.suite_job import SuiteJob, line_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from ci.suite.progress import JobState

RUN = "20261127-220000-suite-s-1a2b"
HOSTS = parse_cluster(b"slurm: {time: 10m, nodes: 2}", "c.yaml").slurm
assert HOSTS is not None


class Watching:
    """A suite's job, what it told, and the stand-in it asks."""

    def __init__(self, slurm: ScriptedSlurm, state: JobState) -> None:
        self.slurm, self.told = slurm, []  # type: ignore[var-annotated]
        assert HOSTS is not None
        self.job = SuiteJob(HOSTS, 2, RUN, state, self.told.append)
        self.events: SimpleQueue[Any] = SimpleQueue()

    def until(self, condition: Callable[[JobSeen], object]) -> JobSeen:
        """Wait for what is told of the job."""
        while True:
            seen = self.events.get(timeout=60)
            if isinstance(seen, BaseException):
                raise seen
            if condition(seen):
                return seen

    def begin(self) -> None:
        self.job.begin(self.events)

    def running(self) -> JobSeen:
        """Begin, and wait until the job has nodes."""
        self.begin()
        return self.until(lambda seen: seen.targets)


@pytest.fixture
def watching(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Watching]:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    for each in (slurm_queue, slurm_job):
        monkeypatch.setattr(each, "POLL_S", 0.01)
        monkeypatch.setattr(each, "POLL_FIRST_S", 0.01)
    monkeypatch.setattr(module, "POLL_S", 0.01)

    def watch(*answers: str, **state: object) -> Watching:
        slurm = ScriptedSlurm(*answers)
        monkeypatch.setattr(module.client, "Slurm", lambda _: slurm)
        assert HOSTS is not None
        return Watching(slurm, first_state(HOSTS).model_copy(update=state))

    return watch


def test_a_job_is_asked_for_and_cancelled(watching: Callable[..., Watching]):
    watch = watching(WAITS, WAITS, RUNS)
    watch.begin()
    # Its number is told before anything else is known of it.
    assert (first := watch.until(lambda _: True).state).job == 15
    assert (first.nodes, first.own) == ((), True)
    seen = watch.until(lambda seen: seen.targets)
    assert [(each.name, each.address) for each in seen.targets] == [
        ("sltry-2", "10.213.0.3"),
        ("sltry-3", "10.213.0.4"),
    ]
    assert seen.state.ends_at == "2026-11-27T19:14:20Z"
    assert seen.state.until is not None
    assert watch.slurm.submitted == [(2, RUN)]
    assert any("Slurm job 15 is PENDING (Resources)" in each for each in watch.told)
    assert watch.job.release() == ""
    assert (watch.slurm.cancelled, watch.job.state.released) == ([15], True)


@pytest.mark.parametrize(("answers", "words"), [
    ((NEVER,), "Slurm job 15 would never start: PartitionTimeLimit"),
    ((WAITS, ended("CANCELLED")), "Slurm job 15: CANCELLED"),
])  # fmt: skip
def test_no_hosts(watching: Callable[..., Watching], answers: tuple[str, ...], words: str):
    watch = watching(*answers)
    watch.begin()
    assert words in watch.until(lambda seen: seen.state.ended).state.ended
    assert watch.slurm.cancelled == [15]
    assert watch.job.release() == ""
    assert watch.slurm.cancelled == [15]


@pytest.mark.parametrize("state", ["TIMEOUT", "CANCELLED", "SUSPENDED", "OUT_OF_MEMORY"])
def test_the_end_of_the_job_is_told(watching: Callable[..., Watching], state: str):
    watch = watching(RUNS, RUNS, "silent", ended(state))
    watch.running()
    seen = watch.until(lambda seen: seen.state.ended).state
    assert f"Slurm job 15: {state}: " in seen.ended
    assert seen.state == state
    assert any("no news of it" in each for each in watch.told)
    watch.job.release()
    assert watch.slurm.submitted == [(2, RUN)]


def test_the_end_is_told_before_the_end_of_a_night(
    watching: Callable[..., Watching], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "POLL_S", 3600)
    watch = watching(RUNS, RUNS, ended("TIMEOUT"))
    watch.running()
    until_asked(watch)
    watch.job.look()
    assert "TIMEOUT" in watch.job.state.ended


def until_asked(watch: Watching) -> None:
    """Wait until the first look, right after the start, has been taken."""
    while len(watch.slurm.answers) > 1:
        watch.job.look()


@pytest.mark.parametrize("state", ["PREEMPTED", "NODE_FAIL", "BOOT_FAIL"])
def test_one_more_job_after_nodes_were_taken_away(watching: Callable[..., Watching], state: str):
    watch = watching(RUNS, RUNS, ended(state), WAITS, RUNS, RUNS, ended(state))
    watch.running()
    lost = watch.until(lambda seen: not seen.state.nodes).state
    assert (lost.job, lost.earlier, lost.ended) == (0, (15,), "")
    assert watch.until(lambda seen: seen.targets).state.job == 15
    assert state in watch.until(lambda seen: seen.state.ended).state.ended
    watch.job.release()
    assert len(watch.slurm.submitted) == 2


def test_a_node_that_drains(watching: Callable[..., Watching]):
    watch = watching(RUNS)
    watch.running()
    watch.slurm.states = {"sltry-3": "draining (fan)"}
    assert watch.until(lambda seen: seen.state.unfit).state.unfit == {"sltry-3": "draining (fan)"}
    watch.slurm.states = {}
    watch.until(lambda seen: not seen.state.unfit)
    watch.job.release()


def test_a_later_controller_takes_the_job_over(watching: Callable[..., Watching]):
    watch = watching(RUNS, job=15)
    assert watch.running().state.job == 15
    assert watch.slurm.submitted == []
    watch.job.release()
    assert watch.slurm.cancelled == [15]


def test_no_news_of_a_job_is_no_end_of_it(watching: Callable[..., Watching]):
    watch = watching("silent", "silent", RUNS, job=15)
    assert watch.running().state.job == 15
    assert (watch.slurm.submitted, watch.slurm.cancelled) == ([], [])
    watch.job.release()


def test_a_job_that_its_controller_had_no_time_to_write_down(watching: Callable[..., Watching]):
    watch = watching(RUNS)
    name = f"lamplighter-{RUN}"
    watch.slurm.mine = jobs_of(RUNS.replace("|l-x", f"|{name}"))
    assert watch.running().state.own
    assert watch.slurm.submitted == []
    watch.job.release()
    assert watch.slurm.cancelled == [15]


def test_a_job_that_has_ended_meanwhile_is_replaced_when_nights_are_left(
    watching: Callable[..., Watching],
):
    watch = watching(ended("TIMEOUT"), RUNS, job=14)
    watch.begin()
    assert watch.until(lambda seen: seen.state.earlier == (14,)).state.job == 0
    assert watch.slurm.submitted == []
    watch.running()
    assert watch.slurm.submitted == [(2, RUN)]
    watch.job.release()


def test_inside_a_job(watching: Callable[..., Watching], monkeypatch: pytest.MonkeyPatch):
    watch = watching(RUNS)
    monkeypatch.setenv("SLURM_JOB_ID", "15")
    assert watch.running().state.own is False
    watch.job.release()
    assert (watch.slurm.submitted, watch.slurm.cancelled) == ([], [])


def test_ctrl_c_in_the_queue(watching: Callable[..., Watching]):
    watch = watching(WAITS)
    watch.begin()
    watch.until(lambda seen: seen.state.job)
    assert watch.job.release() == ""
    assert watch.slurm.cancelled == [15]


def test_a_suite_that_asked_for_nothing_cancels_nothing(watching: Callable[..., Watching]):
    watch = watching(WAITS)
    assert watch.job.release() == ""
    assert watch.slurm.cancelled == []


def test_the_command_that_is_shown():
    assert HOSTS is not None
    words = line_of(HOSTS, 2)
    assert words[0] == "sbatch"
    assert {"--nodes=2", "--no-kill", "--no-requeue", "--job-name=lamplighter-RUN"} <= set(words)
