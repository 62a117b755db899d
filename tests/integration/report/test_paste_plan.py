"""The commands of `inv plan`, pasted one after another on their hosts, end in the right figure."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hosts_here import held_port, until
from lab_fixture import output_of, ssh_argv
from night import PROJECT, inv
from pasted import Pasted, is_healthy, score_of

from ci.lab import inside

if TYPE_CHECKING:
    from collections.abc import Callable

    from ci.lab.model import Lab

SERVER = PROJECT / "tests/integration/large/vllm_stand_in.py"
ENVS = ".cache/lamplighter/envs"
ITEMS = 8
RIGHT = 6
BENCHMARK = {"dataset_path": "lamplighter/arithmetic", "num_prompts": ITEMS}
BENCHMARK |= {"max_out_len": 64, "batch_size": 4}


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    """What the model replies: the first RIGHT items are right."""
    rows = (PROJECT / "benchmarks/arithmetic/test.jsonl").read_text("utf-8").splitlines()[:ITEMS]
    replies = {}
    for at, item in enumerate(map(json.loads, rows)):
        number = int(item["answer"].split("#### ")[1]) + (at >= RIGHT)
        replies[item["question"]] = f"answer: {number}"
    path = tmp_path / "answers.json"
    path.write_text(json.dumps(replies), "utf-8")
    return path


def case_of(answers: Path, port: int, hosts: int, **tools: str) -> str:
    """Write a case: a stand-in for vLLM with a rank on each host, and a tool for each benchmark."""
    serve = f"python3 {SERVER} serve light --served-model-name light --port $SERVER_PORT"
    first = f"{serve} --host 0.0.0.0 --data-parallel-size {hosts}"
    case = {
        "test_name": "pasted",
        "model": "light",
        "device": "cpu",
        "num_nodes": hosts,
        "npu_per_node": 0,
        "env_common": {"SERVER_PORT": port, "STAND_IN_ANSWERS": str(answers)},
        "deployment": [
            {"server_cmd": command} for command in (first, *[f"{serve} --headless"] * (hosts - 1))
        ],
        "benchmarks": {
            name: {"case_type": "accuracy", "tool": tool, **BENCHMARK}
            for name, tool in tools.items()
        },
    }
    return json.dumps(case)


@pytest.fixture
def home(tmp_path: Path, tool_bin: Callable[[str], str]) -> Path:
    """A home whose default workspace has the tool's environment."""
    envs = tmp_path / "home" / ENVS
    envs.mkdir(parents=True)
    (envs / "aisbench").symlink_to(Path(tool_bin("aisbench")).parent)
    return tmp_path / "home"


def test_a_plan_for_this_machine_can_be_pasted(answers: Path, home: Path, tmp_path: Path):
    case = tmp_path / "case.yaml"
    env = {name: value for name, value in os.environ.items() if name != "LAMPLIGHTER_WORKSPACE"}
    env |= {"HOME": str(home)}
    with held_port() as port, ExitStack() as ends:
        case.write_text(case_of(answers, port, 1, acc="aisbench", again="aisbench"), "utf-8")
        argv = [sys.executable, "-m", "invoke", "plan", "--config", str(case), "--local"]
        plan = subprocess.run(
            argv, cwd=PROJECT, env=env, capture_output=True, text=True, check=True
        )
        shell = ["env", f"HOME={home}", "bash"]
        pasted = Pasted(lambda _: shell, tmp_path / "servers.log")
        ends.callback(pasted.end)
        url = f"http://127.0.0.1:{port}/health"
        pasted.all(plan.stdout, lambda: is_healthy(url))
        pasted.end()
        until(lambda: not is_healthy(url))
    inputs = home / ".cache/lamplighter/.lamplighter/<host>/<run>/inputs"
    for name in ("acc", "again"):
        (summary,) = inputs.glob(f"{name}/work/out/*/summary/summary_*.csv")
        assert score_of(summary.read_text("utf-8")) == 100 * RIGHT / ITEMS


def test_a_plan_for_two_hosts_can_be_pasted_over_ssh(
    as_root: None,
    labs: Callable[..., Lab],
    tool_bin: Callable[[str], str],
    answers: Path,
    tmp_path: Path,
):
    """The cluster file has neither interface nor workspace: only the hosts know them."""
    lab = labs(2, shown=[PROJECT, tmp_path])
    first = lab.hosts[0]
    for name in ("aisbench", "lm_eval"):
        link = (
            f"mkdir -p ~/{ENVS} && cd ~/{ENVS} && ls {name} || ln -s {Path(tool_bin(name)).parent}"
        )
        assert inside.run_in(lab, first.name, ["sh", "-c", link]).returncode == 0
    case = tmp_path / "case.yaml"
    case.write_text(case_of(answers, 18270, 2, acc="aisbench", lm="lm_eval"), "utf-8")
    plan = inv("plan", "--config", str(case), "--cluster", str(lab.cluster_file))
    assert plan.returncode == 0, plan.stderr

    def shell(host: str) -> list[str]:
        return ["bash"] if host == "this machine" else ssh_argv(lab, host, "bash")

    pasted = Pasted(shell, tmp_path / "servers.log")
    try:
        pasted.all(plan.stdout, lambda: is_healthy(f"http://{first.address}:18270/health"))
        for host in lab.hosts:
            interface = output_of(
                lab, host.name, "ip -o -4 addr show | grep -v ' lo ' | awk '{print $2}'"
            )
            environments = output_of(lab, host.name, "cat /proc/[0-9]*/environ | tr '\\0' '\\n'")
            assert f"GLOO_SOCKET_IFNAME={interface}" in environments.splitlines()
    finally:
        pasted.end()
    inputs = "cd ~/.cache/lamplighter/.lamplighter/'<host>'/'<run>'/inputs"
    summary = output_of(lab, first.name, f"{inputs} && cat acc/work/out/*/summary/summary_*.csv")
    assert score_of(summary) == 100 * RIGHT / ITEMS
    results = output_of(lab, first.name, f"{inputs} && cat lm/work/out/*/results_*.json")
    (score,) = json.loads(results)["results"].values()
    assert score["exact_match,answer"] == RIGHT / ITEMS
