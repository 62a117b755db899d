"""The real tools against a server with a key and a certificate of its own."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from certificates import authority, certificate
from hosts_here import held_port, until
from night import LIGHT_SERVER
from run_tool import evaluate
from test_scoring import make_job, make_up

from ci.plan.model import Access
from ci.remote.requests.http import ask
from ci.tools.registry import TOOLS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEY = "sk-of-nobody-0123"
# The light server answers with one token, which vLLM's own client notices.
RUNS = [
    ("aisbench", "accuracy", ""),
    ("lm_eval", "accuracy", ""),
    ("evalscope", "accuracy", ""),
    ("vllm_bench", "performance", "10 of 10 requests ended with fewer than 64 output tokens"),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, str]:
    folder = tmp_path_factory.mktemp("tls")
    return (authority(folder), *certificate(folder, signed=True))


@pytest.mark.parametrize(("tool", "case_type", "problem"), RUNS)
def test_it_has_the_key_and_trusts_the_certificate(  # noqa: PLR0913, PLR0917 - fixtures
    tool: str,
    case_type: str,
    problem: str,
    tmp_path: Path,
    made: tuple[str, str, str],
    tool_bin: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
):
    trusted, cert, key = made
    bin_folder = tool_bin(TOOLS[tool].ENVIRONMENT)
    make_up(tmp_path / "data")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, value in Access(KEY, trusted).env.items():
        monkeypatch.setenv(name, value)
    with held_port() as port:
        job = make_job(tmp_path, tool, bin_folder, port, case_type=case_type, model="light")
        job = replace(job, endpoint=replace(job.endpoint, scheme="https"))
        argv = [sys.executable, str(LIGHT_SERVER), str(port), "good", "--api-key", KEY]
        argv += ["--ssl-certfile", cert, "--ssl-keyfile", key]
        with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as server:
            try:
                url = f"{job.endpoint.url}/v1/models"
                until(lambda: ask("GET", url, 5, key=KEY, trust=trusted)["status"] == 200)
                unkeyed = ask("POST", f"{job.endpoint.url}/v1/completions", 5, {}, trust=trusted)
                assert unkeyed["status"] == 401
                result = evaluate(job)
            finally:
                server.kill()
    assert [text.partition(":")[0] for text in result.problems] == [problem] * bool(problem)
    kept = (path for path in (tmp_path / "work").rglob("*") if path.is_file())
    assert all(KEY not in path.read_text("utf-8", "replace") for path in kept)
