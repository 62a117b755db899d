"""Whole nights with a host that lies in what it sends: nothing here is touched, and none passes.

The host is this machine, with a Python of the test's own; and a `vllm` that leaves what
`vllm bench serve` of vLLM 0.32.0 left in a run that went well.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest
from captured_bench import CAPTURED, MEASURED

from ci.record.again import judged_again, results_of
from ci.record.stored import read_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from night import Night

LYING = {**MEASURED, "baseline": 0.001, "threshold": 0.5}
# Leaves the captured result in the folder after --result-dir.
VLLM = """\
#!{python}
import pathlib, shutil, sys
folder = pathlib.Path(sys.argv[sys.argv.index("--result-dir") + 1])
folder.mkdir(parents=True)
shutil.copy({captured!r}, folder / "result.json")
"""
# In the place of Python on the host: the agent that it is sent, with another word for some files.
LIAR = """\
#!{python} -ISB
import sys
words, mark = sys.argv[-2:]
sys.argv = ["-c", mark]
code = bytes.fromhex(words.split('"')[1]).decode()
start = "from ci.remote.loop.agent import main"
exec(code.replace(start, {lie!r} + start))
"""
WORK_LIE = """\
import json, zlib
from ci.remote.requests import folders
honest = folders.list_files
def list_files(folder, most):
    count, packed = honest(folder, most)
    listed = json.loads(zlib.decompress(packed))
    for key, more in {more!r}.items():
        listed[key] += more
    return count, zlib.compress(json.dumps(listed).encode())
folders.list_files = list_files
"""
LOG_LIE = """\
import zlib
from ci.remote.requests import folders
honest = folders.read
def read(path, offset=0, limit=0, tail=None):
    size, packed = honest(path, offset, limit, tail)
    lied = path.endswith("/log") and limit > 0 and tail is None
    return size, zlib.compress(bytes(limit + 1)) if lied else packed
folders.read = read
"""
# `inv`, to which this machine is reached through another Python.
INV = """\
from invoke.main import program
from ci.connect.connection import LocalConnection
made = LocalConnection.__init__
def init(self, *names):
    made(self, *names)
    self.python = {python!r}
LocalConnection.__init__ = init
program.run()
"""


@pytest.fixture
def play(begin: Callable[..., Night], tmp_path: Path) -> Iterator[Callable[..., Night]]:
    """Run a night with an agent that lies like this."""
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    (tmp_path / "victim").write_text("mine")

    def program(name: str, text: str) -> None:
        (bin_ / name).write_text(text)
        (bin_ / name).chmod(0o755)

    def run(lie: str = "") -> Night:
        python = sys.executable
        program("vllm", VLLM.format(python=python, captured=str(CAPTURED)))
        program("liar", LIAR.format(python=python, lie=lie))
        night = begin(
            keys={"benchmarks": {"perf": LYING}},
            invoke=(python, "-c", INV.format(python=str(bin_ / "liar"))),
            PATH=f"{bin_}:{os.environ['PATH']}",
        )
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
    more = [("out/link", "a symbolic link"), ("\x1b[2Jpipe", "a FIFO")]
    night = play(WORK_LIE.format(more={"left_out": more}))
    assert night.code == 0
    assert "not copied: out/link (a symbolic link), \\x1b[2Jpipe (a FIFO)" in night.output
    assert "\x1b[2J" not in night.output
    assert night.record["outcome"] == "pass"


LIES = {
    "a name that leads out": {"files": [("../../../../lied", 4)]},
    "a file below a link": {"files": [("up/lied", 4)], "left_out": [("up", "a symbolic link")]},
    "another file of a name": {"files": [("out/result.json", 4)]},
    "a size below zero": {"files": [("lied", -1)]},
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_after_good_figures_makes_them_unknown(play, workspace: Path, lie: str):
    night = play(WORK_LIE.format(more=LIES[lie]))
    assert (night.code, night.record["outcome"]) == (3, "unknown")
    (check,) = [check for check in night.record["checks"] if check["name"] == "perf"]
    assert check["outcome"] == "unknown"
    assert "localhost: cannot copy" in check["reason"]
    assert "sent what no agent sends" in check["reason"]
    assert "it stays there: `inv down --run" in check["reason"]
    assert "no file out" not in check["reason"]  # the tool wrote it: it was not fetched
    assert "localhost: cannot copy" in night.report
    assert [*workspace.glob(f".lamplighter/*/{night.folder.name}/inputs")]
    assert "Traceback" not in night.output


def test_a_lie_about_the_logs_makes_the_night_unknown(play):
    night = play(LOG_LIE)
    assert (night.code, night.record["outcome"]) == (3, "unknown")
    assert night.record["cause"]["kind"] == "FilesRefused"
    assert night.cause.startswith("localhost: cannot copy")
    assert "Traceback" not in night.output
