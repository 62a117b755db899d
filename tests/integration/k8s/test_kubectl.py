"""kubectl as it is called: its arguments, its input, and what its failures become."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest
import yaml

from ci.case.load import parse
from ci.errors import InfrastructureError, UserError
from ci.k8s import kubectl
from ci.k8s.options import Options
from ci.k8s.render import planned, render

KUBECTL = shutil.which("kubectl")
RECORDER = """#!{python}
import json, os, sys
with open(os.path.join({folder!r}, "called.json"), "w") as file:
    json.dump([sys.argv[1:], sys.stdin.read()], file)
answer = os.path.join({folder!r}, "answer")
sys.stdout.write("done\\n")
if os.path.exists(answer):
    sys.stderr.write(open(answer).read())
    sys.exit(1)
"""


@pytest.fixture
def recorder(tmp_path, monkeypatch):
    """A kubectl that writes down how it was called, and fails with the output that it was given."""
    program = tmp_path / "kubectl"
    program.write_text(RECORDER.format(python=sys.executable, folder=str(tmp_path)), "utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    def called():
        return json.loads((tmp_path / "called.json").read_text("utf-8"))

    def failing(text):
        (tmp_path / "answer").write_text(text, "utf-8")

    called.failing = failing
    return called


def test_a_manifest_goes_in_by_its_standard_input(recorder):
    assert kubectl.apply("kind: A; $(x)\n") == "done\n"
    assert recorder() == [["apply", "-f", "-"], "kind: A; $(x)\n"]


def test_applied_objects_are_deleted_by_name(recorder):
    kubectl.delete("big", "night", context="there")
    argv, text = recorder()
    assert argv[:5] == ["--context", "there", "-n", "night", "delete"]
    assert argv[5:8] == [
        "leaderworkersets.leaderworkerset.x-k8s.io/big",
        "service/big-endpoint",
        "configmap/big-plan",
    ]
    assert "--ignore-not-found" in argv
    assert text == ""


@pytest.mark.parametrize(
    ("more", "selector", "follows"),
    [
        ({}, "leaderworkerset.sigs.k8s.io/name=big", False),
        (
            {"host": 1, "follow": True},
            "leaderworkerset.sigs.k8s.io/name=big,leaderworkerset.sigs.k8s.io/worker-index=1",
            True,
        ),
    ],
)
def test_logs_go_to_the_terminal(recorder, capfd, more, selector, follows):
    kubectl.logs("big", "night", **more)
    argv, _ = recorder()
    assert argv[:5] == ["-n", "night", "logs", "-l", selector]
    assert ("--follow" in argv) is follows
    assert capfd.readouterr().out == "done\n"


@pytest.mark.parametrize(
    ("output", "advice"),
    [
        ('no matches for kind "LeaderWorkerSet" in version "v1"', "install LeaderWorkerSet"),
        ('namespaces "night" not found', "--namespace"),
        ("The connection to the server localhost:8080 was refused", "KUBECONFIG"),
        ("something else", "ended with 1: something else"),
    ],
)
def test_a_failure_has_kubectls_output_and_advice(recorder, output, advice):
    recorder.failing(output)
    with pytest.raises(InfrastructureError) as caught:
        kubectl.apply("kind: A\n")
    assert output in str(caught.value)
    assert advice in str(caught.value)


def test_logs_that_fail(recorder):
    recorder.failing("no")
    with pytest.raises(InfrastructureError, match="logs of big in night ended with 1"):
        kubectl.logs("big", "night")


@pytest.mark.parametrize(
    "act",
    [
        lambda: kubectl.apply("kind: A\n"),
        lambda: kubectl.delete("big", "night"),
        lambda: kubectl.logs("big", "night"),
    ],
)
def test_no_kubectl(act, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"kubectl is not on the PATH.*inv k8s.render"):
        act()


TEXTS = {"A": "1e3", "B": "y", "C": "on", "D": "0x1F", "E": "1_000", "F": "", "G": "~", "H": " x "}


@pytest.mark.skipif(KUBECTL is None, reason="no kubectl here, whose reading of YAML is compared")
def test_kubectl_reads_a_manifest_as_we_do(tmp_path):
    env = json.dumps(TEXTS | {"I": "a: 'b' \"c\" # d", "J": "true", "K": "2024-01-01"})
    text = "test_name: t\nmodel: m\ndevice: cuda\nnpu_per_node: 8\nnum_nodes: 1\n"
    text += f"env_common: {env}\ndeployment: [{{server_cmd: vllm serve m --x 1}}]\n"
    options = Options(namespace="n", image="i:1", pvc="p", tolerations=("a=1:NoSchedule",))
    manifest = render(planned(parse(text.encode(), "c.yaml")[0], options), options)
    (tmp_path / "m.yaml").write_text(manifest, "utf-8")
    # --local asks no cluster; it writes back what it read.
    read = subprocess.run(
        [KUBECTL, "annotate", "--local", "-f", tmp_path / "m.yaml", "x/y=z", "-o", "json"],
        check=True,
        capture_output=True,
        text=True,
    )
    for ours in yaml.safe_load_all(manifest):
        ours["metadata"]["annotations"] = {"x/y": "z"}
        theirs, end = json.JSONDecoder().raw_decode(read.stdout)
        read.stdout = read.stdout[end:].lstrip()
        theirs.pop("status", None)
        assert theirs == ours
    assert read.stdout == ""
