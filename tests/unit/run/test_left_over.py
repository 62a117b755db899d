"""What a run has left on a host: the facts before and after it, with npu-smi's own tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ci.doctor.needs import Devices
from ci.remote.facts.accelerators import parse_npu
from ci.run.left_over import left_on

TABLES = Path(__file__).parents[1] / "npu_smi"
NPU, NONE = Devices("ascend", 1, (0,), None), Devices("", 0, (), None)
ANN = {"pid": 7, "command": "python3 x", "user": "ann", "run": None}


def chips(used: int | None = None, *holders: dict[str, Any]) -> list[dict[str, Any]]:
    """The chips of a real table; the first with this much of its memory in use."""
    found = parse_npu((TABLES / "910b.txt").read_text())
    for chip in found:
        chip["processes"], chip["memory_used_mb"] = [], 3000
    if used is not None:
        found[0].update(memory_used_mb=used, processes=list(holders))
    return found


IDLE, FULL, HELD = ({"accelerators": found} for found in (chips(), chips(30000), chips(30000, ANN)))
ON_8000, ON_9000 = ({"ports_taken": {port: ANN}} for port in ("8000", "9000"))
SECOND, GPU = Devices("ascend", 1, (1,), None), Devices("cuda", 1, (0,), None)
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], Devices, list[str]]] = {
    "nothing": ({}, {}, NPU, []),
    "a port": ({}, ON_8000, NONE, ["port 8000 is still in use by pid 7 of ann"]),
    "a port of others": ({}, ON_9000, NONE, []),
    "a port from before": (ON_8000, ON_8000, NONE, []),
    "a file": (
        {"shared_files": {"mine": 1}},
        {"shared_files": {"mine": 9, "psm_1": 3 << 20}, "user": "ann"},
        NONE,
        ["/dev/shm/psm_1 of ann is still there (3 MiB)"],
    ),
    "files of a host that did not list them": ({}, {"shared_files": {"psm_1": 1}}, NONE, []),
    "an idle device": (IDLE, IDLE, NPU, []),
    "memory without a process": (IDLE, FULL, NPU, ["30000 of", "no new process"]),
    "memory of a process": (IDLE, HELD, NPU, ["pid 7 of ann"]),
    "memory of a process from before": (HELD, HELD, NPU, []),
    "a device that the run did not use": (IDLE, HELD, SECOND, []),
    "a device of another kind": (IDLE, HELD, GPU, []),
    "a tool that hangs": (
        {},
        {"errors": {"ascend": "npu-smi did not answer"}},
        NPU,
        ["npu-smi failed", "not answer"],
    ),
}


@pytest.mark.parametrize("what", CASES)
def test_what_is_left_is_named_with_its_owner(what: str) -> None:
    before, after, needed, words = CASES[what]
    left = "; ".join(left_on(after, before, (8000,), needed))
    assert bool(left) == bool(words)
    assert all(word in left for word in words)
