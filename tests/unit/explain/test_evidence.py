"""Lines without a level: which report an error, and which only speak of one."""

from __future__ import annotations

import pytest

from ci.explain.evidence import reports


@pytest.mark.parametrize(
    "line",
    [
        "docker: Error response from daemon: it",
        "slurmstepd: error: it",
        "/opt/a/b.cc:12: it",
        "synchronize:build/a.ts:452 NPU function error: it",
        "[0] [0] RuntimeError: it",
        "torch.OutOfMemoryError: it",
        "node:1:2 [0] init.cc:4 NCCL WARN it",
        "EZ9999: [PID: 7] it",
        "25-09-09 01:09:14|ERROR  |a.b:c:3 - it",
        "terminate called after throwing an instance of 'it'",
    ],
)
def test_a_report_begins_as_programs_begin_it(line: str):
    assert reports(line)


@pytest.mark.parametrize(
    "line",
    [
        "Answer 7: the address is already in use",
        '"content": "fatal error: cuda.h: No such file"',
        "The model said that RuntimeError: it is raised",
        "If out-of-memory error occurs, lower it",
        "  --flag {auto,error}   what to do on errors",
        " Current: 0, Required: 1",
    ],
)
def test_a_sentence_reports_nothing(line: str):
    assert not reports(line)
