"""A night in pods that measures: a real tool asks a forwarded port, and its figure is judged.

The API server, and vLLM, are stand-ins; kubectl and the tool are real.
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
import spdy
from answered import ACC, ITEMS, STAND_IN, answers
from api_server import api_server
from night import inv, runs_in

from ci.record.stored import read_run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from api_server import Cluster

pytestmark = pytest.mark.skipif(
    not (shutil.which("kubectl") and spdy.dictionary()), reason="no kubectl here with SPDY"
)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with api_server(tmp_path) as running:
        yield running


@pytest.mark.parametrize(
    ("right", "outcome", "code"),
    [pytest.param(16, "pass", 0, marks=pytest.mark.long), (4, "fail", 1)],
)
def test_accuracy_is_measured_and_judged(  # noqa: PLR0913, PLR0917 - fixtures
    cluster: Cluster,
    tmp_path: Path,
    with_tool: Path,
    free_port: int,
    right: int,
    outcome: str,
    code: int,
):
    command = f"python3 {STAND_IN} --served-model-name light --host 127.0.0.1 --port {free_port}"
    case = {
        "test_name": "accuracy in pods",
        "model": "light",
        "device": "cpu",
        "num_nodes": 1,
        "npu_per_node": 0,
        "env_common": {"STAND_IN_ANSWERS": answers(tmp_path / "answers.json", right)},
        "deployment": [{"server_cmd": command}],
        "benchmarks": {"acc": ACC | {"baseline": 95, "threshold": 5}},
    }
    path, runs = tmp_path / "case.yaml", tmp_path / "runs"
    path.write_text(json.dumps(case), "utf-8")
    words = ["--config", str(path), "--namespace", "night", "--image", "i:1", "--pvc", "p"]
    words += ["--mount", str(tmp_path / "mount"), "--runs", str(runs), "--grace", "2"]
    words += ["--workspace", str(with_tool)]
    env = {"KUBECONFIG": str(cluster.kubeconfig), "KUBECACHEDIR": str(tmp_path / "cache")}
    night = inv("k8s.nightly", *words, **env)
    assert night.returncode == code, night.stdout + night.stderr
    (folder,) = runs_in(runs)
    run = read_run(folder).run
    assert run.outcome == outcome
    (evaluation, *_) = run.evaluations
    assert evaluation.n_items == ITEMS
    assert evaluation.measurements[0].value == 100 * right / ITEMS
    # The tool's own log is home, and so is the server's.
    assert list((folder / "logs").glob("*/server-0.log"))
    assert list((folder / "logs" / "localhost").glob("*.log"))
    assert {resource for resource, _, _ in cluster.objects} <= {"events"}
