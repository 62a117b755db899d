"""Nights that measure a benchmark through the router and without it, with a stand-in for vLLM."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from answered import ACC, ITEMS, STAND_IN, answers
from hosts_here import held_port
from night import PROJECT

from ci.record.again import judged_again
from ci.record.stored import read_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from night import Night

PROXY = PROJECT / "configs/proxies/prefill_decode_proxy.py"
CHECK = "acc through and without the router"


@pytest.fixture
def ports() -> Iterator[tuple[int, int, int]]:
    with held_port() as router, held_port() as prefill, held_port() as decode:
        yield router, prefill, decode


def server(port: int, role: str) -> dict[str, object]:
    connector = json.dumps({"kv_connector": "NixlConnector", "kv_role": role})
    # Without the word `serve` no weights are looked for.
    command = f"python3 {STAND_IN} --served-model-name light --host 127.0.0.1 --port $SERVER_PORT"
    return {
        "envs": {"SERVER_PORT": port},
        "server_cmd": f"{command} --kv-transfer-config '{connector}'",
    }


@pytest.mark.parametrize(
    ("through", "code", "reason"),
    [
        (16, 0, "of 16 items, 0 were right only through the router and 0 only without it: p = 1;"),
        (8, 1, "of 16 items, 0 were right only through the router and 8 only without it: p = 0.0"),
    ],
)
def test_a_night_compares_the_answers_through_the_router_with_those_of_a_server_behind_it(  # noqa: PLR0913, PLR0917 - fixtures and a table
    start_night: Callable[..., Night],
    with_tool: Path,
    ports: tuple[int, int, int],
    tmp_path: Path,
    through: int,
    code: int,
    reason: str,
):
    """Whatever is right of the handover itself, half of the caches arrive damaged."""
    router, prefill, decode = ports
    case = {
        "test_name": "prefill and decode",
        "model": "light",
        "num_nodes": 2,
        "npu_per_node": 0,
        "env_common": {
            "STAND_IN_ANSWERS": answers(tmp_path / "right.json", ITEMS),
            "STAND_IN_DAMAGED": answers(tmp_path / "damaged.json", through),
        },
        "disaggregated_prefill": {"prefiller_host_index": [0], "decoder_host_index": [1]},
        "router": {"kind": "script", "script": str(PROXY), "port": router},
        "deployment": [server(prefill, "kv_producer"), server(decode, "kv_consumer")],
        "benchmarks": {"acc": ACC | {"without_router": True}},
    }
    night = start_night(json.dumps(case), "--local", "--workspace", str(with_tool))
    assert night.finish() == code
    checks = {check["name"]: check for check in night.record["checks"]}
    check = checks[CHECK]
    assert check["reason"].startswith(reason)
    assert (check["value"], check["baseline"]) == (100 * through / ITEMS, 100)
    failed = [name for name, each in checks.items() if each["outcome"] != "pass"]
    assert failed == [CHECK] * code
    assert "acc-without-router" not in checks
    for text in (night.output, night.report, (night.folder / "junit.xml").read_text("utf-8")):
        assert CHECK in text
    urls = {each["benchmark"]: each["settings"]["url"] for each in night.record["evaluations"]}
    assert urls == {
        "acc": f"http://127.0.0.1:{router}",
        "acc-without-router": f"http://127.0.0.1:{decode}",
    }
    stored = read_run(night.folder)
    assert judged_again(stored).checks == stored.run.checks
