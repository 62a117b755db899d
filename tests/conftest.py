"""Fixtures that any test may ask for; being here, it also lets tests import what lies beside it."""

import signal

from lab_fixture import labs

__all__ = ["labs"]


def pytest_configure():
    """End tidily, labs and all, also when told by SIGTERM, or by SIGINT in the background."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
