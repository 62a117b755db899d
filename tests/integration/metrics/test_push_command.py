"""`inv metrics.push` and `inv metrics.textfile`, on real gateways and folders of runs."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest
from metric_runs import SECRET, night
from night import inv
from real_programs import find, get

from ci.record.stored import FILE, as_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from real_programs import Program

CSV = "concurrency,input_len,output_len,latency_p50_ms,throughput_rps\n1,8,8,50,10\n4,8,8,70,20\n"
REPOSITORY = {"CI": "true", "GITHUB_REPOSITORY": "team/nights"}
ALLOWED = {**REPOSITORY, "PROM_PUSHGATEWAY_REPOSITORY": "team/nights"}
DOWN = "http://127.0.0.1:9"


@pytest.fixture
def perf_csv(tmp_path: Path) -> Path:
    path = tmp_path / "perf.csv"
    path.write_text(CSV, "utf-8")
    return path


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A folder with two runs of a case: one that passed, and a later one that failed."""
    for day, outcome in ((1, "pass"), (2, "fail")):
        run_id = f"2026010{day}-000000-local-abcd"
        folder = tmp_path / "runs" / run_id
        folder.mkdir(parents=True)
        run = night(outcome, day=day, id=run_id, case="local")
        (folder / FILE).write_text(as_text(run), "utf-8")
        plan = {"case": {"model": "Qwen/Qwen3-8B-W8A8"}, "servers": []}
        (folder / "plan.json").write_text(json.dumps(plan), "utf-8")
    return tmp_path / "runs"


def published(gateway: Program) -> str:
    return get(f"{gateway.url}/metrics").decode()


def test_the_csv_of_vllm_cibench(gateway: Callable[..., Program], perf_csv: Path):
    real = gateway()
    words = ("--label", "model=Qwen3-32B", "--label", "quant=w8a8", "--gateway-url", real.url)
    ended = inv("metrics.push", "--csv", str(perf_csv), "--run-type", "daily", *words)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert f"pushed 2 metrics of {perf_csv} to {real.url}" in ended.stdout
    text = published(real)
    labels = 'instance="",job="lamplighter_csv",model="Qwen3-32B",quant="w8a8",run_type="daily"'
    assert f"ci_perf_throughput_rps_avg{{{labels}}} 15" in text
    assert f"ci_perf_latency_p50_ms_avg{{{labels}}} 60" in text


@pytest.mark.parametrize(
    ("words", "env", "reason"),
    [
        ((), {}, "no run type was given"),
        (("--run-type", "pr"), {}, "the run type is pr"),
        (("--run-type", "daily", "--dry-run"), {}, "nothing was published"),
        (("--run-type", "daily"), REPOSITORY, "set PROM_PUSHGATEWAY_REPOSITORY"),
        (
            ("--run-type", "daily"),
            ALLOWED | {"GITHUB_REPOSITORY": "fork/nights"},
            "this is fork/nights",
        ),
        (
            ("--run-type", "daily"),
            ALLOWED | {"GITHUB_EVENT_NAME": "pull_request"},
            "whose source is unknown",
        ),
    ],
)
def test_what_is_never_pushed(  # noqa: PLR0913, PLR0917 - fixtures and parameters
    gateway: Callable[..., Program],
    perf_csv: Path,
    runs: Path,
    words: tuple[str, ...],
    env: dict[str, str],
    reason: str,
):
    real = gateway()
    for what in (("--csv", str(perf_csv)), ("--runs", str(runs), "--gateway-url", real.url)):
        if what[0] == "--runs" and "--run-type" not in words:
            continue  # a run has its own run type
        ended = inv("metrics.push", *what, *words, PROM_PUSHGATEWAY_URL=real.url, **env)
        assert ended.returncode == 0, ended.stderr
        assert reason in ended.stdout
    assert real.get("/api/v1/metrics") == []


def test_without_a_gateway_nothing_is_red(perf_csv: Path):
    ended = inv("metrics.push", "--csv", str(perf_csv), "--run-type", "daily")
    assert ended.returncode == 0
    assert "set PROM_PUSHGATEWAY_URL" in ended.stdout


