"""The large cases of configs/cases, each its whole night on lab hosts: only the model is not there.

Roles, ports, vllm-router, data-parallel ranks, hubs' caches, the doctor and the evaluation tools
are real; `image.py` says what stands in. The default run asks few questions, `long` all of them.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from answer_server import read_aime, read_gsm8k
from image import WORKSPACE, write_image
from lab_fixture import output_of, ssh_argv
from night import PROJECT, inv, runs_in
from pasted import Pasted, is_healthy, score_of

from ci.case.load import load
from ci.lab import inside
from ci.paths import CASES
from ci.record.stored import read_run
from ci.request import Request
from ci.resolve import resolve_case

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from night import Night

    from ci.case.model import Case
    from ci.lab.model import Lab

# Dataset → the model gets item FIRST wrong, and every EVERY-th after it: 44 of 1319, 3 of 30.
WRONG = {"gsm8k": (7, 30), "aime2024": (2, 10)}
COUNTS = {"gsm8k": 1319, "aime2024": 30}
# Case → the items of each benchmark in the default run.
FEW = {
    "Qwen3-235B-W8A8": {"gsm8k": 24, "aime2024": 4, "perf": 4},
    "Qwen3-30B-A3B-FP8-async-eplb": {"gsm8k": 24},
}
ALL = (
    *("Qwen3-235B-W8A8", "Qwen3-235B-W8A8-EPLB", "DeepSeek-V3", "Qwen3-32B"),
    *("Qwen3-30B-A3B-FP8-async-eplb", "Llama-3.2-1B-pd-sweep"),
)


@pytest.fixture
def two_hosts(as_root: None, labs: Callable[..., Lab], tmp_path: Path) -> Lab:
    return labs(2, workspace=WORKSPACE, shown=[PROJECT, tmp_path])


@pytest.fixture(scope="session")
def replies() -> dict[str, str]:
    """What the model replies to each question."""
    root = Path(os.environ.get("LAMPLIGHTER_DATASETS", "/absent"))
    if not (root / "gsm8k/test.jsonl").is_file():
        pytest.skip("LAMPLIGHTER_DATASETS has no gsm8k: there are no questions to ask")
    items = {
        "gsm8k": read_gsm8k(root / "gsm8k/test.jsonl", COUNTS["gsm8k"]),
        "aime2024": read_aime(root / "aime2024/aime.jsonl", COUNTS["aime2024"]),
    }
    return {
        item.text: f"Let me think.\nanswer: \\boxed{{{int(item.answer) + is_wrong(name, at)}}}"
        for name, known in items.items()
        for at, item in enumerate(known)
    }


def is_wrong(dataset: str, at: int) -> bool:
    first, every = WRONG[dataset]
    return at % every == first


def accuracy(dataset: str, count: int) -> float:
    """The accuracy of the first items of a dataset, in percent."""
    return 100 - 100 * sum(is_wrong(dataset, at) for at in range(count)) / count


def install(lab: Lab, image: Path, cases: Sequence[Case], replies: dict[str, str]) -> None:
    """Give the hosts of a lab the files that these cases need."""
    for case in cases:
        request = Request(cluster=str(lab.cluster_file))
        write_image(image, resolve_case(case, request).plan, replies)
    for host in lab.hosts:
        copied = inside.run_in(lab, host.name, ["cp", "-r", f"{image}/.", "/"])
        assert copied.returncode == 0, copied.stderr


def with_counts(text: str, counts: dict[str, int]) -> str:
    """Change the number of prompts of each benchmark, and nothing else."""
    text = re.sub(r"(?m)^    num_prompts: .*\n", "", text)
    for name, count in counts.items():
        text = re.sub(rf"(?m)^  {name}:\n", rf"\g<0>    num_prompts: {count}\n", text)
    return text


def assert_measured(folder: Path, case: Case) -> None:
    """See every figure of a night, and that its hosts were handed back."""
    run = read_run(folder).run
    assert (run.cause, run.survivors) == (None, ())
    checks = {check.name: check for check in run.checks}
    evaluations = {item.benchmark: item for item in run.evaluations}
    for benchmark in case.benchmarks:
        check, evaluation = checks[benchmark.name], evaluations[benchmark.name]
        assert evaluation.problems == ()
        assert check.value
        figures = {figure.metric: figure.value for figure in evaluation.measurements}
        assert figures["server_generated_tokens"] > 0
        if case.router:  # every prompt was prefilled elsewhere
            assert figures["external_prefix_cache_hit_rate"] == 100
        if benchmark.case_type == "accuracy":  # the throughput depends on this machine
            count = benchmark.num_prompts or COUNTS[benchmark.name]
            assert check.value == pytest.approx(
                accuracy(benchmark.name, count), abs=0.005
            )  # AISBench rounds
            assert check.outcome == "pass"
            # The night itself asks for a completion where no token arrives for a while.
            assert figures["server_requests_stop"] >= count


def play(
    case_file: Path,
    chosen: str,
    lab: Lab,
    replies: dict[str, str],
    start_night: Callable[..., Night],
) -> Night:
    """Play the nights of a file's cases to their end, and see what they measured."""
    cases = [case for case in load(case_file) if chosen in case.name]
    install(lab, case_file.parent / "image", cases, replies)
    config = Path(f"{case_file}#{chosen}") if chosen else case_file
    night = start_night(config, "--cluster", str(lab.cluster_file))
    night.finish()
    folders = runs_in(night.runs)
    assert len(folders) == len(cases)
    for folder in folders:
        (case,) = [case for case in cases if case.name == read_run(folder).run.case]
        assert_measured(folder, case)
    for host in lab.hosts:
        assert inside.processes(lab, host.name) == ()
        assert inside.ports(lab, host.name) == set()
    return night


