"""Test what `inv issue` says beside the text of the issue."""

from __future__ import annotations

import pytest
from stored_runs import run_of, stored

from ci.commands.report import issue


@pytest.mark.parametrize(
    ("outcome", "note"),
    [
        ("pass", "passed, so that nothing needs an issue; `inv runs --outcome fail` lists those"),
        ("running", "still runs: what follows is not its end; see `inv status`"),
        ("fail", ""),
        ("unknown", ""),
    ],
)
def test_a_run_that_needs_no_issue_is_noted(tmp_path, capsys, outcome, note):
    run = run_of(0, outcome=outcome)
    stored(tmp_path, run)
    text = issue(str(tmp_path), run.id)
    printed = capsys.readouterr()
    assert text.startswith("# local: ")
    assert printed.out == ""
    assert printed.err.startswith(f"note   {run.id} {note}" if note else "")
    assert bool(printed.err) == bool(note)
