"""Nights in pods, with the real kubectl and a stand-in for Kubernetes; see `api_server.py`."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import spdy
from api_server import LWS, Refused, api_server
from hosts_here import PATIENCE_S, held_port, until
from night import INVOKE, light_case

from ci.commands import pods_nightly
from ci.commands.pod_flags import Nightly
from ci.errors import ExitCode, UserError
from ci.paths import PROJECT
from ci.pods.where import Pods
from ci.record.stored import read_run

pytestmark = pytest.mark.skipif(not shutil.which("kubectl"), reason="no kubectl here")
forwards = pytest.mark.skipif(
    not spdy.dictionary(), reason="no kubectl here with SPDY, which forwards the port"
)
NO_PODS = {"leaderWorkerTemplate": {"size": 0}}
MANIFEST = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: mine}
"""


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    monkeypatch.setenv("KUBECACHEDIR", str(tmp_path / "kube-cache"))
    monkeypatch.setenv("LAMPLIGHTER_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.delenv("LAMPLIGHTER_K8S_DELETE_YAML", raising=False)
    monkeypatch.setattr(sys, "argv", ["inv", "k8s.nightly"])
    with api_server(tmp_path) as running:
        monkeypatch.setenv("KUBECONFIG", str(running.kubeconfig))
        yield running


@pytest.fixture
def port():
    with held_port() as held:
        yield held


def thing(kind, name, group=""):
    version = f"{group}/v1".lstrip("/")
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}}


def flags_of(folder, text, **more):
    case = folder / "light.yaml"
    case.write_text(text, "utf-8")
    given = {"config": str(case), "namespace": "night", "name": "big", "image": "i:1", "pvc": "p"}
    given |= {"mount": str(folder / "mount"), "runs": str(folder / "runs"), "grace": 2}
    return Nightly(**given | more)


def case_of(*manners, port, **keys):
    return light_case(*manners, port=port, **{"device": "cpu", "ready_timeout_s": 600} | keys)


def run_night(monkeypatch, flags, **limits):
    """Run a night in this process with other limits; return its exit code and its record."""

    def pods(*values):
        return replace(Pods(*values), **{"poll_s": 0.05} | limits)

    monkeypatch.setattr(pods_nightly, "Pods", pods)
    code = pods_nightly.nightly(flags)
    (folder,) = (path for path in Path(flags.runs).iterdir() if path.is_dir())
    return code, read_run(folder).run, folder


def kinds(cluster):
    return {resource for resource, _, _ in cluster.objects if resource != "events"}


@forwards
def test_a_night_in_two_pods(cluster, tmp_path, monkeypatch, port):
    flags = flags_of(tmp_path, case_of("good", "worker", port=port))
    code, run, folder = run_night(monkeypatch, flags)
    assert (code, run.outcome, run.cause) == (ExitCode.PASS, "pass", None)
    assert [check.name for check in run.checks] == ["smoke completion", "smoke chat"]
    assert run.versions["vllm served"] == "0.0.0-light"
    assert set(run.hosts) == {"big-0", "big-0-1"}
    assert run.hosts["big-0"]["hostname"] == "node-7"
    ends = {(each.name, each.host) for each in run.processes}
    assert {("server-0", "big-0"), ("server-1", "big-0-1")} < ends
    for host in run.hosts:
        assert "starts server-" in (folder / "logs" / host / "pod.log").read_text("utf-8")
    assert "PASS" in (folder / "report.md").read_text("utf-8")
    assert (folder / "manifest.yaml").is_file()
    # Nothing is left in the cluster, nor of its pods on this machine.
    assert kinds(cluster) == set()
    assert all(each.process.poll() is not None for each in cluster.kubelets.values())


@forwards
def test_the_functional_suite_runs_in_front_of_the_pods(cluster, tmp_path, monkeypatch, port):
    suite = tmp_path / "suite.yaml"
    suite.write_text("cases: [{id: one, type: chat, messages: [{role: user, content: hi}]}]\n")
    flags = flags_of(tmp_path, case_of("good", port=port), functional=str(suite))
    _, run, _ = run_night(monkeypatch, flags)
    assert "functional chat" in [check.name for check in run.checks]


