"""Nights that measure a benchmark through the router and without it, with a stand-in for vLLM."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hosts_here import held_port
from night import LIGHT_SERVER, PROJECT

from ci.catalog.environments import InstallTarget, load_tools, tool
from ci.catalog.locks import lock_folders_of
from ci.paths import CONFIGS
from ci.record.again import judged_again
from ci.record.stored import read_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from night import Night

SERVER = PROJECT / "tests/integration/large/vllm_stand_in.py"
ITEMS = 16
CHECK = "acc through and without the router"
ACC = {"case_type": "accuracy", "tool": "lm_eval", "dataset_path": "lamplighter/arithmetic"}
ACC |= {"num_prompts": ITEMS, "max_out_len": 64, "batch_size": 4, "without_router": True}


@pytest.fixture
def ports() -> Iterator[tuple[int, int, int]]:
    with held_port() as router, held_port() as prefill, held_port() as decode:
        yield router, prefill, decode


@pytest.fixture
def with_tool(workspace: Path, tool_bin: Callable[[str], str]) -> Path:
    """The workspace, with lm-eval's environment: nothing is written into the environment itself."""
    own = workspace / "envs" / "lm_eval"
    own.mkdir(parents=True)
    for part in Path(tool_bin("lm_eval")).parent.iterdir():
        if part.name != ".lamplighter.json":
            (own / part.name).symlink_to(part)
    target = InstallTarget("localhost", str(workspace), None, lock_folders_of(str(workspace)))
    made = tool(load_tools(CONFIGS / "tools.yaml"), "lm_eval", target)
    stamp = {"fingerprint": made.fingerprint, "packages": [], "locked": True}
    (own / ".lamplighter.json").write_text(json.dumps(stamp))
    return workspace


def answers(path: Path, right: int) -> str:
    """Write what a model replies: the first `right` items are right."""
    rows = (PROJECT / "benchmarks/arithmetic/test.jsonl").read_text("utf-8").splitlines()[:ITEMS]
    replies = {}
    for at, item in enumerate(map(json.loads, rows)):
        number = int(item["answer"].split("#### ")[1]) + (at >= right)
        replies[item["question"]] = f"answer: {number}"
    path.write_text(json.dumps(replies), "utf-8")
    return str(path)


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
    """The router asks the first server alone: its answers stand for those after a bad handover."""
    router, prefill, decode = ports
    # Without the word `serve` no weights are looked for.
    serve = f"python3 {SERVER} answers light --served-model-name light --port"
    case = {
        "test_name": "prefill and decode",
        "model": "light",
        "num_nodes": 2,
        "npu_per_node": 0,
        "disaggregated_prefill": {"prefiller_host_index": [0], "decoder_host_index": [1]},
        "router": {
            "kind": "command",
            "command": f"python3 {LIGHT_SERVER} {router} front --to http://127.0.0.1:{prefill}",
            "port": router,
        },
        "deployment": [
            {
                "server_cmd": f"{serve} $SERVER_PORT",
                "envs": {"SERVER_PORT": port, "STAND_IN_ANSWERS": replies},
            }
            for port, replies in (
                (prefill, answers(tmp_path / "through.json", through)),
                (decode, answers(tmp_path / "behind.json", ITEMS)),
            )
        ],
        "benchmarks": {"acc": ACC},
    }
    night = start_night(json.dumps(case), "--local", "--workspace", str(with_tool))
    assert night.finish() == code
    checks = {check["name"]: check for check in night.record["checks"]}
    assert list(checks) == ["smoke completion", "smoke chat", "acc", CHECK]
    check = checks[CHECK]
    assert check["reason"].startswith(reason)
    assert (check["value"], check["baseline"]) == (100 * through / ITEMS, 100)
    assert check["outcome"] == ("fail" if code else "pass")
    assert {name for name, each in checks.items() if each["outcome"] == "fail"} <= {CHECK}
    for text in (night.output, night.report, (night.folder / "junit.xml").read_text("utf-8")):
        assert CHECK in text
    urls = {each["benchmark"]: each["settings"]["url"] for each in night.record["evaluations"]}
    assert urls == {
        "acc": f"http://127.0.0.1:{router}",
        "acc-without-router": f"http://127.0.0.1:{decode}",
    }
    stored = read_run(night.folder)
    assert judged_again(stored).checks == stored.run.checks
