"""Whole nights with a host that lies in what it sends: nothing here is touched, and none passes.

The host is this machine, with a `tar` of the test's own on its PATH; and a `vllm` that leaves what
`vllm bench serve` of vLLM 0.32.0 left in a run that went well.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hostile_archives as hostile
import pytest
from hosts_here import assert_given_back

from ci.record.again import judged_again, results_of
from ci.record.stored import read_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROJECT = Path(__file__).parents[2]
SERVER = Path(__file__).with_name("light_server.py")
CAPTURED = (
    PROJECT / "tests" / "unit" / "captured" / "vllm_bench_performance" / "out" / "result.json"
)
PATIENCE_S = 120

CASE = """\
test_name: "a night with a lying host"
model: light
num_nodes: 1
npu_per_node: 0
cluster_hosts: [localhost]
env_common: {{SERVER_PORT: {port}}}
deployment:
  - server_cmd: "{python} {server} $SERVER_PORT good --port $SERVER_PORT"
"""
MEASURED = """\
benchmarks:
  perf:
    case_type: performance
    tool: vllm_bench
    dataset_path: lamplighter/arithmetic
    num_prompts: 4
    max_out_len: 6
    batch_size: 4
    baseline: 0.001
    threshold: 0.5
"""
# Leaves the captured result in the folder after --result-dir.
VLLM = """\
#!{python}
import pathlib, shutil, sys
folder = pathlib.Path(sys.argv[sys.argv.index("--result-dir") + 1])
folder.mkdir(parents=True)
shutil.copy({captured!r}, folder / "result.json")
"""
# Sends the honest archive's members, then further ones; of the logs' folder, or of the tool's work.
TAR = """\
#!{python}
import base64, gzip, subprocess, sys
honest = subprocess.run(["/bin/tar", *sys.argv[1:]], stdout=subprocess.PIPE, check=True).stdout
if sys.argv[2].endswith("/work") == {in_work}:
    members = gzip.decompress(honest).rstrip(b"\\0")
    members += bytes(-len(members) % 512)
    honest = gzip.compress(members + base64.b64decode({more!r}) + bytes(1024))
sys.stdout.buffer.write(honest)
"""


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Callable[..., tuple[int, dict[str, Any], str]]]:
    """Run a night with these members in the archives that the host sends."""
    workspace, bin_ = tmp_path / "workspace", tmp_path / "bin"
    bin_.mkdir()
    (tmp_path / "victim").write_text("mine")

    def program(name: str, text: str) -> None:
        (bin_ / name).write_text(text)
        (bin_ / name).chmod(0o755)

    def run(more: bytes = b"", *, in_work: bool = False) -> tuple[int, dict[str, Any], str]:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        python = sys.executable
        program("vllm", VLLM.format(python=python, captured=str(CAPTURED)))
        if more:
            sent = base64.b64encode(more).decode()
            program("tar", TAR.format(python=python, more=sent, in_work=in_work))
        case = tmp_path / "case.yaml"
        case.write_text(CASE.format(python=python, server=SERVER, port=port) + MEASURED)
        argv = [python, "-m", "invoke", "nightly", "--config", str(case)]
        argv += ["--runs", str(tmp_path / "runs"), "--workspace", str(workspace)]
        env = {**os.environ, "CI": "true", "PATH": f"{bin_}:{os.environ['PATH']}"}
        ended = subprocess.run(
            argv,
            cwd=PROJECT,
            env=env,
            check=False,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE_S,
        )
        print(ended.stdout)
        (folder,) = (tmp_path / "runs").iterdir()
        return ended.returncode, json.loads((folder / "run.json").read_text()), ended.stdout

    yield run
    assert_given_back(workspace)
    assert (tmp_path / "victim").read_text() == "mine"
    assert not list(tmp_path.rglob("lied"))


def test_an_honest_host_passes(night):
    code, record, _ = night()
    assert (code, record["outcome"]) == (0, "pass")


def test_what_was_measured_is_on_record_with_its_settings_and_can_be_judged_again(night, tmp_path):
    night()
    (folder,) = (tmp_path / "runs").iterdir()
    stored = read_run(folder)
    (evaluation,) = stored.run.evaluations
    assert evaluation.started_at < evaluation.ended_at
    assert evaluation.started_at.endswith("Z")
    assert "--ignore-eos" in evaluation.settings.argv
    assert evaluation.settings.sampling == {"seed": 0, "ignore_eos": True}
    (result,) = results_of(stored).values()
    assert len(result.items) == evaluation.n_items == evaluation.settings.num_prompts
    assert all(item.latency_ms for item in result.items)
    assert judged_again(stored).checks == stored.run.checks


def test_links_and_odd_names_are_left_out_and_noted(night):
    links = hostile.symlink(b"./out/link", b"/etc/passwd") + hostile.header(b"./\x1b[2Jpipe", b"6")
    code, record, output = night(links, in_work=True)
    assert code == 0
    assert "not copied: ./out/link (a symbolic link), ./\\x1b[2Jpipe (a FIFO)" in output
    assert "\x1b[2J" not in output
    assert record["outcome"] == "pass"


LIES = {
    "a name that leads out": hostile.file(b"../../../../lied"),
    "a file through a link": hostile.symlink(b"up", b"../../../..") + hostile.file(b"up/lied"),
    "another file of a name": hostile.file(b"./out/result.json")
    + hostile.file(b"./out/result.json"),
    "a wrong checksum": hostile.header(b"lied", checksum=0),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_after_good_figures_makes_them_unknown(night, tmp_path, lie: str):
    code, record, output = night(LIES[lie], in_work=True)
    assert (code, record["outcome"]) == (3, "unknown")
    (check,) = [check for check in record["checks"] if check["name"] == "perf"]
    assert check["outcome"] == "unknown"
    assert "localhost: cannot copy" in check["reason"]
    assert "sent an archive that no `tar` writes" in check["reason"]
    assert "no file out" not in check["reason"]  # the tool wrote it: it was not fetched
    (folder,) = (tmp_path / "runs").iterdir()
    assert "localhost: cannot copy" in (folder / "report.md").read_text()
    assert "Traceback" not in output


@pytest.mark.parametrize("lie", ["a name that leads out", "a file through a link"])
def test_a_lie_among_the_logs_makes_the_night_unknown(night, lie: str):
    code, record, output = night(LIES[lie])
    assert (code, record["outcome"]) == (3, "unknown")
    assert record["cause"]["kind"] == "ArchiveRefused"
    assert record["cause"]["message"].startswith("localhost: cannot copy")
    assert "Traceback" not in output
