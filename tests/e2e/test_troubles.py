"""Real vLLM in trouble: the record names the reason, and the outcome is unknown."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hosts_here import look_here
from packaging.version import Version

from ci.paths import workspace_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from night import Night

BENCHMARKS = """\
benchmarks:
  acc:
    case_type: accuracy
    dataset_path: lamplighter/arithmetic
    dataset_conf: gsm8k/gsm8k_gen_0_shot_cot_chat_prompt
    max_out_len: 256
    batch_size: 2
    baseline: 50
    threshold: 50
"""


# A flag that this version does not have any more: gone since, newest first.
GONE = {"0.27": "--swap-space 4", "0.11": "--num-scheduler-steps 4"}


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--no-such-flag", "--no-such-flag"),
        ("--tokenizer /nowhere/at/all", "/nowhere/at/all"),
        ("--max-model-len 9999999", "max"),
    ],
)
def test_a_start_that_fails_is_explained(case, start, flags: str, words: str):
    assert_explained(start(case(flags=flags)), words)


def test_a_flag_that_a_version_gave_up_is_named(case, start, vllm: str):
    flags = next(flags for since, flags in GONE.items() if Version(vllm) >= Version(since))
    assert_explained(start(case(flags=flags)), flags.split()[0])


def assert_explained(night: Night, words: str) -> None:
    assert night.finish() == 3
    cause = night.record["cause"]
    assert (cause["kind"], cause["process"]) == ("ProcessDied", "server-0")
    assert words in cause["message"]
    assert cause["tail"]


@pytest.mark.parametrize("victim", ["server", "engine"])
def test_what_is_killed_while_it_is_evaluated_ends_the_night(
    case: Callable[..., str], start: Callable[..., Night], victim: str
):
    night = start(case(BENCHMARKS))
    server = _pid_once_running("acc", night)
    os.kill(server if victim == "server" else _engine_of(server), signal.SIGKILL)
    assert night.finish() == 3
    record = night.record
    assert (record["cause"]["kind"], record["cause"]["process"]) == ("ProcessDied", "server-0")
    assert record["survivors"] == []
    (check,) = [check for check in record["checks"] if check["name"] == "acc"]
    assert (check["outcome"], check["value"]) == ("unknown", None)


def _engine_of(server: int) -> int:
    """The pid of vLLM's engine process."""
    (engine,) = (
        int(child)
        for child in Path(f"/proc/{server}/task/{server}/children").read_text().split()
        if b"EngineCore" in Path(f"/proc/{child}/cmdline").read_bytes()
    )
    return engine


def _pid_once_running(name: str, night: Night) -> int:
    """Wait until this process of the night runs; gives the server's pid."""
    workspace, pause = workspace_of(""), threading.Event()
    while night.process.poll() is None:
        rows = {row["process"]: row for row in look_here(workspace).processes if row["alive"]}
        if name in rows:
            return int(rows["server-0"]["pid"])
        pause.wait(0.2)
    raise AssertionError(f"the night ended before {name} ran")
