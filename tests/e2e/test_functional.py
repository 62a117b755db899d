"""Our functional suite against real vLLM, in a night and in front of spoilt servers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from ci.door import serve
from ci.paths import CONFIGS, PROJECT, workspace_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from night import Night

OURS = CONFIGS / "functional" / "openai.yaml"
FLAGS = "--enable-auto-tool-choice --tool-call-parser hermes"
# What a version needs so that its engine survives grammars on the CPU.
FURTHER = {"0.11.0": " --dtype float32 --structured-outputs-config.backend guidance"}
MUTANTS = os.environ.get("LAMPLIGHTER_MUTANTS")
needs_mutants = pytest.mark.skipif(not MUTANTS, reason="LAMPLIGHTER_MUTANTS is not set")
# Some kinds; `nox -s functional` runs all.
SOME = (
    "stream-no-role,stop-ignored,system-dropped,usage-completion-off-by-one,tool-args-brace-cut,"
    "error-old-shape,benign-comments"
)
A_FEW = "chat_(text_word|text_sentence|stop|template_system|tool_named)$|bad_json$"


@pytest.fixture(autouse=True)
def filed(vllm: str) -> None:
    """Skip a version whose deviations nobody has filed: its failures are not explained."""
    if not (CONFIGS / "functional" / "known" / f"vllm-{vllm}.yaml").is_file():
        pytest.skip(f"configs/functional/known has no file for vLLM {vllm}")


def part_of_suite(every: int) -> str:
    """Return our suite with every n-th case and entry alone."""
    document = yaml.safe_load(OURS.read_text("utf-8"))
    document["cases"] = document["cases"][::every]
    for entries in [*document["matrices"].values(), *document["negative"].values()]:
        for entry in entries:
            if "params_list" in entry:
                entry["params_list"] = entry["params_list"][::every]
    return json.dumps(document, ensure_ascii=False)


def prove(start: Callable[..., Night], case: str, suite: Path) -> None:
    """Run a night with a suite, and see that no case failed without being known to."""
    night = start(case, "--functional", str(suite))
    code = night.finish()
    report = night.record["functional_report"]
    failed = [
        (result["id"], result["error"])
        for kind in report.values()
        for result in kind["results"]
        if result["outcome"] == "failed"
    ]
    assert failed == []
    assert {"chat", "completions"} <= report.keys()
    assert all(report[kind]["summary"]["passed"] for kind in ("chat", "completions"))
    assert code == 0


@pytest.fixture
def proven(case: Callable[..., str], vllm: str) -> str:
    """A case whose API is proven whole."""
    return case(flags=FLAGS + FURTHER.get(vllm, ""))


def test_a_night_proves_the_api(start, proven, tmp_path):
    suite = tmp_path / "suite.yaml"
    suite.write_text(part_of_suite(every=15))
    prove(start, proven, suite)


@pytest.mark.long
@pytest.mark.parametrize("time", ["first", "second"])
def test_the_whole_suite_passes_twice(start, proven, time):
    prove(start, proven, OURS)


def measure(case: str, vllm: str, device: str, folder: Path, *flags: str) -> str:
    """Run the mutants' benchmark in front of a served case; return the last line."""
    file = folder / "case.yaml"
    file.write_text(case)
    # The environment that serves has what the mutants need.
    python = Path(workspace_of("")) / "envs" / f"vllm-{vllm}" / "bin" / "python"
    benchmark = PROJECT / "benchmarks" / "functional_mutants.py"
    with serve(str(file), vllm=vllm, device=device, runs=folder / "runs") as server:
        command = [sys.executable, str(benchmark), "--mutants", f"{MUTANTS}/mutants.py"]
        command += ["--upstream", server.url_root, "--python", str(python), *flags]
        done = subprocess.run(
            command,
            cwd=PROJECT,
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
            capture_output=True,
            text=True,
            check=False,
        )
    print(done.stdout, done.stderr)
    return done.stdout.splitlines()[-1]


@needs_mutants
def test_spoilt_servers_are_found(request, proven, vllm, given_back, tmp_path):
    device = request.config.getoption("--device")
    chosen = ("--only", SOME, "--filter", A_FEW)
    last = measure(proven, vllm, device, tmp_path, *chosen)
    assert last == "killed 6 of 6, benign passed 1 of 1"


@needs_mutants
@pytest.mark.long
def test_every_spoilt_server_is_found(request, proven, vllm, given_back, tmp_path):
    device = request.config.getoption("--device")
    last = measure(proven, vllm, device, tmp_path)
    killed, benign = last.split(", ")
    assert killed.split()[1] == killed.split()[3], last
    assert benign.split()[2] == benign.split()[4], last
