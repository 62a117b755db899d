"""The registry of evaluation tools, held against what a case file may name."""

from __future__ import annotations

from typing import get_args

from ci.case.benchmark import ToolName
from ci.tools.registry import TOOLS


def test_a_case_can_name_every_tool_and_no_other():
    assert set(get_args(ToolName)) == set(TOOLS)
