"""Test `inv check` of several paths of which some do not exist."""

from __future__ import annotations

import pytest

from ci.check.lint import check_files
from ci.errors import ExitCode, UserError
from ci.paths import SUITES


@pytest.fixture
def files(tmp_path):
    good, typo = tmp_path / "good.yaml", tmp_path / "typo.yaml"
    good.write_text("test_cases: []\n", "utf-8")
    typo.write_text("test_name: x\nmodle: y\n", "utf-8")
    return str(good), str(typo)


def test_a_missing_file_hides_no_other(files, tmp_path):
    missing = str(tmp_path / "missing.yaml")
    text, code = check_files([files[0], missing, files[1]])
    assert code == ExitCode.USER
    assert f"{files[1]}:2:1: error: modle: unknown key" in text
    assert f"{missing}:1:1: error: no case {missing!r}" in text


def test_where_no_file_exists_all_are_named(tmp_path):
    with pytest.raises(UserError) as refused:
        check_files(["nope", "neither"])
    assert "no case 'nope'" in str(refused.value)
    assert "no case 'neither'" in str(refused.value)


@pytest.mark.parametrize("name", ["daily", "daily.yaml"])
def test_a_suite_is_checked_by_its_name(name):
    text, _ = check_files([name])
    assert "1 file: " in text
    with pytest.raises(UserError, match=f"Suites, in {SUITES}: .*daily.*mean the suite 'daily'"):
        check_files(["dialy"])
