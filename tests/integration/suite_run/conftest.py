"""Suites of light servers on lab hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from night import PROJECT
from suite_stage import SuiteStage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ci.lab.model import Lab


@pytest.fixture(scope="session")
def eight_hosts(as_root: None, labs: Callable[..., Lab]) -> Lab:
    return labs(8, shown=[PROJECT])


@pytest.fixture
def stage(eight_hosts: Lab, tmp_path: Path) -> Iterator[SuiteStage]:
    stage = SuiteStage(eight_hosts, tmp_path)
    stage.output.touch()
    yield stage
    stage.end()
