"""Two fresh lab hosts for each fault, and the table of what came of all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from night import PROJECT
from stage import Stage

from ci.paths import workspace_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from night import Night

    from ci.lab.model import Lab

ROW = "fault"  # a property of its test: it travels from parallel workers, too
ROWS: list[tuple[str, ...]] = []
HEADINGS = ("fault", "exit", "outcome", "seconds", "root cause in the report")
MOST = 110


@pytest.fixture(scope="session")
def two_hosts(as_root: None, labs: Callable[..., Lab]) -> Lab:
    return labs(2, workspace=workspace_of(""), shown=[PROJECT])


@pytest.fixture
def stage(
    two_hosts: Lab,
    tmp_path: Path,
    start_night: Callable[..., Night],
    note_in_table: Callable[[Stage], None],
) -> Iterator[Stage]:
    stage = Stage(two_hosts, tmp_path, start_night)
    yield stage
    for night in stage.nights:  # those of a test that failed; their hosts are made new
        night.process.kill()
        night.process.wait()
    if stage.in_table:
        note_in_table(stage)
    stage.repair()


@pytest.fixture
def note_in_table(request: pytest.FixtureRequest) -> Callable[[Stage], None]:
    """Add a row to the table: the outcome of the night it is about, under the test's own name."""
    name = request.node.name.removeprefix("test_").replace("_", " ")

    def note(stage: Stage) -> None:
        for night in [stage.subject] if stage.subject else stage.nights[-1:]:
            if next(night.runs.glob("*/run.json"), None):
                record, cause = night.record, night.cause
                seconds = f"{night.seconds:.0f}"
                row = (name, str(night.code), record["outcome"], seconds, cause[:MOST])
                request.node.user_properties.append((ROW, row))

    return note


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "teardown":
        ROWS.extend(tuple(row) for name, row in report.user_properties if name == ROW)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not ROWS:
        return
    table = [HEADINGS, *sorted(ROWS)]
    widths = [max(len(row[at]) for row in table) for at in range(len(HEADINGS) - 1)]
    terminalreporter.section(f"{len(ROWS)} faults")
    for row in table:
        padded = (cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True))
        terminalreporter.write_line("  ".join(padded).rstrip())
