"""Measure a functional suite: `python benchmarks/functional_mutants.py --mutants FILE`.

FILE is a proxy that spoils a healthy server's answers in one way each: `FILE --list --json` names
its mutants, and `FILE --upstream URL --listen PORT --mutant NAME` runs one. The suite runs through
every mutant in front of real vLLM. It has to fail under each, and to pass under those of the kind
`benign`. A mutant that never changed an answer was not reached by any request of the suite.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests

from ci.door import serve
from ci.functional.client import Endpoint, root_of
from ci.functional.known import known_of
from ci.functional.load import load_suite
from ci.functional.run import Options, Report, run_suite
from ci.paths import CONFIGS, PROJECT, workspace_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.functional.case import FunctionalCase
    from ci.functional.load import Suite

SUITE = CONFIGS / "functional" / "openai.yaml"
GENERATES = PROJECT / "benchmarks" / "served" / "generates.yaml"
CAPABILITIES = "chat.tool_choice.auto,chat.tool_parser.hermes"
SERVE_S = 600.0
START_S = 30.0
GENERIC = {"ignored", "missing", "wrong", "lost", "null", "string", "short"}


@dataclass(frozen=True)
class Outcome:
    """What the suite did under one mutant."""

    name: str
    kind: str
    outcome: str
    changed: int
    seconds: float
    by: str


def mutants_of(python: str, file: Path) -> list[dict[str, Any]]:
    """Return name and kind of every mutant."""
    lines = subprocess.run(
        [python, str(file), "--list", "--json"], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    return [json.loads(line) for line in lines if line.strip()]


def python_with_aiohttp() -> str:
    """Return a Python that runs the mutants: this one, or that of an environment for vLLM."""
    if importlib.util.find_spec("aiohttp"):
        return sys.executable
    folder = Path(workspace_of("")) / "envs"
    found = sorted(folder.glob("vllm-[0-9]*/bin/python"))
    if not found:
        raise SystemExit(
            f"the mutants need aiohttp, and no environment for vLLM is in {folder}; run "
            "`inv nightly --config local.yaml` once, or name a Python with --python"
        )
    return str(found[-1])


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def served_model(upstream: str, key: str) -> str:
    """Return the name of the model that a server lists first."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    reply = requests.get(f"{upstream}/v1/models", headers=headers, timeout=30)
    reply.raise_for_status()
    name: str = reply.json()["data"][0]["id"]
    return name


@dataclass(frozen=True)
class Upstream:
    """A healthy server: its URL, and the key that requests need."""

    url: str
    key: str = field(repr=False)


@contextmanager
def served(vllm: str) -> Iterator[Upstream]:
    """Serve the small model here, as a night does."""
    with (
        tempfile.TemporaryDirectory() as runs,
        serve(str(GENERATES), vllm=vllm, runs=runs) as server,
    ):
        yield Upstream(server.url_root, server.plan.access.key)


