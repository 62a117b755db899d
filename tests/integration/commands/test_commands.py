"""What an operator types besides `inv nightly`, and how the commands speak."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from night import PROJECT, inv

if TYPE_CHECKING:
    from pathlib import Path


def test_list_names_every_task_with_what_it_does():
    ended = inv("--list")
    assert ended.returncode == 0
    assert {"nightly", "plan", "datasets.fetch"} <= set(ended.stdout.split())


@pytest.mark.parametrize("task", ["nightly", "plan", "datasets.fetch"])
def test_help_teaches_each_option(task: str):
    ended = inv(task, "--help")
    assert ended.returncode == 0
    words = " ".join(ended.stdout.split())
    assert "--workspace=STRING folder on the hosts for environments" in words


def test_plan_touches_nothing_and_gives_the_documented_json(tmp_path: Path):
    workspace = tmp_path / "workspace"
    ended = inv("plan", "--config", "local.yaml", "--json", "--workspace", str(workspace))
    assert ended.returncode == 0
    values = json.loads(ended.stdout)
    assert values["case"] == "local"
    (process,) = values["processes"]
    assert process["argv"][:2] == [f"{workspace}/envs/vllm-0.32.0/bin/vllm", "serve"]
    assert process["health_url"] == values["endpoint"]["url"] + "/health"
    assert [item["name"] for item in values["benchmarks"]] == ["acc", "perf"]
    assert list(tmp_path.iterdir()) == []


def test_a_case_is_found_from_any_folder_of_the_project():
    assert inv("plan", "--config", "local", cwd=PROJECT / "tests" / "unit").returncode == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nightly",), "--config is missing"),
        (("plan", "--config", "locl"), "Did you mean 'local'"),
        (("plan", "--config", "local", "--vllm", "0.0.1"), "0.0.1 is not in configs/versions"),
        (("plan", "--config", "local", "--device", "tpu"), "--device tpu"),
        (
            ("plan", "--config", "local", "--vllm", "0.13.0", "--device", "cpu"),
            "cannot be served here",
        ),
        (("datasets.fetch", "--name", "no-such"), "no-such"),
        (("nightly", "--config", "local-gsm8k"), "inv datasets.fetch"),
    ],
)
def test_a_mistake_ends_with_a_message_and_exit_code_2(
    words: tuple[str, ...], message: str, tmp_path: Path
):
    ended = inv(*words, "--workspace", str(tmp_path), LAMPLIGHTER_DATASETS=str(tmp_path))
    assert ended.returncode == 2
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr


def test_servers_are_kept_for_one_case_only(tmp_path: Path):
    case = tmp_path / "night.yaml"
    case.write_text(
        "test_name: t\nmodel: m\nnum_nodes: 1\nnpu_per_node: 0\ncluster_hosts: [localhost]\n"
        "deployment: [{server_cmd: serve x}]\nready_timeout_s: '${sweep.s}'\nsweep: {s: [6, 7]}\n"
    )
    for words, what in ((("up",), "`inv up`"), (("nightly", "--keep"), "--keep")):
        ended = inv(*words, "--config", str(case))
        assert ended.returncode == 2
        assert f"night-s6, night-s7; {what} needs one: --config FILE#NAME" in ended.stderr


def test_a_night_on_an_accelerator_that_is_not_here_is_refused(tmp_path: Path):
    words = ("--config", "local", "--vllm", "0.11.0", "--device", "ascend", "--runs")
    ended = inv("nightly", *words, str(tmp_path / "runs"), "--workspace", str(tmp_path / "w"))
    assert ended.returncode == 2
    assert "davinci" in ended.stderr
    assert list(tmp_path.iterdir()) == []
