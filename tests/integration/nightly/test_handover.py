"""Nights with prefill and decode apart: the handover, and the router's health, are proven.

The servers stand in for vLLM with its connectors (tests/integration/large/vllm_stand_in.py).
"""

from __future__ import annotations

import json
import re
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from hosts_here import held_port
from night import LIGHT_SERVER, PROJECT, inv

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from night import Night

STAND_IN = PROJECT / "tests/integration/large/vllm_stand_in.py"
PROXY = PROJECT / "configs/proxies/prefill_decode_proxy.py"
CONNECTOR = '{"kv_connector": "NixlConnector", "kv_role": "ROLE"}'
ROLES = ("kv_producer", "kv_producer", "kv_consumer", "kv_consumer")
HANDED_OVER = ("answers", "prefill", "decode", "cache", "same answers")


@pytest.fixture
def play(
    start_night: Callable[..., Night], workspace: Path, tmp_path: Path
) -> Iterator[Callable[..., Night]]:
    """Run a night of two prefill servers and two decode servers behind a router, to its end."""
    (tmp_path / "answers.json").write_text("{}")
    nights: list[Night] = []
    with ExitStack() as stack:
        ports = [stack.enter_context(held_port()) for _ in (*ROLES, "router")]

        def server(index: int, role: str) -> dict[str, object]:
            connector = CONNECTOR.replace("ROLE", role)
            command = (
                f"python3 {STAND_IN} --served-model-name light --host 127.0.0.1 "
                f"--port $SERVER_PORT --kv-transfer-config '{connector}'"
            )
            return {"envs": {"SERVER_PORT": ports[index]}, "server_cmd": command}

        def run(router: dict[str, object], *flags: str) -> Night:
            text = json.dumps(router).replace("DECODER", f"http://127.0.0.1:{ports[2]}")
            case = {
                "test_name": "prefill and decode apart",
                "model": "light",
                "num_nodes": len(ROLES),
                "npu_per_node": 0,
                "env_common": {"STAND_IN_ANSWERS": str(tmp_path / "answers.json")},
                "disaggregated_prefill": {
                    "prefiller_host_index": [0, 1],
                    "decoder_host_index": [2, 3],
                },
                "router": {"port": ports[4], **json.loads(text)},
                "deployment": [server(index, role) for index, role in enumerate(ROLES)],
            }
            night = start_night(json.dumps(case), "--local", "--workspace", str(workspace), *flags)
            nights.append(night)
            night.finish()
            return night

        yield run
        for night in nights:
            if night.record["kept_s"]:
                where = ("--runs", str(night.runs), "--workspace", str(workspace))
                assert inv("down", "--run", night.folder.name, *where).returncode == 0


def checks_of(night: Night) -> dict[str, tuple[str, str]]:
    """Name → outcome and reason of each check but the smoke test's."""
    checks = {check["name"]: check for check in night.record["checks"]}
    return {
        name.removeprefix("prefill/decode: "): (check["outcome"], check["reason"])
        for name, check in checks.items()
        if not name.startswith("smoke")
    }


def test_a_proxy_that_hands_over_and_tells_the_truth(play):
    night = play({"kind": "script", "script": str(PROXY), "prove_health": True})
    checks = checks_of(night)
    assert night.code == 0
    assert {name: checks[name][0] for name in HANDED_OVER} == dict.fromkeys(HANDED_OVER, "pass")
    assert checks["prefill"][1] == "server-0: 4, server-1: 4"
    assert checks["decode"][1] == "server-2: 4, server-3: 4"
    # It goes on without the second server of a role as long as that one's turn does not come.
    for name in ("server-1", "server-3", "router"):
        outcome, reason = checks[f"router health without {name}"]
        assert outcome == "pass"
        assert "its health: 200" not in reason
    assert "prefill/decode: cache" in night.report


def test_a_router_that_skips_prefill_and_lies_about_its_health(play):
    front = f"python3 {LIGHT_SERVER} $PORT front --to DECODER"
    night = play({"kind": "command", "command": front, "prove_health": True})
    checks = checks_of(night)
    assert night.code == 1
    outcomes = {name: checks[name][0] for name in HANDED_OVER}
    assert outcomes == dict.fromkeys(HANDED_OVER, "pass") | {"prefill": "fail", "cache": "fail"}
    assert "no prefill server had this request" in checks["prefill"][1]
    # All goes to the first decode server, and the second one is ended.
    assert checks["router health without server-3"][0] == "pass"


def test_health_that_says_200_while_nobody_answers(play):
    front = f"python3 {LIGHT_SERVER} $PORT front --to DECODER"
    router = {"kind": "command", "command": front, "prove_health": True}
    night = play(
        router,
        *("--set", "disaggregated_prefill.prefiller_host_index=[0,1,3]"),
        *("--set", "disaggregated_prefill.decoder_host_index=[2]"),
    )
    outcome, reason = checks_of(night)["router health without server-2"]
    assert night.code == 1
    assert outcome == "fail"
    # It has 15 s to notice; this machine may be slower.
    assert re.match(r"its health still says 200 after \d+ s, but 0 of 2 requests are", reason)


def test_servers_that_are_to_keep_running_are_not_ended(play):
    router = {"kind": "script", "script": str(PROXY), "prove_health": True}
    night = play(router, "--keep")
    assert night.code == 0
    assert "prove_health: not proven" in night.output
    assert not [name for name in checks_of(night) if name.startswith("router health")]
