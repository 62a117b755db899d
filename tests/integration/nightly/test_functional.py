"""Nights whose case has a functional suite, with light servers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from certificates import authority, certificate
from night import light_case

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from night import Night

# The light server answers /health, and is not a server of OpenAI's API otherwise.
SUITE = """\
cases:
  - {id: alive, type: health}
  - {id: refused, type: chat, path: /nowhere, messages: [], expect_error: true}
  - {id: left_out, type: completions, prompt: x, required_capabilities: [chat.vision]}
"""


@pytest.fixture
def play(
    start_night: Callable[..., Night], workspace: Path, free_port: int, tmp_path: Path
) -> Callable[..., Night]:
    """Run the night of a light case with a suite beside it, to its end."""

    def run(suite: str, *flags: str, **keys: Any) -> Night:
        (tmp_path / "suite.yaml").write_text(suite)
        (tmp_path / "case.yaml").write_text(light_case("good", port=free_port, **keys))
        flags = ("--local", "--workspace", str(workspace), *flags)
        night = start_night(tmp_path / "case.yaml", *flags)
        night.finish()
        return night

    return run


def test_a_suite_is_judged_by_type_and_kept_with_the_run(play):
    night = play(SUITE, functional="suite.yaml")
    checks = {check["name"]: check for check in night.record["checks"]}
    assert checks["functional chat"]["outcome"] == "fail"
    assert checks["functional chat"]["reason"].startswith("refused: ")
    assert "functional completions" not in checks
    assert "functional: 1 case skipped, not declared: chat.vision" in night.output
    assert night.code == 1
    report = night.record["functional_report"]
    assert report["chat"]["summary"] == {
        "total": 1,
        "passed": 0,
        "failed": 1,
        "skipped": 0,
        "known": 0,
    }
    assert [case["id"] for case in report["health"]["results"]] == ["alive"]
    kept = json.loads((night.folder / "functional.json").read_text("utf-8"))
    assert kept["summary"]["total"] == 3
    assert "refused" in (night.folder / "functional.junit.xml").read_text("utf-8")
    assert "functional chat" in (night.folder / "report.md").read_text("utf-8")


def test_a_suite_that_passes(play):
    passing = SUITE.splitlines(keepends=True)[:2]
    night = play("".join(passing), functional="suite.yaml")
    outcomes = {check["name"]: check["outcome"] for check in night.record["checks"]}
    assert outcomes["functional health"] == "pass"
    assert night.code == 0


def test_a_suite_of_which_nothing_ran_is_unknown(play):
    skipped = SUITE.splitlines(keepends=True)
    night = play(skipped[0] + skipped[3], functional="suite.yaml")
    checks = {check["name"]: check for check in night.record["checks"]}
    assert checks["functional"]["outcome"] == "unknown"
    assert "no case ran" in checks["functional"]["reason"]
    assert night.code == 3


def test_the_flag_replaces_the_suite_of_the_case(play, tmp_path):
    night = play(SUITE, "--functional", "none", functional="suite.yaml")
    assert night.record["functional_report"] == {}
    assert night.code == 0


@pytest.mark.parametrize(
    ("suite", "name", "expected"),
    [
        ("cases: [{id: a, type: nothing}]\n", "suite.yaml", "cases[0].type"),
        (SUITE, "openay.yaml", "did you mean 'openai.yaml'"),
    ],
)
def test_a_bad_suite_is_refused_before_anything_starts(play, suite, name, expected):
    night = play(suite, functional=name)
    assert night.code == 2
    assert expected in night.output
    assert not night.runs.exists()


@pytest.mark.parametrize("signed", [False, True])
def test_a_suite_reaches_a_server_with_a_certificate(begin, tmp_path, *, signed):
    trusted = ["--ssl-ca-certs", authority(tmp_path)] if signed else []
    cert, key = certificate(tmp_path, signed=signed)
    tls = " ".join(["--ssl-certfile", cert, "--ssl-keyfile", key, *trusted])
    (tmp_path / "suite.yaml").write_text("".join(SUITE.splitlines(keepends=True)[:2]))
    night = begin(f"good {tls}", {"functional": str(tmp_path / "suite.yaml")})
    assert night.finish() == 0
    outcomes = {check["name"]: check["outcome"] for check in night.record["checks"]}
    assert outcomes["functional health"] == "pass"
