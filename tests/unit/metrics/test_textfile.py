from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from metric_runs import night

from ci.errors import UserError
from ci.metrics.labels import LabelValues
from ci.metrics.night import metrics_of
from ci.metrics.old import DAY_S
from ci.metrics.served import Served
from ci.metrics.textfile import Written, file_name, write_files

if TYPE_CHECKING:
    from pathlib import Path


def groups_of(*args, **changes):
    return metrics_of(night(*args, **changes), Served("m"), LabelValues()).groups


def names_in(folder: Path):
    return sorted(path.name for path in folder.iterdir())


def age(folder: Path, pattern: str, days: float):
    for path in folder.glob(pattern):
        at = path.stat().st_mtime - days * DAY_S
        os.utime(path, (at, at))


def test_a_failed_night_leaves_the_last_success(tmp_path: Path):
    assert write_files(tmp_path, groups_of(day=1), 14).deleted == 0
    (success,) = tmp_path.glob("*-success.prom")
    before = success.read_text("utf-8")
    write_files(tmp_path, groups_of("fail", day=2), 14)
    assert success.read_text("utf-8") == before
    assert len(names_in(tmp_path)) == 2
    (last,) = tmp_path.glob("*-night.prom")
    assert last.stat().st_mode & 0o444 == 0o444  # node_exporter is another user


def test_old_files_are_deleted_and_no_others(tmp_path: Path):
    for case in ("gone", "stays"):
        write_files(tmp_path, groups_of(case=case), 14)
    (tmp_path / "theirs.prom").write_text("")
    (tmp_path / "lamplighter-theirs.prom").write_text("")
    elsewhere = tmp_path.parent / "elsewhere"
    elsewhere.write_text("")
    link = tmp_path / f"lamplighter-x-{'0' * 16}-{'0' * 16}-night.prom"
    link.symlink_to(elsewhere)
    age(tmp_path, "*theirs*", 99)
    age(tmp_path, "lamplighter-gone-*", 15)
    age(tmp_path, "lamplighter-stays-*-success*", 60)
    assert write_files(tmp_path, groups_of("fail", case="new"), 14).deleted == 2
    names = names_in(tmp_path)
    assert [name for name in names if "gone" in name] == []
    assert len([name for name in names if "stays" in name]) == 2
    assert {"theirs.prom", "lamplighter-theirs.prom", link.name} < {*names}


@pytest.mark.parametrize(
    "case", ["../../etc/cron.d/x", "a b;rm -rf *", "数学", "x" * 500, "-", ".."]
)
def test_a_name_stays_in_the_folder(tmp_path: Path, case: str):
    folder = tmp_path / "inner"
    folder.mkdir()
    run = night().model_copy(update={"case": case})
    groups = metrics_of(run, Served("m"), LabelValues()).groups
    write_files(folder, groups, 14)
    assert names_in(folder) == sorted(file_name(group) for group in groups)
    assert all(name.startswith("lamplighter-") and len(name) < 150 for name in names_in(folder))
    assert names_in(tmp_path) == ["inner"]


def test_other_nights_have_other_files():
    runs = [night(), night(suite="other"), night(cluster="other"), night(case="other")]
    names = {file_name(metrics_of(run, Served("m"), LabelValues()).night) for run in runs}
    assert len(names) == 4


def test_a_folder_that_is_not_there(tmp_path: Path):
    with pytest.raises(UserError, match="is not a folder; make it"):
        write_files(tmp_path / "missing", groups_of(), 14)
    assert names_in(tmp_path) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(tmp_path: Path):
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match="let this user write"):
        write_files(tmp_path, groups_of(), 14)


def test_a_night_that_is_written_late_replaces_none_of_a_later_one(tmp_path: Path):
    write_files(tmp_path, groups_of(day=3), 14)
    before = {path: path.read_text("utf-8") for path in tmp_path.iterdir()}
    assert write_files(tmp_path, groups_of(day=2), 14, only_newer=True) == Written(0)
    assert {path: path.read_text("utf-8") for path in tmp_path.iterdir()} == before
    # Of a later failure and an earlier success, each has its place.
    assert write_files(tmp_path, groups_of("fail", day=4), 14, only_newer=True).files == 1
    assert write_files(tmp_path, groups_of(day=3), 14, only_newer=True).files == 1
    next(iter(before)).write_text("no metrics")
    assert write_files(tmp_path, groups_of(day=5), 14, only_newer=True).files == 2
