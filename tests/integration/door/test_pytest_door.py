"""The door as a pytest plugin, in a pytest of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hosts_here import assert_given_back, held_port
from night import light_case, runs_in

from ci.paths import PROJECT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TESTS = """\
import pytest

def test_one(served):
    assert served.client().models.list().data[0].id == "light"

def test_two(served):
    assert served.url_for("v1").endswith("/v1")

class TestAnother:
    pytestmark = pytest.mark.case(OTHER, workspace=WORKSPACE, runs=RUNS)

    def test_three(self, served):
        assert served.plan.case.test_name == "another"

def test_four(served):
    assert served.plan.case.test_name == "a light night"

def test_without_it():
    pass
"""


@pytest.fixture
def ports() -> Iterator[tuple[int, int]]:
    with held_port() as first, held_port() as second:
        yield first, second


@pytest.fixture
def run(tmp_path: Path, ports: tuple[int, int]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the tests above with these words of the command line."""
    runs, workspace = tmp_path / "runs", tmp_path / "workspace"
    for name, port in zip(("light", "other"), ports, strict=True):
        keys = {"cluster_hosts": ["localhost"]}
        keys |= {"test_name": "another"} if name == "other" else {}
        (tmp_path / f"{name}.yaml").write_text(light_case("good", port=port, **keys))
    values = {"OTHER": tmp_path / "other.yaml", "WORKSPACE": workspace, "RUNS": runs}
    head = "".join(f"{name} = {str(value)!r}\n" for name, value in values.items())
    (tmp_path / "test_mine.py").write_text(head + TESTS)
    flags = ["--case-workspace", str(workspace), "--case-runs", str(runs)]

    def start(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "ci.pytest_door", "-p", "no:cacheprovider",
             "--strict-markers", "-q", "test_mine.py", *flags, *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
            capture_output=True,
            text=True,
            check=False,
        )  # fmt: skip

    return start


def test_a_case_is_served_once_for_all_its_tests(
    run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
):
    ended = run("--case", "light.yaml", "-vv")
    assert ended.returncode == 0, ended.stdout
    assert "5 passed" in ended.stdout
    assert "test_one[light.yaml] PASSED" in ended.stdout
    assert len(runs_in(tmp_path / "runs")) == 2
    assert_given_back(tmp_path / "workspace")


def test_without_a_case_the_message_says_how_to_name_it(
    run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
):
    ended = run("-k", "test_one")
    assert ended.returncode == 1
    assert "name the case: pytest --case FILE, or @pytest.mark.case(FILE)" in ended.stdout
    assert not (tmp_path / "runs").exists()


def test_a_case_that_cannot_be_served_is_an_error_with_the_message_of_a_night(
    run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
):
    ended = run("--case", "lihgt.yaml", "-k", "test_one")
    assert ended.returncode == 1
    assert "ERROR test_mine.py::test_one" in ended.stdout
    assert "ci.errors.UserError" in ended.stdout