@pytest.mark.parametrize(
    ("play", "keys", "says"),
    [
        (
            "pull-error",
            {},
            (
                "big-0: ImagePullBackOff: Back-off pulling image",
                'Failed of big-0: Failed to pull image "i:1": manifest unknown',
            ),
        ),
        (
            "pending",
            {"ready_timeout_s": 0.5},
            (
                "the pods were not ready within 0.5 s: big-0 is not scheduled: 0/4 nodes",
                "FailedScheduling of big-0: 0/4 nodes are available: 4 Insufficient",
                "raise ready_timeout_s",
            ),
        ),
    ],
)
def test_pods_that_do_not_start(cluster, tmp_path, monkeypatch, port, play, keys, says):  # noqa: PLR0913, PLR0917
    cluster.play = play
    flags = flags_of(tmp_path, case_of("good", port=port, **keys))
    code, run, _ = run_night(monkeypatch, flags, stuck_s=0)
    assert (code, run.outcome) == (ExitCode.UNKNOWN, "unknown")
    for text in says:
        assert text in run.cause.message
    assert kinds(cluster) == set()


def test_a_crash_is_told_with_its_first_cause(cluster, tmp_path, monkeypatch, port):
    flags = flags_of(tmp_path, case_of("wordy", port=port))
    code, run, folder = run_night(monkeypatch, flags)
    assert (code, run.outcome, run.cause.kind) == (ExitCode.UNKNOWN, "unknown", "ProcessDied")
    # What light_server.py logs first, of hundreds of lines.
    assert "libatb.so" in run.cause.message
    assert run.explanation.process == "server-0"
    assert run.cause.tail
    assert (folder / "logs" / "big-0" / "server-0.log").stat().st_size > 1000
    assert kinds(cluster) == set()


@forwards
def test_a_pod_that_ends_while_it_is_proved(cluster, tmp_path, monkeypatch, port):
    def end():
        until(lambda: any(path.endswith("/portforward") for _, path in cluster.requests))
        cluster.kubelets["big-0"].process.send_signal(signal.SIGTERM)

    thread = threading.Thread(target=end)
    thread.start()
    flags = flags_of(tmp_path, case_of("mute", port=port))
    code, run, _ = run_night(monkeypatch, flags)
    thread.join()
    assert code == ExitCode.UNKNOWN
    assert run.cause.kind == "ProcessDied"
    assert "big-0: its container ended" in run.cause.message
    assert kinds(cluster) == set()


@pytest.mark.parametrize("resource", ["configmaps", "leaderworkersets"])
def test_a_manifest_that_is_refused_leaves_nothing(cluster, tmp_path, monkeypatch, port, resource):
    text = f"{resource} is forbidden: exceeded quota"
    cluster.refuse["POST", resource] = Refused(403, "Forbidden", text)
    code, run, _ = run_night(monkeypatch, flags_of(tmp_path, case_of("good", port=port)))
    assert (code, run.outcome) == (ExitCode.UNKNOWN, "unknown")
    assert "exceeded quota" in run.cause.message
    assert "the namespace's quota is used up" in run.cause.message
    assert kinds(cluster) == set()


def test_an_api_server_that_is_down(cluster, tmp_path, monkeypatch, port):
    cluster.stop()
    code, run, _ = run_night(monkeypatch, flags_of(tmp_path, case_of("good", port=port)))
    assert (code, run.outcome) == (ExitCode.UNKNOWN, "unknown")
    assert "refused" in run.cause.message
    assert "KUBECONFIG" in run.cause.message


def test_an_api_server_that_goes_down_meanwhile(cluster, tmp_path, monkeypatch, port):
    cluster.play = "pending"

    def stop():
        until(lambda: ("GET", "/api/v1/namespaces/night/pods") in cluster.requests)
        cluster.stop()

    thread = threading.Thread(target=stop)
    thread.start()
    flags = flags_of(tmp_path, case_of("good", port=port))
    code, run, folder = run_night(monkeypatch, flags, silent_s=0)
    thread.join()
    assert (code, run.outcome) == (ExitCode.UNKNOWN, "unknown")
    assert "kubectl get ended with 1" in run.cause.message
    journal = (folder / "journal.jsonl").read_text("utf-8")
    assert "inv k8s.delete --name big --namespace night" in journal


@forwards
def test_a_deletion_that_fails_is_told_and_changes_no_outcome(cluster, tmp_path, monkeypatch, port):
    cluster.refuse["DELETE", "services"] = Refused(403, "Forbidden", "you may not")
    code, run, folder = run_night(monkeypatch, flags_of(tmp_path, case_of("good", port=port)))
    assert (code, run.outcome, run.cause) == (ExitCode.PASS, "pass", None)
    journal = (folder / "journal.jsonl").read_text("utf-8")
    assert "not deleted: kubectl delete ended with 1" in journal
    assert "you may not" in journal
    assert kinds(cluster) == {"services"}


