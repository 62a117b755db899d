"""Test that the registry has the evaluation tools that a case may name."""

from __future__ import annotations

from typing import get_args

from ci.case.benchmark import ToolName
from ci.tools.registry import TOOLS


def test_a_case_may_name_exactly_these_tools():
    assert set(get_args(ToolName)) == set(TOOLS)
