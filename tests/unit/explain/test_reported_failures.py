"""Real lines of public reports: each is named rightly, and none wrongly."""

from __future__ import annotations

from collections import Counter
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
    assert REPORTS[name].get("line", "") in reason.line


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in REPORTS
        if REPORTS[name]["part"] in ("held_out_7", "held_out_9", "held_out_14")
    ],
)
@pytest.mark.parametrize("healthy", ["fallbacks", "handled_tracebacks", "warnings", "nccl_info"])
def test_what_works_before_a_failure_changes_nothing(name: str, healthy: str):
    before = (FOLDER.parent / "healthy" / f"{healthy}.log").read_text()
    reason = classify(before + (FOLDER / f"{name}.log").read_text(), 1, None)
    assert reason.kind == REPORTS[name]["class"], reason.message


def test_every_log_is_in_the_table_and_names_its_source():
    assert {path.stem for path in FOLDER.glob("*.log")} == set(REPORTS)
    assert all(row["source"].startswith("https://") for row in REPORTS.values())


def count(part: str) -> Counter[str]:
    """Count what the rules of today make of the logs of a part."""
    counts: Counter[str] = Counter()
    for name, row in REPORTS.items():
        if row["part"] == part:
            reason = classify((FOLDER / f"{name}.log").read_text(), 1, None)
            quoted = "quoted" if row.get("line", "") in reason.line else "missed"
            wrong = quoted if reason.kind == "unknown" else "wrong"
            counts["right" if reason.kind == row["class"] else wrong] += 1
    return counts


if __name__ == "__main__":
    for part in dict.fromkeys(row["part"] for row in REPORTS.values()):
        print(part, dict(count(part)))
