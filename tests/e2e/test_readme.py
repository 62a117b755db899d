"""The README's first command: a whole night on this machine."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import junitparser

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable


def litter() -> set[Path]:
    """What vLLM leaves in the temporary folder: its stores, and sockets named by a UUID."""
    folder = Path(tempfile.gettempdir())
    return {path for path in folder.iterdir() if path.is_socket()} | {*folder.glob("vllm_*")}


def test_the_local_night_passes_with_figures_of_both_kinds(
    start: Callable[[Path], subprocess.Popen[str]], finish: Callable[..., object]
):
    before = litter()
    ended = finish(start(Path("local.yaml")))
    assert ended.code == 0
    assert litter() <= before
    checks = {check["name"]: check for check in ended.record["checks"]}
    assert checks["acc"]["value"] > 0
    assert checks["perf"]["value"] > 0
    # Machines differ in speed, so nothing is asked of it.
    assert (checks["perf"]["baseline"], checks["perf"]["reason"]) == (None, "no baseline yet")
    items = (ended.folder / "evaluate/acc/items.jsonl").read_text().splitlines()
    assert len(items) == 40
    assert any(json.loads(line)["correct"] for line in items)
    report = (ended.folder / "report.md").read_text()
    assert "inv nightly --config local.yaml" in report
    suite = junitparser.JUnitXml.fromfile(str(ended.folder / "junit.xml"))
    assert (suite.tests, suite.failures, suite.errors) == (4, 0, 0)
