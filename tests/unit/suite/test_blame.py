"""Test what a night failed by, in the words of the failure table, and which host it was."""

import pytest
from sample_run import sample

from ci.explain.explanation import Explanation
from ci.record.model import Cause, StepEntry
from ci.suite.blame import blame_of
from ci.suite_run.ended import failure_table

HOSTS = ("node-1", "node-10")
RULES = failure_table()


def run(kind="", message="", step="", explanation=None, outcome="unknown"):
    steps = (
        StepEntry(
            name=step, waits_for="own", started_at="", seconds=1.0, outcome="failed", detail=""
        ),
    )
    return sample().model_copy(
        update={
            "outcome": outcome,
            "cause": Cause(kind=kind, message=message) if kind else None,
            "steps": steps if step else (),
            "explanation": explanation,
        }
    )


def found(kind, side, line="", host="node-1"):
    return Explanation(kind, "a cause", "do this", side, line, "server-0", host)


# error, message, failed step → class, hosts that are out
OF_HOSTS = [
    ("HostUnreachable", "node-10: no route", "connect to the hosts", "host_unreachable", "node-10"),
    ("SeveralFailed", "node-1: x; node-10: y", "connect to the hosts", "host_unreachable",
     "node-1 node-10"),
    ("HostLost", "node-1 is lost", "", "host_lost", "node-1"),
    ("HostBusy", "node-1 is held by run r", "take the hosts", "host_busy", "node-1"),
    ("InfrastructureError", "node-10: /dev/shm: full", "examine the hosts", "host_examined",
     "node-10"),
    ("NotHandedBack", "the hosts are not handed back: node-1: port 1", "", "not_handed_back",
     "node-1"),
    ("HostLost", "a host is lost", "", "host_lost", ""),  # it does not say which of the two
    ("PreparationFailed", "node-1: no index", "", "preparation", ""),  # no fault of the host
]  # fmt: skip


@pytest.mark.parametrize(("kind", "message", "step", "class_", "hosts"), OF_HOSTS)
def test_errors_of_hosts(kind, message, step, class_, hosts):
    blame = blame_of(run(kind, message, step), HOSTS, RULES)
    assert blame.reasons == (class_, "environment")
    assert list(blame.hosts) == hosts.split()


@pytest.mark.parametrize(("kind", "line"), [
    ("slurm_cancelled", "Slurm job 12: CANCELLED: it was cancelled, and not by this run"),
    ("slurm_preempted", "Slurm job 12: PREEMPTED: a job with a higher priority took its nodes"),
    ("slurm_node_drained", "Slurm job 12: n2 is down, so 1 of 2 hosts are left"),
])  # fmt: skip
def test_the_end_of_a_slurm_job_is_no_fault_of_a_host(kind, line):
    explanation = found(kind, "environment", line)
    blame = blame_of(
        run("AllocationFailed", line, "connect to the hosts", explanation), HOSTS, RULES
    )
    assert (blame.reasons[:2], blame.hosts) == ((kind, "environment"), {})


def test_the_only_host_is_the_one():
    assert blame_of(run("HostLost", "it is gone"), ("node-1",), RULES).hosts == {
        "node-1": "it is gone"
    }


@pytest.mark.parametrize(
    ("kind", "step"),
    [
        ("NotReady", "start the servers and await their first token"),
        ("ProcessDied", "start the servers and await their first token"),
        ("", ""),  # figures are missing
        ("Interrupted", "measure"),
        ("Interrupted", "connect to the hosts"),
        ("UserError", "connect to the hosts"),
    ],
)
def test_what_no_host_is_to_blame_for(kind, step):
    blame = blame_of(run(kind, "node-1 did not answer", step), HOSTS, RULES)
    assert (blame.reasons, not blame.hosts) == ((), True)


def test_a_night_that_was_judged():
    assert blame_of(run("HostLost", "node-1", outcome="fail"), HOSTS, RULES).reasons == ()


@pytest.mark.parametrize(
    ("explanation", "reasons", "hosts"),
    [
        (
            found("port_in_use", "environment", "OSError: [Errno 98] Address already in use"),
            ("port_in_use", "environment", "port_of_someone"),
            ["node-1"],
        ),
        (
            found("network", "environment", "No route to host"),
            ("network", "environment", "network"),
            [],
        ),
        (found("crash", "product", "a line that no rule knows"), ("crash", "product"), []),
        (found("disk_full", "environment", "", host="elsewhere"), ("disk_full", "environment"), []),
    ],
)  # fmt: skip
def test_the_first_cause_in_the_logs(explanation, reasons, hosts):
    died = run("ProcessDied", "server-0 on node-1: it ended", explanation=explanation)
    blame = blame_of(died, HOSTS, RULES)
    assert blame.reasons == reasons
    assert list(blame.hosts or ()) == hosts
