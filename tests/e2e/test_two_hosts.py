"""Two hosts of a lab, headless data parallel with real vLLM: docs/cluster.md's night."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from night import PROJECT

from ci.lab import inside
from ci.paths import workspace_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from night import Night

    from ci.lab.model import Lab

TOKENS = re.compile(
    r'^vllm:generation_tokens_total\{.*engine="(\d+)".*\} ([\d.e+]+)$', re.MULTILINE
)


@pytest.fixture
def two_hosts(as_root: None, labs: Callable[..., Lab]) -> Lab:
    return labs(2, workspace=workspace_of(""), shown=[PROJECT])


def test_a_night_over_two_hosts(two_hosts: Lab, start: Callable[..., Night]):
    night = start(Path("local-2-hosts.yaml"), "--cluster", str(two_hosts.cluster_file))
    assert night.finish() == 0
    record, folder = night.record, night.folder
    head, worker = (host.name for host in two_hosts.hosts)
    assert set(record["hosts"]) == {head, worker}
    checks = {check["name"]: check for check in record["checks"]}
    assert checks["acc"]["value"] > 0
    assert checks["perf"]["value"] > 0
    # Both engines have served, the headless host's too.
    served = dict(TOKENS.findall((folder / "evaluate/perf/metrics.txt").read_text()))
    assert set(served) == {"0", "1"}
    assert all(float(tokens) > 0 for tokens in served.values())
    assert "Application startup complete" in night.log(head, "server-0")
    assert "EngineCore_DP1" in night.log(worker, "server-1")
    for host in (head, worker):
        assert inside.processes(two_hosts, host) == ()
        assert inside.ports(two_hosts, host) == set()
        assert not [path for path in inside.written(two_hosts, host) if record["id"] in path]