@contextmanager
def embedding_server() -> Iterator[Upstream]:
    """Serve embeddings of the small model; a night serves only what generates.

    Uses the environment and the model that a night with configs/cases/local.yaml has made.
    """
    workspace = Path(workspace_of(""))
    model = workspace / "models" / "SmolLM2-135M-Instruct"
    vllm = Path(python_with_aiohttp()).with_name("vllm")
    port = free_port()
    command = [str(vllm), "serve", str(model), "--served-model-name", "smollm2"]
    command += ["--runner", "pooling", "--convert", "embed", "--max-model-len", "1024"]
    command += ["--enforce-eager", "--host", "127.0.0.1", "--port", str(port)]
    env = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
    # vLLM leaves its sockets in the folder for temporary files.
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as log:
        env["TMPDIR"] = folder
        process = subprocess.Popen(
            command, env={**os.environ, **env}, stdout=log, stderr=log, start_new_session=True
        )
        try:
            url = f"http://127.0.0.1:{port}"
            await_health(url, process)
            yield Upstream(url, "")
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def await_health(url: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until a server is healthy."""
    deadline = time.monotonic() + SERVE_S
    while True:
        try:
            if requests.get(f"{url}/health", timeout=5).ok:
                return
        except requests.RequestException:
            pass
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"{process.args!r} does not serve")
        time.sleep(0.5)


@contextmanager
def proxy(python: str, file: Path, name: str, upstream: str) -> Iterator[str]:
    """Run one mutant in front of a server; yield its URL."""
    port = free_port()
    command = [python, str(file), "--upstream", upstream, "--listen", str(port), "--mutant", name]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + START_S
        while True:
            try:
                requests.get(f"{url}/__mutant__", timeout=5)
                break
            except requests.ConnectionError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"the mutant {name} does not start") from None
                time.sleep(0.05)
        yield url
    finally:
        process.kill()
        process.wait()


def nearest_first(
    cases: tuple[FunctionalCase, ...], mutant: dict[str, Any]
) -> tuple[list[FunctionalCase], list[FunctionalCase]]:
    """Return the cases whose names share a word with the mutant or its kind, and the others.

    The order changes no verdict, only how soon the first failure comes.
    """
    words = set(re.split(r"[-_ ]", mutant["name"])) - GENERIC
    words = {word.rstrip("s") for word in words if len(word) > 2}  # noqa: PLR2004 - a word
    kind = mutant["kind"]
    words.add(kind.rstrip("s"))

    def is_near(case: FunctionalCase) -> bool:
        if kind == "errors":
            return case.refused
        if kind in ("concurrency", "time", "router") and case.scenario:
            return True
        return any(word in case.id for word in words)

    near = [case for case in cases if is_near(case)]
    names = {case.id for case in near}
    return near, [case for case in cases if case.id not in names]


def measure(
    arguments: argparse.Namespace, suite: Suite, mutant: dict[str, Any], upstream: Upstream
) -> Outcome:
    """Run the suite under one mutant."""
    name, kind = mutant["name"], mutant["kind"]
    # A server that embeds answers nothing else.
    embeds = kind == "embeddings"
    cases = tuple(
        case
        for case in suite.cases
        if re.search(arguments.filter, case.id)
        and (not embeds or (case.kind == "embeddings" and not case.refused))
    )
    benign = kind in ("benign", "none")
    began = time.monotonic()
    dead_upstream = f"http://127.0.0.1:{free_port()}"
    with (
        proxy(arguments.python, arguments.mutants, name, upstream.url) as url,
        proxy(arguments.python, arguments.mutants, name, dead_upstream) as dead,
    ):
        # Asked of the healthy server, because a mutant may spoil the list.
        key = upstream.key
        model = arguments.model or served_model(upstream.url, key)
        endpoint = Endpoint(url, model, key)
        options = Options(
            fail_fast=not benign,
            capabilities=capabilities_of(arguments, kind),
            known=lambda version: known_of(version, CONFIGS / "functional" / "known"),
            dead=Endpoint(dead, model, key),
        )
        failed: list[str] = []
        near, others = nearest_first(cases, mutant)
        for part in (near, others):
            if not part or (failed and not benign):
                continue
            failed += _failures(run_suite(suite, part, endpoint, options))
        if benign and failed:
            # A spoilt answer is spoilt again; a connection that was lost under load is not.
            names = {each.partition(": ")[0] for each in failed}
            again = [case for case in cases if case.id in names]
            failed = _failures(run_suite(suite, again, endpoint, options))
        changed = sum(
            requests.get(f"{each}/__mutant__", timeout=5).json()["changed"] for each in (url, dead)
        )
    seconds = time.monotonic() - began
    if benign:
        outcome = "failed" if failed else "passed"
    else:
        outcome = "killed" if failed else "survived" if changed else "never reached"
    return Outcome(name, kind, outcome, changed, round(seconds, 1), "; ".join(failed[:5]))


def capabilities_of(arguments: argparse.Namespace, kind: str) -> tuple[str, ...]:
    """Return what the upstream of a kind of mutant supports."""
    if kind == "embeddings":
        return ("embeddings",)
    return tuple(filter(None, arguments.capabilities.split(",")))


def _failures(report: Report) -> list[str]:
    failed = [result for result in report.results if result.outcome == "failed"]
    return [f"{result.case.id}: {result.reason[:160]}" for result in failed]


def show(outcome: Outcome) -> None:
    """Print one line."""
    print(
        f"{outcome.name:30} {outcome.kind:12} {outcome.outcome:14} changed {outcome.changed:5} "
        f"{outcome.seconds:6.1f} s  {outcome.by[:150]}",
        flush=True,
    )


def main() -> None:
    """Parse, measure every mutant, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutants", type=Path, required=True, help="the proxy")
    parser.add_argument("--upstream", default="", help="a healthy server; default: real vLLM here")
    parser.add_argument("--embeddings-upstream", default="", help="one that answers embeddings")
    parser.add_argument("--model", default="", help="default: the first that the server lists")
    parser.add_argument("--only", default="", help="names, with commas")
    parser.add_argument("--json", type=Path, help="write the outcomes there")
    parser.add_argument("--suite", type=Path, default=SUITE)
    parser.add_argument("--filter", default="", help="pattern of cases to run")
    parser.add_argument("--capabilities", default=CAPABILITIES, help="of the upstream, with commas")
    parser.add_argument("--vllm", default="", help="version of configs/versions.yaml to serve here")
    parser.add_argument("--api-key-env", default="LAMPLIGHTER_API_KEY")
    parser.add_argument("--python", default="", help="one with aiohttp; default: vLLM's here")
    arguments = parser.parse_args()
    arguments.python = arguments.python or python_with_aiohttp()
    suite = load_suite(arguments.suite)
    only = set(filter(None, arguments.only.split(",")))
    chosen = [
        mutant
        for mutant in mutants_of(arguments.python, arguments.mutants)
        if mutant["kind"] != "none" and (not only or mutant["name"] in only)
    ]
    key = os.environ.get(arguments.api_key_env, "")
    outcomes = []
    # One server at a time: each needs some gigabytes of memory.
    for embed, given in ((False, arguments.upstream), (True, arguments.embeddings_upstream)):
        mutants = [mutant for mutant in chosen if (mutant["kind"] == "embeddings") is embed]
        if not mutants:
            continue
        own = embedding_server if embed else lambda: served(arguments.vllm)
        healthy = nullcontext(Upstream(root_of(given), key)) if given else own()
        with healthy as upstream:
            for mutant in mutants:
                outcomes.append(measure(arguments, suite, mutant, upstream))
                show(outcomes[-1])
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(each) for each in outcomes], indent=1))
    bad = [each for each in outcomes if each.kind != "benign"]
    benign = [each for each in outcomes if each.kind == "benign"]
    killed = sum(each.outcome == "killed" for each in bad)
    passed = sum(each.outcome == "passed" for each in benign)
    print(f"killed {killed} of {len(bad)}, benign passed {passed} of {len(benign)}")


if __name__ == "__main__":
    main()
