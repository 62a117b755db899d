"""The README's first command: a whole night on this machine."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import junitparser
import pytest

from ci.record.again import judged_again
from ci.record.stored import read_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from night import Night


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary folder that is the night's alone; short, since vLLM makes sockets in it."""
    with tempfile.TemporaryDirectory(prefix="night-") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        yield Path(folder)


def test_the_local_night_passes_with_figures_of_both_kinds(
    start: Callable[[Path], Night], temporary: Path
):
    night = start(Path("local.yaml"))
    assert night.finish() == 0
    assert list(temporary.iterdir()) == []
    checks = {check["name"]: check for check in night.record["checks"]}
    assert checks["acc"]["value"] > 0
    assert checks["perf"]["value"] > 0
    # Machines differ in speed, so nothing is asked of it; other processes may have used this one.
    assert checks["perf"]["baseline"] is None
    assert checks["perf"]["reason"].startswith("no baseline yet")
    items = (night.folder / "evaluate/acc/items.jsonl").read_text().splitlines()
    assert len(items) == 40
    assert any(json.loads(line)["correct"] for line in items)
    assert all(json.loads(line)["latency_ms"] for line in items)
    stored = read_run(night.folder)
    assert all(each.settings.tool_version for each in stored.run.evaluations)
    assert judged_again(stored).checks == stored.run.checks
    assert "inv nightly --config local.yaml" in night.report
    suite = junitparser.JUnitXml.fromfile(str(night.folder / "junit.xml"))
    assert (suite.tests, suite.failures, suite.errors) == (4, 0, 0)
