"""`inv bisect` over stand-ins for versions of vLLM, revisions of a case and environments."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from answered import STAND_IN
from captured_bench import MEASURED
from hosts_here import until
from night import INVOKE, PROJECT, inv
from version_stand_ins import Versions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from subprocess import CompletedProcess

NAMES = ("0.11.0", "0.27.1", "0.29.0", "0.30.0", "0.32.0")
GOOD = (1000.0, 1004.0, 997.0, 1001.0, 1002.0, 999.0)
BAD = (951.0, 948.0, 953.0, 949.0, 950.0, 952.0)

Bisect = "Callable[..., CompletedProcess[str]]"


@pytest.fixture
def versions(workspace: Path, tmp_path: Path) -> Versions:
    return Versions(workspace, tmp_path, *NAMES)


@pytest.fixture
def case(tmp_path: Path, free_port: int) -> Path:
    command = f"python3 {STAND_IN} --served-model-name light --host 127.0.0.1"
    path = tmp_path / "case.yaml"
    written = {
        "test_name": "versions",
        "model": "light",
        "num_nodes": 1,
        "npu_per_node": 0,
        # Other tests run beside this one.
        "telemetry": "off",
        "env_common": {"SERVER_PORT": free_port},
        "deployment": [{"server_cmd": f"{command} --port $SERVER_PORT"}],
        "benchmarks": {"perf": MEASURED},
    }
    path.write_text(json.dumps(written), "utf-8")
    return path


@pytest.fixture
def bisect(case: Path, workspace: Path, tmp_path: Path) -> Callable[..., CompletedProcess[str]]:
    def run(*flags: str) -> CompletedProcess[str]:
        here = ("--local", "--device", "cpu", "--workspace", str(workspace), "--skip-doctor")
        done = inv(
            "bisect", "--config", str(case), "--runs", str(tmp_path / "runs"), *here, *flags,
            CI="true",
        )  # fmt: skip
        print(done.stdout, done.stderr)
        return done

    return run


def state(tmp_path: Path) -> dict[str, Any]:
    (path,) = (tmp_path / "runs").glob("*/bisect.json")
    loaded: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return loaded


def test_the_first_bad_version_is_found(
    bisect: Callable[..., CompletedProcess[str]], versions: Versions, tmp_path: Path
):
    for name in NAMES[:3]:
        versions.measures(name, *GOOD)
    for name in NAMES[3:]:
        versions.measures(name, *BAD)
    done = bisect("--good", "0.11.0", "--bad", "0.32.0")
    assert done.returncode == 0
    assert "ANSWER first bad: 0.30.0, with 9" in done.stdout
    assert "0.29.0 is still good" in done.stdout
    assert state(tmp_path)["answer"].startswith("first bad: 0.30.0")


def test_nights_of_the_history_are_reused_and_what_cannot_start_is_skipped(
    bisect: Callable[..., CompletedProcess[str]], versions: Versions, case: Path, tmp_path: Path
):
    for name in NAMES:
        versions.measures(name, *(GOOD if name < "0.29.0" else BAD))
    (versions.bin("0.29.0") / "python3").write_text("#!/bin/sh\necho broken >&2\nexit 1\n")
    workspace = versions.bin("0.32.0").parents[2]
    here = ("--local", "--device", "cpu", "--workspace", str(workspace), "--skip-doctor")
    for name in ("0.27.1", "0.27.1", "0.30.0", "0.32.0"):
        flags = ("--config", str(case), "--runs", str(tmp_path / "runs"), "--vllm", name)
        assert inv("nightly", *flags, *here, CI="true").returncode == 0
    done = bisect("--good", "0.11.0", "--bad", "0.32.0")
    assert done.returncode == 0
    assert "ANSWER first bad: one of 0.29.0, 0.30.0, with 9" in done.stdout
    nights = state(tmp_path)["nights"]
    assert sorted(each["point"] for each in nights if each["reused"]) == [
        "0.27.1", "0.27.1", "0.30.0", "0.32.0",
    ]  # fmt: skip
    # A night of one version tells for all that nothing else differs.
    assert all(each["reused"] for each in nights if each["point"] == "0.27.1")
    assert "0.29.0" in state(tmp_path)["skipped"]
    records = [json.loads(path.read_text()) for path in (tmp_path / "runs").glob("*/run.json")]
    own = [each for each in records if each["purpose"] == "bisect"]
    assert {each["night"] for each in own} == {state(tmp_path)["id"]}
    # They are no nights of the history.
    listed = inv("history", "versions", "--runs", str(tmp_path / "runs"), "--json")
    assert all(each["id"] not in listed.stdout for each in own)
    assert "bisect" not in listed.stderr


def test_revisions_of_a_case(
    bisect: Callable[..., CompletedProcess[str]], versions: Versions, case: Path, tmp_path: Path
):
    # The stand-in is slower with fewer concurrent requests, as a server is.
    versions.measures("0.32.0", *GOOD)
    program = versions.bin("0.32.0") / "vllm"
    slow = 'first *= 1 if sys.argv[sys.argv.index("--max-concurrency") + 1] == "4" else 0.95\n'
    program.write_text(program.read_text().replace("tokens, prompts =", f"{slow}tokens, prompts ="))
    git(case.parent, "init", "-q")
    content = json.loads(case.read_text()) | {"vllm": "0.32.0"}
    commits = []
    for step in range(5):
        content["ready_timeout_s"] = 600 + step
        content["benchmarks"]["perf"]["batch_size"] = 4 if step < 3 else 2
        case.write_text(json.dumps(content) if step != 1 else "test_name: 1\n")
        commits.append(commit(case, f"step {step}"))
    (case.parent / "other").write_text("x")
    git(case.parent, "add", "other")
    git(case.parent, "commit", "-q", "-m", "another file")

    ends = ("--axis", "case", "--good", commits[0], "--bad", "HEAD")
    planned = bisect(*ends, "--dry-run")
    assert planned.returncode == 0
    assert "points 5 on axis case" in planned.stdout
    assert not (tmp_path / "runs").exists()

    done = bisect(*ends)
    assert done.returncode == 0
    assert f"ANSWER first bad: {commits[3][:12]} (step 3), with 9" in done.stdout
    assert "case.yaml" in state(tmp_path)["skipped"][commits[1][:12]]
    assert f"git show {commits[3][:12]}" in done.stdout


def test_a_search_that_was_stopped_goes_on(
    bisect: Callable[..., CompletedProcess[str]], versions: Versions, case: Path, tmp_path: Path
):
    for name in NAMES:
        versions.measures(name, *(GOOD if name < "0.29.0" else BAD))
    stopped = bisect("--good", "0.27.1", "--bad", "0.32.0", "--max-nights", "3", "--no-reuse")
    assert stopped.returncode == 3
    assert "ANSWER not verified: 0.32.0 is worse than 0.27.1 only with" in stopped.stdout
    assert "--max-nights 6" in stopped.stdout
    id_ = state(tmp_path)["id"]
    runs = ("--runs", str(tmp_path / "runs"))
    done = inv("bisect", "--resume", id_, "--max-nights", "40", *runs, CI="true")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "with 3 nights" in done.stdout
    assert "ANSWER first bad: 0.29.0" in done.stdout
    again = inv("bisect", "--resume", str(tmp_path / "runs" / id_), CI="true")
    assert again.returncode == 0
    assert len(state(tmp_path)["nights"]) == done.stdout.count("note   night ") + 3


def test_a_search_whose_controller_was_killed_goes_on(
    versions: Versions, case: Path, workspace: Path, tmp_path: Path
):
    for name in NAMES:
        versions.measures(name, *(GOOD if name < "0.29.0" else BAD))
    here = ("--local", "--device", "cpu", "--workspace", str(workspace), "--skip-doctor")
    runs = ("--runs", str(tmp_path / "runs"))
    ends = ("--good", "0.27.1", "--bad", "0.32.0")
    command = (*INVOKE, "bisect", "--config", str(case), *ends, *runs, *here)
    with (tmp_path / "output").open("w") as output:
        controller = subprocess.Popen(
            command, cwd=PROJECT, env={**os.environ, "CI": "true"}, stdout=output
        )
    try:
        # It is in its third night; the search has a folder as well.
        until(lambda: len(list((tmp_path / "runs").glob("*-case-*"))) > 3)
    finally:
        controller.kill()
        controller.wait()
    kept = state(tmp_path)["nights"]
    assert len(kept) == 2
    done = inv("bisect", "--resume", state(tmp_path)["id"], *runs, CI="true")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ANSWER first bad: 0.29.0" in done.stdout
    assert state(tmp_path)["nights"][:2] == kept


def test_environments_of_a_file_and_ends_that_are_the_other_way_round(
    bisect: Callable[..., CompletedProcess[str]], versions: Versions, tmp_path: Path
):
    for name in NAMES[:3]:
        versions.measures(name, *GOOD)
    versions.measures("0.30.0", *BAD)
    points = []
    for name in NAMES[:4]:
        folder = versions.bin(name)
        # As the script of a virtual environment does.
        (folder / "activate").write_text(f'PATH="{folder}:$PATH"\nexport PATH\n')
        points.append({"name": f"image {name}", "venv": str(folder.parent)})
    path = tmp_path / "points.yaml"
    path.write_text(json.dumps({"points": points}))
    done = bisect("--points", str(path))
    assert done.returncode == 0
    assert "ANSWER first bad: image 0.30.0" in done.stdout
    turned = bisect("--good", "0.30.0", "--bad", "0.11.0", "--no-reuse")
    assert turned.returncode == 2
    assert "the ends are the other way round" in turned.stdout
    assert "swap --good 0.11.0 and --bad 0.30.0" in turned.stdout


def test_the_first_version_whose_servers_do_not_start(
    bisect: Callable[..., CompletedProcess[str]], versions: Versions
):
    for name in NAMES[3:]:
        (versions.bin(name) / "python3").write_text("#!/bin/sh\necho broken >&2\nexit 1\n")
    done = bisect("--good", "0.27.1", "--bad", "0.32.0", "--check", "start")
    assert done.returncode == 0
    assert "ANSWER first bad: 0.30.0" in done.stdout


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def commit(path: Path, subject: str) -> str:
    git(path.parent, "add", path.name)
    git(path.parent, "commit", "-q", "-m", subject)
    return git(path.parent, "rev-parse", "HEAD")
