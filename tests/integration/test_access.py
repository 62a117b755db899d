"""Servers that ask for a key or speak TLS, and servers that refuse: nights, and the real tools."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hosts_here import assert_given_back, held_port, until
from run_tool import evaluate
from test_scoring import make_job, make_up

from ci.plan.model import Access
from ci.remote.requests.http import ask
from ci.tools.registry import TOOLS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROJECT = Path(__file__).parents[2]
SERVER = Path(__file__).with_name("light_server.py")
PATIENCE_S = 600
KEY = "sk-of-nobody-0123"
CASE = """\
test_name: "a light night"
model: {model}
num_nodes: 1
npu_per_node: 0
cluster_hosts: [localhost]
ready_timeout_s: 600
env_common: {{SERVER_PORT: {port}, {env}}}
deployment:
  - server_cmd: "{before}{python} {server} $SERVER_PORT {manner} --port $SERVER_PORT {more}"
"""


@pytest.fixture
def port() -> Iterator[int]:
    with held_port() as port:
        yield port


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Make a self-signed certificate of 127.0.0.1, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3"]
    argv += ["-subj", "/CN=light", "-addext", "subjectAltName=IP:127.0.0.1"]
    argv += ["-keyout", str(key), "-out", str(cert)]
    subprocess.run(argv, check=True, capture_output=True)
    return cert, key


@pytest.fixture
def night(tmp_path: Path, port: int) -> Iterator[Callable[..., tuple[int, str, Path]]]:
    """Run a night to its end; gives exit code, output and the run's folder."""

    def run(
        manner: str = "good",
        more: str = "",
        env: str = "A: 1",
        before: str = "",
        model: str = "light",
    ) -> tuple[int, str, Path]:
        case = tmp_path / "case.yaml"
        parts = {"port": port, "python": sys.executable, "server": SERVER, "manner": manner}
        case.write_text(CASE.format(**parts, more=more, env=env, before=before, model=model))
        argv = [sys.executable, "-m", "invoke", "nightly", "--config", str(case)]
        argv += ["--runs", str(tmp_path / "runs"), "--workspace", str(tmp_path / "workspace")]
        ended = subprocess.run(
            argv,
            cwd=PROJECT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "CI": "true"},
            timeout=PATIENCE_S,
            check=False,
        )
        print(ended.stdout)
        (folder,) = (tmp_path / "runs").iterdir()
        return ended.returncode, ended.stdout, folder

    yield run
    assert_given_back(tmp_path / "workspace")


def texts_of(folder: Path) -> str:
    return "".join(
        path.read_text("utf-8", "replace") for path in folder.rglob("*") if path.is_file()
    )


@pytest.mark.parametrize(
    ("more", "env"),
    [
        ("", f"VLLM_API_KEY: {KEY}"),
        (f"--api-key {KEY}", "A: 1"),
        (f"--api-key {KEY} sk-of-another-4567", "A: 1"),
        ("--api-key $MINE", f"MINE: {KEY}"),
    ],
    ids=["variable", "flag", "two", "reference"],
)
def test_a_server_with_a_key(night: Callable[..., tuple[int, str, Path]], more: str, env: str):
    code, output, folder = night(more=more, env=env)
    assert code == 0
    assert KEY not in output + texts_of(folder)


def test_a_key_that_only_the_host_has(night: Callable[..., tuple[int, str, Path]], tmp_path: Path):
    script = tmp_path / "set_env.sh"
    script.write_text(f"echo noise\nexport VLLM_API_KEY={KEY}\n")
    code, output, folder = night(before=f"source {script} && ")
    assert code == 0
    assert KEY not in output + texts_of(folder)


def test_a_server_with_a_certificate(
    night: Callable[..., tuple[int, str, Path]], certificate: tuple[Path, Path]
):
    cert, key = certificate
    code, _, folder = night(more=f"--ssl-certfile {cert} --ssl-keyfile {key}")
    assert code == 0
    assert '"https://127.0.0.1' in (folder / "plan.json").read_text()


@pytest.mark.parametrize(
    ("manner", "model", "words"),
    [
        (
            "401",
            "light",
            "HTTP 401: the light server says 401; the server asks for another API key",
        ),
        ("good", "dark", "the case asks for the model 'dark', but the server lists light"),
        ("422", "light", "HTTP 422: the light server says 422; the server does not accept"),
    ],
)
def test_a_server_that_refuses_is_not_waited_for(
    night: Callable[..., tuple[int, str, Path]], manner: str, model: str, words: str
):
    code, _, folder = night(manner, model=model)
    record: dict[str, Any] = json.loads((folder / "run.json").read_text())
    assert (code, record["outcome"]) == (3, "unknown")
    assert words in record["cause"]["message"]


# The light server answers with one token, which vLLM's own client notices.
TOOL_RUNS = [
    ("aisbench", "accuracy", ""),
    ("lm_eval", "accuracy", ""),
    ("vllm_bench", "performance", "10 of 10 requests ended with fewer than 64 output tokens"),
]


@pytest.mark.parametrize(("tool", "case_type", "problem"), TOOL_RUNS)
def test_the_tools_have_the_key_and_trust_the_certificate(  # noqa: PLR0913, PLR0917 - fixtures
    tool: str,
    case_type: str,
    problem: str,
    tmp_path: Path,
    port: int,
    certificate: tuple[Path, Path],
    tool_bin: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
):
    cert, key = certificate
    bin_folder = tool_bin(TOOLS[tool].ENVIRONMENT)
    make_up(tmp_path / "data")
    monkeypatch.setenv("HOME", str(tmp_path))
    job = make_job(tmp_path, tool, bin_folder, port, case_type=case_type, model="light")
    job = replace(job, endpoint=replace(job.endpoint, scheme="https"))
    for name, value in Access(KEY, str(cert), str(cert)).env.items():
        monkeypatch.setenv(name, value)
    argv = [sys.executable, str(SERVER), str(port), "good", "--api-key", KEY]
    argv += ["--ssl-certfile", str(cert), "--ssl-keyfile", str(key)]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as server:
        try:
            url = f"{job.endpoint.url}/v1/models"
            until(lambda: ask("GET", url, 5, key=KEY, trust=str(cert))["status"] == 200)
            assert ask("POST", f"{job.endpoint.url}/v1/completions", 5, {})["status"] == 401
            result = evaluate(job)
        finally:
            server.kill()
    assert [text.partition(":")[0] for text in result.problems] == [problem] * bool(problem)
    assert KEY not in texts_of(tmp_path / "work")
