"""How long each benchmark of a case took in the nights before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from stored_runs import evaluation, run_of, stored

from ci.history.database import opened
from ci.history.durations import past_durations
from ci.history.folders import refresh

if TYPE_CHECKING:
    from pathlib import Path


def test_the_median_of_each_benchmark(tmp_path: Path):
    took_s = []
    for night in range(3):
        entry = evaluation(night)
        begin, end = (f"2026-01-0{night + 1}T00:0{at}:00.000Z" for at in (0, night + 1))
        took_s.append(60.0 * (night + 1))
        stored(tmp_path, run_of(night, entry | {"started_at": begin, "ended_at": end}))
    with opened(tmp_path) as connection:
        refresh(tmp_path, connection, pytest.fail)
    name = run_of(0, evaluation(0)).case
    assert past_durations(tmp_path, name) == {"acc": sorted(took_s)[1]}
    assert past_durations(tmp_path, "another case") == {}


def test_without_a_history_nothing_is_known_and_nothing_is_made(tmp_path: Path):
    assert past_durations(tmp_path, "local") == {}
    assert list(tmp_path.iterdir()) == []
