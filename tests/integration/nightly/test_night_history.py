"""A night adds itself to the history, and stands whatever becomes of that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from night import light_case, runs_in

from ci.history.database import FILE, opened
from ci.history.listing import nights

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from night import Night


@pytest.fixture
def play(
    start_night: Callable[..., Night], workspace: Path, free_port: int
) -> Callable[..., Night]:
    """Run a night on this machine to its end."""

    def run(manner: str = "good", runs: Path | None = None) -> Night:
        case = light_case(manner, port=free_port)
        night = start_night(case, "--local", "--workspace", str(workspace), runs=runs)
        night.finish()
        return night

    return run


@pytest.mark.parametrize(("manner", "outcome"), [("good", "pass"), ("crash", "unknown")])
def test_every_night_is_in_the_history(play: Callable[..., Night], manner: str, outcome: str):
    night = play(manner)
    with opened(night.runs) as connection:
        (listed,) = nights(connection)
    assert (listed.run, listed.outcome) == (night.folder.name, outcome)
    assert bool(listed.cause) == (outcome == "unknown")


def test_a_history_that_cannot_be_written_is_a_note(play: Callable[..., Night], tmp_path: Path):
    runs = tmp_path / "runs"
    runs.mkdir()
    (runs / FILE).write_text("not a database" * 100)
    night = play(runs=runs)
    assert (night.code, night.record["outcome"]) == (0, "pass")
    assert "`inv history.rebuild` makes it again" in night.output
    (folder,) = runs_in(runs)
    assert f"this run is not in {runs / FILE}" in (folder / "journal.jsonl").read_text("utf-8")


def test_a_night_that_is_no_pass_says_what_changed_since_the_last_good_one(
    play: Callable[..., Night], tmp_path: Path
):
    runs = tmp_path / "runs"
    good = play(runs=runs)
    before = good.folder.name
    assert good.record["since_good"] is None
    bad = play("crash", runs)
    since = bad.record["since_good"]
    assert (bad.record["outcome"], since["run"]) == ("unknown", before)
    # The manner of the server is a word of its command line.
    flags = next(each["text"] for each in since["shown"] if each["variable"] == "flags")
    assert "good" in flags
    assert "crash" in flags
    for text in (bad.output, bad.report, (bad.folder / "junit.xml").read_text("utf-8")):
        assert f"since {before}, the last good night" in text
        assert f"--pair {before},{bad.folder.name}" in text


def test_a_history_that_cannot_be_read_does_not_harm_a_night_that_is_no_pass(
    play: Callable[..., Night], tmp_path: Path
):
    runs = tmp_path / "runs"
    runs.mkdir()
    (runs / FILE).write_text("not a database" * 100)
    night = play("crash", runs)
    assert (night.code, night.record["since_good"]) == (3, None)
    assert "not compared with the last good night: " in night.output
