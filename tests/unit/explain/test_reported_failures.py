"""Real lines of public reports: each is named rightly, and none wrongly."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ci.explain.classify import classify

FOLDER = Path(__file__).parent / "failures"
REPORTS = yaml.safe_load((FOLDER / "table.yaml").read_text())


@pytest.mark.parametrize("name", REPORTS)
def test_a_reported_failure_has_its_cause(name: str):
    reason = classify((FOLDER / f"{name}.log").read_text(), 1, None)
    assert reason.kind == REPORTS[name]["class"], reason.message
    assert reason.kind == "unknown" or (reason.side and reason.next)


def test_every_log_is_in_the_table_and_names_its_source():
    assert {path.stem for path in FOLDER.glob("*.log")} == set(REPORTS)
    assert all(row["source"].startswith("https://") for row in REPORTS.values())
