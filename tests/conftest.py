"""Fixtures that any test may ask for; being here, it also lets tests import what lies beside it."""

from __future__ import annotations

import os
import signal

import own_network
import pytest
from hypothesis import HealthCheck, settings
from in_parallel import in_turn, pytest_xdist_make_scheduler
from lab_fixture import end_labs, labs
from night import start_night
from own_network import machine_network

__all__ = ["labs", "machine_network", "pytest_xdist_make_scheduler", "start_night"]

# A loaded machine is slow, and no defect.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


def pytest_configure(config: pytest.Config) -> None:
    """End tidily, labs and all, also when told by SIGTERM, or by SIGINT in the background."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    if hasattr(config, "workerinput") and os.geteuid() == 0:
        config.stash[own_network.MACHINE] = own_network.enter_own()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = in_turn(items)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Take away the labs of parallel workers that were ended before they could do so."""
    parallel = config.getoption("numprocesses", None) and not hasattr(config, "workerinput")
    if parallel and os.geteuid() == 0:
        end_labs(config._tmp_path_factory.getbasetemp())


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs root from this one place: then pytest tells all of it in one line."""
    if os.geteuid() != 0 and "as_root" in item.fixturenames:
        pytest.skip("needs root, for hosts in network namespaces and for mounts: run as root")


@pytest.fixture(scope="session")
def as_root() -> None:
    """Ask for root; without it a test is skipped."""
