"""Nights of this controller over hosts of another architecture, emulated, and other releases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from machines_here import OTHER, OURS, need_root_of
from night import PROJECT
from stage import PORT

from ci.lab import inside
from ci.lab.debian_root import DEBIAN

if TYPE_CHECKING:
    from collections.abc import Callable

    from stage import Stage

    from ci.lab.model import Lab


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> tuple[str, str]:
    return getattr(request, "param", (OTHER, DEBIAN))


@pytest.fixture
def two_hosts(
    as_root: None, request: pytest.FixtureRequest, labs: Callable[..., Lab], kind: tuple[str, str]
) -> Lab:
    machine, debian = kind
    need_root_of(request.config, machine, debian)
    return labs(2, machine=machine, debian=debian, shown=[PROJECT])


def test_aarch64(stage: Stage):
    assert inside.run_in(stage.lab, stage.head, ["uname", "-m"]).stdout.strip() == OTHER
    assert_passes(stage)


@pytest.mark.long
@pytest.mark.parametrize(
    "kind", [(OURS, "bullseye"), (OURS, "trixie")], indirect=True, ids="-".join
)
def test_debian(stage: Stage):
    """Python 3.9 with OpenSSH 8.4, and Python 3.13 with OpenSSH 10."""
    assert_passes(stage)


def assert_passes(stage: Stage) -> None:
    env = {"SERVER_PORT": PORT, "PYTHONDONTWRITEBYTECODE": 1}  # nothing is compiled there yet
    night = stage.night(stage.case(env_common=env))
    assert (night.code, night.record["outcome"]) == (0, "pass")
    doctor = stage.inv("doctor", "--config", str(night.case))
    assert (doctor.returncode, "fit for the plan" in doctor.stdout) == (0, True)
    stage.await_nothing_left()