@pytest.mark.parametrize("name", FEW)
def test_a_large_case_runs_its_night_with_few_questions(
    name: str,
    two_hosts: Lab,
    replies: dict[str, str],
    start_night: Callable[..., Night],
    tmp_path: Path,
):
    file, _, chosen = name.partition("#")
    copy = tmp_path / f"{file}.yaml"
    copy.write_text(with_counts((CASES / copy.name).read_text("utf-8"), FEW[name]), "utf-8")
    play(copy, chosen, two_hosts, replies, start_night)


@pytest.mark.long
@pytest.mark.parametrize("name", ALL)
def test_a_large_case_runs_its_whole_night(
    name: str,
    two_hosts: Lab,
    replies: dict[str, str],
    start_night: Callable[..., Night],
    tmp_path: Path,
):
    copy = tmp_path / f"{name}.yaml"
    copy.write_bytes((CASES / copy.name).read_bytes())
    play(copy, "", two_hosts, replies, start_night)


@pytest.mark.long
def test_the_plan_of_a_large_case_can_be_pasted(
    two_hosts: Lab, replies: dict[str, str], tmp_path: Path
):
    """Prefill and decode, the router's script, and a model and tokenizer by name."""
    copy = tmp_path / "DeepSeek-V3.yaml"
    counts = {"gsm8k": 24, "perf": 4}
    copy.write_text(with_counts((CASES / copy.name).read_text("utf-8"), counts), "utf-8")
    install(two_hosts, tmp_path / "image", load(copy), replies)
    plan = inv("plan", "--config", str(copy), "--cluster", str(two_hosts.cluster_file))
    assert plan.returncode == 0, plan.stderr

    def shell(host: str) -> list[str]:
        return ["bash"] if host == "this machine" else ssh_argv(two_hosts, host, "bash")

    first = two_hosts.hosts[0]
    pasted = Pasted(shell, tmp_path / "servers.log")
    try:
        pasted.all(plan.stdout, lambda: is_healthy(f"http://{first.address}:8000/healthcheck"))
    finally:
        pasted.end()
    inputs = f"cd {WORKSPACE}/.lamplighter/'<host>'/'<run>'/inputs"
    summary = output_of(two_hosts, first.name, f"{inputs} && cat gsm8k/work/out/*/summary/*.csv")
    assert score_of(summary) == pytest.approx(accuracy("gsm8k", 24), abs=0.005)
    output_of(two_hosts, first.name, f"{inputs} && ls perf/work/out/*/performances/served/*.csv")
