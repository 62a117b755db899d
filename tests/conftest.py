"""Fixtures that any test may ask for; being here, it also lets tests import what lies beside it."""

from lab_fixture import labs

__all__ = ["labs"]
