"""The README's first command: a whole night on this machine."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import junitparser
import pytest
import yaml

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

CASE = Path(__file__).parents[2] / "configs" / "cases" / "local.yaml"


@pytest.fixture
def config(vllm: str, tmp_path: Path) -> Path:
    """The README's case; its throughput is that of its own vLLM, any other only has to have one."""
    text = CASE.read_text("utf-8")
    if yaml.safe_load(text)["vllm"] == vllm:
        return Path(CASE.name)
    changed, count = re.subn(r"(\n  perf:.*?\n    baseline:) \d+", r"\1 1", text, flags=re.DOTALL)
    assert count == 1
    (tmp_path / CASE.name).write_text(changed)
    return tmp_path / CASE.name


def litter() -> set[Path]:
    """What vLLM leaves in the temporary folder: its stores, and sockets named by a UUID."""
    folder = Path(tempfile.gettempdir())
    return {path for path in folder.iterdir() if path.is_socket()} | {*folder.glob("vllm_*")}


def test_the_local_night_passes_with_figures_of_both_kinds(
    config: Path, start: Callable[[Path], subprocess.Popen[str]], finish: Callable[..., object]
):
    before = litter()
    ended = finish(start(config))
    assert ended.code == 0
    assert litter() <= before
    checks = {check["name"]: check for check in ended.record["checks"]}
    assert checks["acc"]["value"] > 0
    assert checks["perf"]["value"] > 0
    items = (ended.folder / "evaluate/acc/items.jsonl").read_text().splitlines()
    assert len(items) == 40
    assert any(json.loads(line)["correct"] for line in items)
    report = (ended.folder / "report.md").read_text()
    assert f"inv nightly --config {config}" in report
    suite = junitparser.JUnitXml.fromfile(str(ended.folder / "junit.xml"))
    assert (suite.tests, suite.failures, suite.errors) == (4, 0, 0)
