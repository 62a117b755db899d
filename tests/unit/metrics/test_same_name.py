"""Two case files of one name replace each other's metrics: a note says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from stored_runs import run_of, stored

from ci.history.database import opened
from ci.history.folders import refresh
from ci.metrics.publish import publish_night
from ci.metrics.same_name import other_file

if TYPE_CHECKING:
    from pathlib import Path

    from ci.record.model import Run


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """The nights of two evenings: of a file, of another of its name, and of one that is gone."""
    folder = tmp_path / "runs"
    for name in ("a/c.yaml", "b/c.yaml", "d.yaml"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
    (tmp_path / "link.yaml").symlink_to("a/c.yaml")
    for night, config in enumerate(("link.yaml", "a/c.yaml", "gone.yaml")):
        stored(folder, nightly(tmp_path, night, config))
    with opened(folder) as connection:
        refresh(folder, connection, pytest.fail)
    return folder


def nightly(folder: Path, night: int, config: str, **changes: str) -> Run:
    return run_of(night, folder=str(folder), config=config, run_type="daily", **changes)


@pytest.mark.parametrize(
    ("night", "config", "changes", "expected"),
    [
        (2, "b/c.yaml", {"run_id": "now"}, "a/c.yaml"),
        # The same file: by its path, and by a link.
        (2, "a/c.yaml", {"run_id": "now"}, ""),
        (2, "link.yaml", {"run_id": "now"}, ""),
        # Long after the last night of the other file.
        (6, "b/c.yaml", {}, ""),
        (2, "b/c.yaml", {"run_id": "now", "case": "other"}, ""),
    ],
)
def test_another_file_of_the_name(runs: Path, night: int, config: str, changes, expected: str):
    assert other_file(runs, nightly(runs.parent, night, config, **changes)) == expected


def test_a_note_tells_what_to_do(runs: Path, tmp_path: Path):
    files = tmp_path / "files"
    files.mkdir()
    run = nightly(tmp_path, 2, "b/c.yaml", run_id="now")
    notes: list[str] = []
    publish_night(runs / run.id, run, {"PROM_TEXTFILE_DIR": str(files)}, notes.append)
    published, told = notes
    assert "wrote 1 check" in published
    assert told == (
        "metrics: the nights of a/c.yaml have the name local, too, and replace these metrics; "
        "rename one of the files"
    )


def test_without_a_history_nothing_is_known(tmp_path: Path):
    assert other_file(tmp_path, nightly(tmp_path, 0, "b/c.yaml")) == ""
