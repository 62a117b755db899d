"""The first cause before an error, and the evidence of the out-of-memory killer after SIGKILL."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ci.errors import ConnectionLost, HostLost, Interrupted, NotReady, ProcessDied
from ci.explain.explanation import Explanation
from ci.run.explained import describe_memory, explained, may_be_explained, with_memory_evidence

FOUND = Explanation("disk_full", "the disk is full", "free some", "environment", "l", "s-1", "h2")
GIB = 1 << 20


def test_the_first_cause_comes_before_the_end_that_followed():
    error = explained(ProcessDied("s-0", "exited with code 1", ("t",), host="h1"), FOUND)
    assert str(error) == (
        "s-1 on h2: the disk is full; free some; after it: s-0 on h1: exited with code 1"
    )
    assert error.tail == ("t",)


def test_the_guess_about_the_same_process_is_replaced():
    error = explained(ProcessDied("s-1", "ended without a log message", host="h2"), FOUND)
    assert str(error) == "s-1 on h2: the disk is full; free some"


def test_a_cause_is_not_repeated():
    error = ProcessDied("s-1", "the disk is full; free some", host="h2")
    assert explained(error, FOUND) is error


def test_a_server_that_was_not_ready_has_its_cause():
    assert str(explained(NotReady("not ready after 8 s"), FOUND)) == (
        "s-1 on h2: the disk is full; free some; after it: not ready after 8 s"
    )


@pytest.mark.parametrize(
    ("error", "may"),
    [
        (None, False),
        (Interrupted("x"), False),
        (HostLost("x"), False),
        (ProcessDied("p", "no contact", from_log=False), False),
        (ProcessDied("p", "x", host="h"), True),
        (NotReady("x"), True),
    ],
)
def test_only_what_logs_can_explain_is_explained(error: BaseException | None, may: bool):  # noqa: FBT001
    assert may_be_explained(error) == may


def evidence(**changes: object) -> dict[str, object]:
    kills = {"host": 0, "cgroup": None}
    return {"kills": kills, "killed": [], "available": 300 * GIB, "total": 512 * GIB} | changes


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        (
            evidence(killed=["12 (VLLM::Worker)"]),
            "kernel's log says: out of memory, killed process",
        ),
        (evidence(kills={"host": 2, "cgroup": 1}), "killer of the cgroup ended 1"),
        (evidence(kills={"host": 2, "cgroup": None}), "killer of the host ended 2"),
        (evidence(available=GIB), "most likely its host is out of memory: 1.0 of 512.0 GiB"),
        (evidence(), "no sign of its out-of-memory killer (300.0 of 512.0 GiB are available now)"),
        (evidence(killed=None), "dmesg cannot be read"),
    ],
)
def test_the_out_of_memory_killer_is_named_only_with_evidence(shown: dict, words: str):
    assert words in describe_memory(shown)


def died(**changes: object) -> ProcessDied:
    return ProcessDied("s-0", "killed with SIGKILL", host="h1", **{"killed": True} | changes)


def answering(value: object) -> dict[str, object]:
    def call(*_: object, **__: object) -> SimpleNamespace:
        if isinstance(value, Exception):
            raise value
        return SimpleNamespace(value=value)

    return {"h1": SimpleNamespace(call=call)}


@pytest.mark.parametrize("answer", [ConnectionLost("cut"), None, {}, {"killed": 3}, [1]])
def test_a_host_that_gives_no_evidence_hides_no_end(answer: object):
    error = with_memory_evidence(died(), answering(answer))
    assert str(error).startswith("s-0 on h1: killed with SIGKILL; whether for memory is unknown")


def test_other_ends_ask_for_no_evidence():
    error = died(killed=False)
    assert with_memory_evidence(error, {}) is error
