"""A night of this controller over hosts of another architecture, emulated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from machines_here import OTHER, need_root_of
from night import PROJECT
from stage import PORT

from ci.lab import inside

if TYPE_CHECKING:
    from collections.abc import Callable

    from stage import Stage

    from ci.lab.model import Lab


@pytest.fixture
def two_hosts(as_root: None, request: pytest.FixtureRequest, labs: Callable[..., Lab]) -> Lab:
    need_root_of(request.config, OTHER)
    return labs(2, machine=OTHER, shown=[PROJECT])


def test_aarch64(stage: Stage):
    assert inside.run_in(stage.lab, stage.head, ["uname", "-m"]).stdout.strip() == OTHER
    env = {"SERVER_PORT": PORT, "PYTHONDONTWRITEBYTECODE": 1}  # nothing is compiled there yet
    night = stage.night(stage.case(env_common=env))
    assert (night.code, night.record["outcome"]) == (0, "pass")
    doctor = stage.inv("doctor", "--config", str(night.case))
    assert (doctor.returncode, "fit for the plan" in doctor.stdout) == (0, True)
    stage.await_nothing_left()
