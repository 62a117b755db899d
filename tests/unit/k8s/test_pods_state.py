"""What the pods of a night do, from the lists of an API server; and their logs by process."""

from __future__ import annotations

import pytest

from ci.k8s.log_files import by_process
from ci.k8s.pods_state import Ended, events_text, node_of, pods_state


def pod(name="big-0", *, ready=None, scheduled="True", container=None, **more):
    conditions = [{"type": "PodScheduled", "status": scheduled, "message": "0/4 nodes"}]
    if ready is not None:
        conditions.append({"type": "Ready", "status": str(ready)})
    status = {"phase": "Running", "conditions": conditions}
    if container:
        status["containerStatuses"] = [{"name": "server", **container}]
    return {"metadata": {"name": name}, "status": status | more}


def waiting(reason, message="why"):
    return {"state": {"waiting": {"reason": reason, "message": message}}}


def ended(code, message, key="lastState"):
    return {key: {"terminated": {"exitCode": code, "message": message, "reason": "Error"}}}


@pytest.mark.parametrize(
    ("pods", "ready", "pending", "stuck"),
    [
        ([], False, "0 of 1 pods exist", ""),
        ([pod(ready=True)], True, "", ""),
        ([pod(ready=False)], False, "big-0 is not ready", ""),
        ([pod(scheduled="False")], False, "big-0 is not scheduled: 0/4 nodes", ""),
        (
            [pod(container=waiting("ContainerCreating"))],
            False,
            "big-0 is ContainerCreating",
            "",
        ),
        ([pod(container=waiting("ErrImagePull"))], False, "big-0 is ErrImagePull", ""),
        (
            [pod(container=waiting("ImagePullBackOff", "Back-off\n pulling"))],
            False,
            "big-0 is ImagePullBackOff",
            "big-0: ImagePullBackOff: Back-off pulling",
        ),
        (
            [pod(container=waiting("CreateContainerConfigError", 'secret "s" not found'))],
            False,
            "big-0 is CreateContainerConfigError",
            'big-0: CreateContainerConfigError: secret "s" not found',
        ),
        (
            [pod(ready=True) | {"metadata": {"name": "big-0", "deletionTimestamp": "now"}}],
            False,
            "big-0 is being deleted",
            "",
        ),
        ([{}], False, " is not ready", ""),
        ([{"metadata": None, "status": None}], False, " is not ready", ""),
    ],
)
def test_one_pod(pods, ready, pending, stuck):
    state = pods_state(pods, 1)
    assert (state.ready, state.pending, state.stuck, state.ended) == (ready, pending, stuck, None)


def test_all_pods_have_to_be_ready():
    first, second = pod(ready=True), pod("big-0-1", ready=True)
    assert not pods_state([first], 2).ready
    assert pods_state([first], 2).pending == "1 of 2 pods exist"
    assert not pods_state([first, pod("big-0-1", ready=False)], 2).ready
    assert pods_state([first, second], 2).ready


@pytest.mark.parametrize(
    ("container", "end"),
    [
        (ended(1, "server-0 ended with exit code 1\n"), "server-0 ended with exit code 1"),
        (ended(137, "", "state"), "Error"),
        (waiting("CrashLoopBackOff") | ended(2, "m"), "m"),
    ],
)
def test_a_container_that_ended_is_found_also_after_its_restart(container, end):
    state = pods_state([pod(ready=True, container=container)], 1)
    assert not state.ready
    assert state.ended.pod == "big-0"
    assert state.ended.message == end


def test_an_evicted_pod_has_ended():
    state = pods_state([pod(phase="Failed", reason="Evicted", message="low on memory")], 1)
    assert state.ended == Ended("big-0", 0, "Evicted: low on memory")


def test_the_last_warnings_are_told():
    def event(number, kind="Warning", name="big-0"):
        about = {"involvedObject": {"name": name}, "reason": f"R{number}", "message": "a\n b"}
        return about | {"type": kind, "lastTimestamp": f"2026-01-01T00:00:0{number}Z"}

    events = [event(4), event(1), event(2), event(3), event(5, "Normal"), event(4)]
    assert events_text(events) == "R2 of big-0: a b; R3 of big-0: a b; R4 of big-0: a b"
    assert events_text([]) == ""
    assert events_text([{"type": "Warning"}]) == "None of None: "


def test_what_a_record_keeps():
    found = pod(container={"imageID": "i@sha256:1"}, podIP="10.0.0.1") | {"spec": {"nodeName": "n"}}
    assert node_of(found) == {"hostname": "n", "address": "10.0.0.1", "image": "i@sha256:1"}
    assert node_of({}) == {"hostname": "", "address": "", "image": ""}


def test_a_log_is_split_by_process():
    text = "[lamplighter] starts a\n[a] one\n[b] [a] two\n[other] x\nplain\n[a] \n"
    assert by_process(text, {"a", "b"}) == {
        "pod": "[lamplighter] starts a\n[other] x\nplain\n",
        "a": "one\n\n",
        "b": "[a] two\n",
    }
    assert by_process("", {"a"}) == {}
