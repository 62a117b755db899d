"""The real tools send the `cache_salt` of a job with every request."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from answer_server import Oracle, serving
from run_tool import evaluate
from test_scoring import make_job, make_up

from ci.tools.registry import TOOLS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SALT = "acc-without-router"
MEASURING = [name for name, tool in TOOLS.items() if "accuracy" in tool.KINDS]


@pytest.mark.parametrize("tool", MEASURING)
def test_every_request_has_the_salt(
    tool: str,
    tmp_path: Path,
    tool_bin: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
):
    bin_folder = tool_bin(TOOLS[tool].ENVIRONMENT)
    monkeypatch.setenv("HOME", str(tmp_path))
    oracle = Oracle(make_up(tmp_path / "data"), frozenset())
    with serving(oracle) as port:
        job = make_job(tmp_path, tool, bin_folder, port)
        assert evaluate(replace(job, cache_salt=SALT)).problems == ()
    assert oracle.salts == {SALT}