def test_a_fork_that_sends_its_pull_request(
    gateway: Callable[..., Program], perf_csv: Path, tmp_path: Path
):
    real = gateway()
    event = tmp_path / "event.json"
    argv = ("metrics.push", "--csv", str(perf_csv), "--run-type", "daily")
    env = ALLOWED | {"GITHUB_EVENT_NAME": "pull_request_target", "GITHUB_EVENT_PATH": str(event)}
    for source, pushes in (("fork/nights", False), ("team/nights", True)):
        event.write_text(json.dumps({"pull_request": {"head": {"repo": {"full_name": source}}}}))
        ended = inv(*argv, PROM_PUSHGATEWAY_URL=real.url, **env)
        assert ended.returncode == 0
        assert (f"from the fork {source}" in ended.stdout) is not pushes
        assert bool(real.get("/api/v1/metrics")) is pushes


def test_the_last_run_and_an_older_one(gateway: Callable[..., Program], runs: Path):
    real = gateway()
    env = {"PROM_PUSHGATEWAY_URL": real.url}
    ended = inv("metrics.push", "--runs", str(runs), **env)
    assert ended.returncode == 0, ended.stderr
    assert "pushed 4 checks of 20260102" in ended.stdout
    assert 'quantization="w8a8"' in published(real)
    again = inv("metrics.push", "20260101-000000-local-abcd", "--runs", str(runs), **env)
    assert again.returncode == 0, again.stderr
    # The later night failed: its figures stay, and the last success is that of the older one.
    assert {each["labels"]["job"] for each in real.get("/api/v1/metrics")} == {
        "lamplighter",
        "lamplighter_last_success",
    }
    failed = [line for line in published(real).splitlines() if "lamplighter_night_outcome" in line]
    assert any('outcome="fail"' in line and line.endswith("} 1") for line in failed)


def test_a_gateway_that_is_down(runs: Path):
    ended = inv("metrics.push", "--runs", str(runs), PROM_PUSHGATEWAY_URL=DOWN)
    assert ended.returncode == 3
    assert f"not pushed to {DOWN} (3 tries): no connection: Connection refused" in ended.stderr
    again = f"inv metrics.push --run 20260102-000000-local-abcd --runs {runs}`"
    assert again in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("words", "env", "message"),
    [
        (("--csv", "missing.csv", "--run-type", "daily"), {}, "missing.csv: cannot be read"),
        (("--csv", "x.csv", "--run", "y"), {}, "give one of them"),
        (("--label", "a=b"), {}, "--label is for --csv"),
        (("--run", "nothing"), {}, "no run 'nothing'"),
        ((), {"PROM_PUSHGATEWAY_URL": "ftp://x"}, "PROM_PUSHGATEWAY_URL is not the URL"),
        (("--gateway-url", f"http://me:{SECRET}@gw"), {}, "command lines are public"),
    ],
)
def test_mistakes(runs: Path, words: tuple[str, ...], env: dict[str, str], message: str):
    ended = inv("metrics.push", "--runs", str(runs), *words, **env)
    assert ended.returncode == 2
    assert message in ended.stderr
    assert SECRET not in ended.stderr + ended.stdout
    assert "Traceback" not in ended.stderr


def test_a_dry_run_shows_what_would_be_pushed(runs: Path):
    ended = inv("metrics.push", "--runs", str(runs), "--dry-run", "--run-type", "daily")
    assert ended.returncode == 0
    assert 'lamplighter_night_outcome{case="local"' in ended.stdout
    text = "".join(
        line for line in ended.stdout.splitlines(keepends=True) if line[:10] != "# dry run:"
    )
    argv = [find("promtool"), "check", "metrics"]
    assert subprocess.run(argv, input=text, text=True, check=False).returncode == 0


def test_text_files(runs: Path, tmp_path: Path):
    folder = tmp_path / "textfiles"
    folder.mkdir()
    ended = inv("metrics.textfile", "--runs", str(runs), "--directory", str(folder))
    assert ended.returncode == 0, ended.stderr
    assert f"wrote 4 checks of 20260102-000000-local-abcd to {folder}" in ended.stdout
    assert len([*folder.iterdir()]) == 1
    missing = inv("metrics.textfile", "--runs", str(runs), "--directory", str(tmp_path / "no"))
    assert missing.returncode == 2
    assert "is not a folder; make it" in missing.stderr
    unsaid = inv("metrics.textfile", "--runs", str(runs))
    assert (unsaid.returncode, "--directory is missing" in unsaid.stderr) == (2, True)
    refused = inv(
        "metrics.textfile", "--runs", str(runs), "--run-type", "pr", "--directory", str(folder)
    )
    assert (refused.returncode, "the run type is pr" in refused.stdout) == (0, True)