def test_what_is_there_already_is_not_touched(cluster, tmp_path, monkeypatch, port):
    there = thing("LeaderWorkerSet", "big", LWS)
    cluster.create("leaderworkersets", "night", there | {"spec": NO_PODS})
    code, run, _ = run_night(monkeypatch, flags_of(tmp_path, case_of("good", port=port)))
    assert code == ExitCode.USER
    assert "inv k8s.delete --name big --namespace night" in run.cause.message
    assert kinds(cluster) == {"leaderworkersets"}
    assert {method for method, _ in cluster.requests} == {"GET"}


@forwards
@pytest.mark.parametrize("by", ["case", "variable", "both"])
def test_further_manifests_are_deleted_at_the_end(cluster, tmp_path, monkeypatch, port, by):
    for name in ("mine", "other"):
        cluster.create("configmaps", "night", thing("ConfigMap", name))
        (tmp_path / f"{name}.yaml").write_text(MANIFEST.replace("mine", name), "utf-8")
    keys = {} if by == "variable" else {"k8s_delete_yaml": "./mine.yaml"}
    if by != "case":
        monkeypatch.setenv("LAMPLIGHTER_K8S_DELETE_YAML", str(tmp_path / "other.yaml"))
    flags = flags_of(tmp_path, case_of("good", port=port, **keys))
    code, *_ = run_night(monkeypatch, flags)
    assert code == ExitCode.PASS
    left = {name for resource, _, name in cluster.objects if resource == "configmaps"}
    # The variable replaces the case's.
    assert left == ({"other"} if by == "case" else {"mine"})


def test_a_manifest_that_is_missing_is_refused_before_anything_is_applied(
    cluster, tmp_path, monkeypatch, port
):
    flags = flags_of(tmp_path, case_of("good", port=port, k8s_delete_yaml="./none.yaml"))
    with pytest.raises(UserError, match=r"light.yaml: k8s_delete_yaml: ./none.yaml: there is no"):
        pods_nightly.nightly(flags)
    monkeypatch.setenv("LAMPLIGHTER_K8S_DELETE_YAML", "nowhere.yaml")
    with pytest.raises(UserError, match=r"LAMPLIGHTER_K8S_DELETE_YAML: nowhere.yaml: there is no"):
        pods_nightly.nightly(flags)
    assert cluster.requests == []


def test_a_dry_run_shows_the_manifest_and_asks_nobody(cluster, tmp_path, capsys, port):
    flags = flags_of(tmp_path, case_of("good", port=port), dry_run=True)
    assert pods_nightly.nightly(flags) == ExitCode.PASS
    assert "kind: LeaderWorkerSet" in capsys.readouterr().out
    assert cluster.requests == []
    assert not Path(flags.runs).exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"replicas": 2}, "--replicas 2: a night measures one group"),
        ({"config": ""}, "--config is missing"),
        ({"namespace": ""}, "give --namespace"),
    ],
)
def test_flags_that_cannot_be(cluster, tmp_path, port, more, message):
    with pytest.raises(UserError, match=message):
        pods_nightly.nightly(flags_of(tmp_path, case_of("good", port=port), **more))


def test_a_server_with_tls_is_refused(cluster, tmp_path, port):
    case = json.loads(case_of("good", port=port))
    command = case["deployment"][0]["server_cmd"] + " --ssl-keyfile /k --ssl-certfile /c"
    case["deployment"] = [{"server_cmd": command}]
    with pytest.raises(UserError, match="no certificate names"):
        pods_nightly.nightly(flags_of(tmp_path, json.dumps(case)))


@pytest.mark.parametrize("when", ["pending", "run"])
def test_ctrl_c_deletes_what_was_applied(cluster, tmp_path, port, when):
    """To the whole group of processes, as a terminal sends it: kubectl must not end by it."""
    if when == "run" and not spdy.dictionary():
        pytest.skip("no kubectl here with SPDY, which forwards the port")
    cluster.play = when
    flags = flags_of(tmp_path, case_of("mute", port=port))
    names = ("config", "namespace", "name", "image", "pvc", "mount", "runs")
    words = [f"--{name}={getattr(flags, name)}" for name in names]
    night = subprocess.Popen(
        [*INVOKE, "k8s.nightly", *words],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        text=True,
    )
    try:
        seen = "/portforward" if when == "run" else "/pods"
        until(lambda: any(path.endswith(seen) for _, path in cluster.requests))
        os.killpg(night.pid, signal.SIGINT)
        said, _ = night.communicate(timeout=PATIENCE_S)
    finally:
        night.kill()
    assert night.returncode == ExitCode.INTERRUPTED, said
    assert "INTERRUPTED" in said
    assert kinds(cluster) == set()
