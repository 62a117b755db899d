"""Whole nights with a host that lies in what it sends: nothing here is touched, and none passes.

The host is this machine, with a `tar` of the test's own on its PATH; and a `vllm` that leaves what
`vllm bench serve` of vLLM 0.32.0 left in a run that went well.
"""

from __future__ import annotations

import base64
import os
import sys
from typing import TYPE_CHECKING

import hostile_archives as hostile
import pytest
from night import PROJECT

from ci.record.again import judged_again, results_of
from ci.record.stored import read_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from night import Night

CAPTURED = (
    PROJECT / "tests" / "unit" / "captured" / "vllm_bench_performance" / "out" / "result.json"
)
MEASURED = {
    "case_type": "performance",
    "tool": "vllm_bench",
    "dataset_path": "lamplighter/arithmetic",
    "num_prompts": 4,
    "max_out_len": 6,
    "batch_size": 4,
    "baseline": 0.001,
    "threshold": 0.5,
}
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
def play(begin: Callable[..., Night], tmp_path: Path) -> Iterator[Callable[..., Night]]:
    """Run a night with these members in the archives that the host sends."""
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    (tmp_path / "victim").write_text("mine")

    def program(name: str, text: str) -> None:
        (bin_ / name).write_text(text)
        (bin_ / name).chmod(0o755)

    def run(more: bytes = b"", *, in_work: bool = False) -> Night:
        python = sys.executable
        program("vllm", VLLM.format(python=python, captured=str(CAPTURED)))
        if more:
            sent = base64.b64encode(more).decode()
            program("tar", TAR.format(python=python, more=sent, in_work=in_work))
        keys = {"benchmarks": {"perf": MEASURED}}
        night = begin(keys=keys, PATH=f"{bin_}:{os.environ['PATH']}")
        night.finish()
        return night

    yield run
    assert (tmp_path / "victim").read_text() == "mine"
    assert not list(tmp_path.rglob("lied"))


def test_an_honest_host_passes(play):
    night = play()
    assert (night.code, night.record["outcome"]) == (0, "pass")


def test_what_was_measured_is_on_record_with_its_settings_and_can_be_judged_again(play):
    stored = read_run(play().folder)
    (evaluation,) = stored.run.evaluations
    assert evaluation.started_at < evaluation.ended_at
    assert evaluation.started_at.endswith("Z")
    assert "--ignore-eos" in evaluation.settings.argv
    assert evaluation.settings.sampling == {"seed": 0, "ignore_eos": True}
    (result,) = results_of(stored).values()
    assert len(result.items) == evaluation.n_items == evaluation.settings.num_prompts
    assert all(item.latency_ms for item in result.items)
    assert judged_again(stored).checks == stored.run.checks


def test_links_and_odd_names_are_left_out_and_noted(play):
    links = hostile.symlink(b"./out/link", b"/etc/passwd") + hostile.header(b"./\x1b[2Jpipe", b"6")
    night = play(links, in_work=True)
    assert night.code == 0
    assert "not copied: ./out/link (a symbolic link), ./\\x1b[2Jpipe (a FIFO)" in night.output
    assert "\x1b[2J" not in night.output
    assert night.record["outcome"] == "pass"


LIES = {
    "a name that leads out": hostile.file(b"../../../../lied"),
    "a file through a link": hostile.symlink(b"up", b"../../../..") + hostile.file(b"up/lied"),
    "another file of a name": hostile.file(b"./out/result.json")
    + hostile.file(b"./out/result.json"),
    "a wrong checksum": hostile.header(b"lied", checksum=0),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_after_good_figures_makes_them_unknown(play, lie: str):
    night = play(LIES[lie], in_work=True)
    assert (night.code, night.record["outcome"]) == (3, "unknown")
    (check,) = [check for check in night.record["checks"] if check["name"] == "perf"]
    assert check["outcome"] == "unknown"
    assert "localhost: cannot copy" in check["reason"]
    assert "sent an archive that no `tar` writes" in check["reason"]
    assert "Traceback" not in night.output


@pytest.mark.parametrize("lie", ["a name that leads out", "a file through a link"])
def test_a_lie_among_the_logs_makes_the_night_unknown(play, lie: str):
    night = play(LIES[lie])
    assert (night.code, night.record["outcome"]) == (3, "unknown")
    assert night.record["cause"]["kind"] == "ArchiveRefused"
    assert night.cause.startswith("localhost: cannot copy")
    assert "Traceback" not in night.output
