"""Nights of `single_node` cases whose `test_content` has more than a smoke test."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from night import LIGHT_SERVER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from night import Night

ALL = ["completion", "chat_completion", "image", "messages", "check_rank0_process_count"]


@pytest.fixture
def play(
    start_night: Callable[..., Night], workspace: Path, free_port: int
) -> Callable[..., Night]:
    """Run the night of a test case to its end."""

    def run(manner: str = "good", **keys: Any) -> Night:
        command = f"python3 {LIGHT_SERVER} $SERVER_PORT {manner} --port $SERVER_PORT --by vllm"
        entry = {"name": "light", "model": "light", "device": "cpu", "ready_timeout_s": 60}
        entry |= {"envs": {"SERVER_PORT": free_port}, "server_cmd": command}
        case = json.dumps({"test_cases": [{**entry, **keys}]})
        night = start_night(case, "--local", "--workspace", str(workspace))
        night.finish()
        return night

    return run


def outcomes(night: Night) -> dict[str, str]:
    return {check["name"]: check["outcome"] for check in night.record["checks"]}


def test_every_kind_is_run_and_reported(play: Callable[..., Night], tmp_path: Path):
    (tmp_path / "a.png").write_bytes(bytes(1_000_000))
    night = play(
        test_content=ALL,
        prompts=["Hi", "Bye"],
        api_keyword_args={"max_tokens": 5},
        mm_request={"images": [str(tmp_path / "a.png")]},
        expected_response={"content_contains": ["yes"], "prompt_tokens": 1},
    )
    assert outcomes(night) == dict.fromkeys(
        [
            "smoke completion",
            "smoke completion 1",
            "smoke chat",
            "chat_completion",
            "chat_completion 1",
            "image",
            "messages",
            "messages 1",
            "check_rank0_process_count",
        ],
        "pass",
    )
    assert night.code == 0
    assert "check_rank0_process_count" in night.report.replace("\\", "")


def test_an_answer_that_is_not_as_expected_is_a_failure(play: Callable[..., Night]):
    night = play(
        test_content=["chat_completion", "messages"],
        prompts=["Hi"],
        api_keyword_args=[{"stream": True}],
        expected_response={"content_contains": "no"},
    )
    assert night.code == 1
    assert outcomes(night)["chat_completion"] == "fail"
    assert outcomes(night)["messages"] == "pass"
    assert "expected 'no' in the text: yes" in night.output


def test_two_servers_are_one_too_many(play: Callable[..., Night]):
    """A child of the server has its command line."""
    night = play("twins", test_content=["check_rank0_process_count"])
    assert night.code == 1
    assert "expected exactly 1 `vllm serve` on localhost, got 2" in night.output


def test_a_missing_picture_is_reported_before_anything_starts(play: Callable[..., Night]):
    night = play(test_content=["image"], mm_request={"image_path": "/nowhere/a.png"})
    assert night.code == 2
    assert "mm_request: picture /nowhere/a.png: no such file" in night.output
    assert not night.runs.exists()
