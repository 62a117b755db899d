"""A real out-of-memory kill, in a cgroup of the test's own, and what the host shows of it."""

from __future__ import annotations

import subprocess
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ci.remote.requests import memory
from ci.run.explained import describe_memory

if TYPE_CHECKING:
    from collections.abc import Iterator

CGROUPS = Path("/sys/fs/cgroup")
LIMIT = str(60 << 20)
HOG = """
import os, sys
open(sys.argv[1], "w").write(str(os.getpid()))
taken = [bytearray(1 << 20) for _ in range(400)]
"""


@pytest.fixture
def small_cgroup() -> Iterator[Path]:
    """Make a cgroup with little memory, of version 1 or 2."""
    parent = CGROUPS / "memory" if (CGROUPS / "memory").is_dir() else CGROUPS
    group = parent / f"lamplighter-{uuid.uuid4().hex}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"needs root and a cgroup of memory: {error}")
    try:
        names = ("memory.limit_in_bytes", "memory.max")
        limits = [group / name for name in names if (group / name).exists()]
        if not limits:
            pytest.skip("this machine has no cgroup of memory")
        limits[0].write_text(LIMIT)
        if (swap := group / "memory.swap.max").exists():
            swap.write_text("0")
        yield group
    finally:
        group.rmdir()


def test_a_process_that_was_killed_for_memory_is_shown(small_cgroup: Path):
    tasks = str(small_cgroup / "cgroup.procs")
    ended = subprocess.run([sys.executable, "-c", HOG, tasks], check=False)
    assert ended.returncode == -9
    evidence = memory.evidence()
    assert evidence["kills"]["host"] >= 1
    words = describe_memory(evidence)
    assert "out of memory" in words or "out-of-memory killer of the host ended" in words


def test_without_a_kill_nothing_is_claimed():
    evidence = memory.evidence()
    assert 0 < evidence["available"] < evidence["total"]
    assert evidence["killed"] is None or isinstance(evidence["killed"], list)
