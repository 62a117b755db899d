"""The commits that touch a case file, in a repository of git."""

from __future__ import annotations

import subprocess

import pytest

from ci.bisect.revisions import of_revisions
from ci.errors import UserError

CASE = """\
test_name: a case
model: light
num_nodes: 1
npu_per_node: 0
ready_timeout_s: {}
deployment: [{{server_cmd: vllm serve light --port 8000}}]
"""


def git(folder, *words):
    who = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    argv = ["git", *who, *words]
    done = subprocess.run(argv, cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def case(tmp_path):
    folder = tmp_path / "cases"
    folder.mkdir()
    git(tmp_path, "init", "-q", "-b", "main")
    path = folder / "case.yaml"
    for step, text in enumerate((CASE.format(100), "test_name: 1", CASE.format(300))):
        path.write_text(text)
        git(tmp_path, "add", ".")
        git(tmp_path, "commit", "-q", "-m", f"step {step}")
    (tmp_path / "other").touch()
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "not the case")
    return path


def test_only_commits_that_touch_the_file_are_points(case, tmp_path):
    points = of_revisions(f"{case}#a", "main~3", "main", tmp_path / "not there")
    assert [each.remark for each in points] == ["the good end", "step 1", "step 2"]
    assert [bool(each.unusable) for each in points] == [False, True, False]
    assert points[1].unusable.startswith("it is no valid case: ")
    assert all(each.config.endswith("-case.yaml#a") for each in points)
    assert not (tmp_path / "not there").exists()


def test_files_are_written_as_of_each_commit(case, tmp_path):
    first, *_, last = of_revisions(str(case), "main~3", "main", tmp_path)
    texts = [(tmp_path / f"{each.name}-case.yaml").read_text() for each in (first, last)]
    assert texts == [CASE.format(100), CASE.format(300)]
    assert last.config == str(tmp_path / f"{last.name}-case.yaml")


def test_settings_hold_for_each_revision(case, tmp_path):
    points = of_revisions(str(case), "main~3", "main", tmp_path, ("nothing.such=1",))
    assert all("it is no valid case" in each.unusable for each in points)


def test_a_file_that_is_not_there_yet(case, tmp_path):
    git(tmp_path, "mv", "cases/case.yaml", "cases/new.yaml")
    git(tmp_path, "commit", "-q", "-m", "renamed")
    points = of_revisions(str(case.parent / "new.yaml"), "main~1", "main", tmp_path)
    assert points[0].unusable == "new.yaml is not there"


@pytest.mark.parametrize(
    ("good", "bad", "message"),
    [
        ("", "main", "--good is missing"),
        ("main~3", "--all", "git knows no such commit"),
        ("nothing", "main", "git knows no such commit"),
        ("main", "main~3", "is not an ancestor of"),
        ("main~1", "main", "touches"),
    ],
)
def test_wrong_ends_are_told(case, tmp_path, good, bad, message):
    with pytest.raises(UserError, match=message):
        of_revisions(str(case), good, bad, tmp_path)


def test_a_file_outside_of_git_is_told(tmp_path):
    with pytest.raises(UserError, match="is not in a repository of git"):
        of_revisions(str(tmp_path / "case.yaml"), "main", "main", tmp_path)
