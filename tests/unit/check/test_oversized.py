"""Cases that would take all memory or time are refused at their place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ci.check.lint import check_files

if TYPE_CHECKING:
    from pathlib import Path

HEAD = """\
test_name: x
model: /m/x
vllm: '0.32.0'
device: cpu
num_nodes: 1
npu_per_node: 1
cluster_hosts: [localhost]
"""
DIGITS = "9" * 5000


def serve(flags: str = "", more: str = "") -> str:
    return f"{HEAD}{more}deployment:\n  - server_cmd: 'vllm serve /m/x {flags}'\n"


def variables(**values: str) -> str:
    return "env_common:\n" + "".join(f"  {key}: '{value}'\n" for key, value in values.items())


def benchmark(key: str, value: str) -> str:
    keys = {"num_prompts": "1", "max_out_len": "1", "batch_size": "1"} | {key: value}
    entry = "".join(f", {name}: {number}" for name, number in keys.items())
    return serve() + f"benchmarks:\n  a: {{case_type: accuracy, dataset_path: gsm8k{entry}}}\n"


DOUBLED = {"A0": "x" * 50} | {f"A{i}": f"$A{i - 1}$A{i - 1}" for i in range(1, 26)}
CHAIN = {f"A{i}": f"$A{i + 1}" for i in range(3000)} | {"A3000": "x"}
PACKAGES = "special_dependencies: {%s}\n"
REFUSED = {
    "ranks": (serve("--data-parallel-size 1000000000"), ["expected 1 to 1024"]),
    "local ranks": (
        serve("--data-parallel-size 100000000 --data-parallel-size-local 100000000"),
        ["expected 1 to 1024"],
    ),
    "a start rank": (serve("-dp 2 -dpl 1 -dpr 99999999999"), ["start-rank", "expected 0 to 1024"]),
    "no ranks": (serve("--data-parallel-size -3"), ["expected 1 to 1024, got '-3'"]),
    "shards": (serve("-tp 1000000"), ["--tensor-parallel-size: expected 1 to 1024"]),
    "nodes": (serve("--nnodes 4294967296"), ["--nnodes: expected 1 to 1024"]),
    "digits of a size": (serve(f"--data-parallel-size {DIGITS}"), ["expected 1 to 1024"]),
    "digits of a port": (serve(f"--port {DIGITS}"), ["is not a port"]),
    "digits of a key": (
        serve().replace("npu_per_node: 1", f"npu_per_node: {DIGITS}"),
        ["too long"],
    ),
    "a doubled variable": (serve("--x $A25", variables(**DOUBLED)), ["longer than 131071"]),
    "a word of variables": (
        serve("--x " + "$A9" * 20, variables(**DOUBLED)),
        ["longer than 131071"],
    ),
    "a chain of variables": (serve("--x $A0", variables(**CHAIN)), ["more than 50 times"]),
    "prompts": (benchmark("num_prompts", "9" * 21), ["num_prompts", "at most 10000000"]),
    "tokens": (benchmark("max_out_len", "9" * 21), ["max_out_len", "at most 10000000"]),
    "requests": (benchmark("batch_size", "9" * 21), ["batch_size", "at most 10000000"]),
    "an option for a version": (
        serve(more=PACKAGES % "transformers: '5.2.0 --index-url http://x'"),
        ["special_dependencies", "transformers", "is not a version"],
    ),
    "an option on a line of its own": (
        serve(more=PACKAGES % 'a: "1\\n--index-url http://x"'),
        ["special_dependencies", "is not a version"],
    ),
    "a file for a package": (
        serve(more=PACKAGES % "'-r /etc/passwd': '1'"),
        ["special_dependencies", "is not the name of a package"],
    ),
    "an address for a package": (
        serve(more=PACKAGES % "'a @ http://x/a.whl': '1'"),
        ["special_dependencies", "is not the name of a package"],
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_oversized_case_is_refused_at_its_place(name: str, tmp_path: Path):
    text, expected = REFUSED[name]
    path = tmp_path / "case.yaml"
    path.write_text(text)
    shown, code = check_files([str(path)], "text")
    assert code == 2, shown
    assert shown.startswith(f"{path}:"), shown
    assert all(words in shown for words in expected), shown
    assert len(shown) < 2000
