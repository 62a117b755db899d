"""The commits that touch a case file, in a repository of git."""

from __future__ import annotations

import subprocess

import pytest

from ci.bisect.revisions import case_of, of_revisions
from ci.errors import CaseError, UserError

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
    points = of_revisions(str(case), "main~3", "main")
    assert [each.remark for each in points] == ["the good end", "step 1", "step 2"]
    assert [bool(each.unusable) for each in points] == [False, True, False]
    assert "case.yaml:1" in points[1].unusable
    assert points[0].revision == git(tmp_path, "rev-parse", "main~3")


def test_the_case_is_read_as_of_a_commit(case):
    first, broken, last = of_revisions(str(case), "main~3", "main")
    read = [case_of(str(case), each.revision).ready_timeout_s for each in (first, last)]
    assert read == [100, 300]
    assert case_of(str(case), last.revision, ("ready_timeout_s=7",)).ready_timeout_s == 7
    with pytest.raises(CaseError):
        case_of(str(case), broken.revision)


def test_settings_hold_for_each_revision(case, tmp_path):
    points = of_revisions(str(case), "main~3", "main", ("nothing.such=1",))
    assert all("nothing" in each.unusable for each in points)


def test_a_file_that_is_not_there_yet(case, tmp_path):
    git(tmp_path, "mv", "cases/case.yaml", "cases/new.yaml")
    git(tmp_path, "commit", "-q", "-m", "renamed")
    points = of_revisions(str(case.parent / "new.yaml"), "main~1", "main")
    assert "is not there as of" in points[0].unusable


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
        of_revisions(str(case), good, bad)


def test_a_file_outside_of_git_is_told(tmp_path):
    (tmp_path / "case.yaml").touch()
    with pytest.raises(UserError, match="is not in a repository of git"):
        of_revisions(str(tmp_path / "case.yaml"), "main", "main")
