from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tool_outputs import CAPTURED, captured, edited, job, with_values

from ci.catalog.environments import load_versions, servable
from ci.errors import UserError
from ci.paths import CONFIGS
from ci.tools.model import Dataset
from ci.tools.registry import TOOLS
from ci.tools.vllm_bench import command, parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from ci.tools.tool import Tool


CAPTURED_VERSIONS = sorted(path.name for path in (CAPTURED / "vllm_bench").iterdir())


def without(key: str) -> Callable[[str], str]:
    return lambda text: json.dumps({k: v for k, v in json.loads(text).items() if k != key})


def test_performance_is_read() -> None:
    output = captured("vllm_bench_performance")
    raw = json.loads(output.files["out/result.json"])
    result = parse(job("vllm_bench", "performance"), output)
    assert result.problems == ()
    figures = {figure.metric: (figure.value, figure.unit) for figure in result.measurements}
    assert len(figures) == 17
    assert figures["output_token_throughput"] == (raw["output_throughput"], "tok/s")
    assert figures["request_throughput"] == (raw["request_throughput"], "req/s")
    assert figures["tpot_mean"] == (raw["mean_tpot_ms"], "ms")
    assert figures["ttft_p99"] == (raw["p99_ttft_ms"], "ms")
    assert figures["input_tokens"] == (512, "tokens")
    assert figures["total_token_throughput"] == (raw["total_token_throughput"], "tok/s")
    assert [item.tokens for item in result.items] == raw["output_lens"]
    assert all(figure.n == 4 for figure in result.measurements)


def test_further_figures_are_read_where_vllm_gives_them() -> None:
    further = with_values(p90_ttft_ms=9.5, request_goodput=1.5)
    output = edited(captured("vllm_bench_performance"), "result.json", further)
    result = parse(job("vllm_bench", "performance"), output)
    figures = {figure.metric: figure.value for figure in result.measurements}
    assert (figures["ttft_p90"], figures["request_goodput"]) == (9.5, 1.5)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (None, "wrote no out/result.json"),
        (lambda _: "Traceback", "is not JSON"),
        (lambda _: "[]", "expected a JSON object, found list"),
        (with_values(completed=0), "0 of 4 requests were completed"),
        (with_values(completed=3), "3 of 4 requests were completed"),
        (with_values(completed="4"), "not a number"),
        (with_values(failed=1), "1 of 4 requests failed"),
        (with_values(num_prompts=3), "3 prompts were sent, expected 4"),
        (with_values(total_output_tokens=0), "no output token"),
        (with_values(errors=["", "x\nConnectionRefusedError", "", ""]), "ConnectionRefusedError"),
        (with_values(output_throughput=None), "output_throughput is None"),
        (with_values(output_throughput=float("nan")), "output_throughput is nan"),
        (without("failed"), "failed is None"),
        (without("errors"), "no list errors"),
        (without("output_lens"), "no list output_lens"),
        (with_values(output_lens=[6, 6, 0, 6]), "1 of 4 requests ended with fewer than 6 output"),
        (with_values(output_lens=[6, 6, 6]), "the result has 3 outputs, expected 4"),
        (with_values(output_lens=[6, 6, None, 6]), "output_lens is None"),
        (without("p99_ttft_ms"), "p99_ttft_ms is None"),
    ],
)
def test_an_incomplete_run_is_a_problem(
    change: Callable[[str], str] | None,
    problem: str,
) -> None:
    output = edited(captured("vllm_bench_performance"), "result.json", change)
    assert problem in "; ".join(parse(job("vllm_bench", "performance"), output).problems)


@pytest.mark.parametrize(
    ("vllm", "change", "problem"),
    [
        ("0.11.0", without("failed"), ""),
        ("0.11.0+cpu", without("failed"), ""),
        ("0.11.1", without("failed"), "failed is None"),
        ("0.33.0", without("failed"), "failed is None"),
        # The host's own vLLM: whichever it is, its result tells.
        ("", without("failed"), ""),
        ("", with_values(failed=1), "1 of 4 requests failed"),
        ("0.11.0", with_values(failed=1), "1 of 4 requests failed"),
        (
            "0.11.0",
            lambda t: without("failed")(with_values(completed=3)(t)),
            "1 of 4 requests fail",
        ),
        ("", lambda t: without("failed")(with_values(completed=3)(t)), "1 of 4 requests failed"),
    ],
)
def test_failed_requests_of_each_version_are_counted(
    vllm: str, change: Callable[[str], str], problem: str
) -> None:
    output = edited(captured("vllm_bench_performance"), "result.json", change)
    problems = parse(job("vllm_bench", "performance", vllm=vllm), output).problems
    assert problem in "; ".join(problems)
    assert bool(problem) == bool(problems)


def of_version(vllm: str, fault: str, **changes: Any) -> tuple[str, ...]:
    """The problems that a captured result of this version has."""
    fields = {"max_out_len": 8, "batch_size": 1, "ignore_eos": True, **changes}
    asked = job("vllm_bench", "performance", vllm=vllm, **fields)
    return parse(asked, captured(f"vllm_bench/{vllm}/{fault}")).problems


def test_every_version_that_a_cpu_serves_has_its_captured_results() -> None:
    offered = servable(load_versions(CONFIGS / "versions.yaml"), "cpu")
    assert {path.name for path in (CAPTURED / "vllm_bench").iterdir()} == set(offered)


@pytest.mark.parametrize("vllm", CAPTURED_VERSIONS)
def test_a_complete_run_of_each_version_is_read(vllm: str) -> None:
    output = captured(f"vllm_bench/{vllm}/whole")
    asked = job("vllm_bench", "performance", vllm=vllm, max_out_len=8, ignore_eos=True)
    result = parse(asked, output)
    assert result.problems == ()
    assert [item.tokens for item in result.items] == [8, 8, 8, 8]
    assert len(result.measurements) == 17
    assert all(figure.value > 0 for figure in result.measurements)


@pytest.mark.parametrize("vllm", CAPTURED_VERSIONS)
@pytest.mark.parametrize(
    ("fault", "problems"),
    [
        ("refused", ["3 of 4 requests were completed", "1 of 4 requests failed", "Server Error"]),
        ("cut", ["3 of 4 requests were completed", "1 of 4 requests failed", "not completed"]),
        # All versions count these as completed: no error, and `failed` is 0 if it exists.
        ("error-event", ["2 of 4 requests ended with fewer than 8 output tokens"]),
    ],
)
def test_no_broken_run_of_any_version_passes(vllm: str, fault: str, problems: list[str]) -> None:
    outputs = of_version(vllm, fault)
    assert len(outputs) == len(problems)
    for text, words in zip(outputs, problems, strict=True):
        assert words in text


@pytest.mark.parametrize("vllm", CAPTURED_VERSIONS)
@pytest.mark.parametrize("ignore_eos", [None, False])
def test_a_cut_off_stream_is_detected_with_any_options(
    vllm: str,
    ignore_eos: bool | None,  # noqa: FBT001 - a table's column
) -> None:
    (problem,) = of_version(vllm, "error-event", ignore_eos=ignore_eos)
    if vllm == "0.11.0" and ignore_eos is False:
        # Only this version then sends no ignore_eos: an answer has at least one token.
        assert problem.startswith("1 of 4 requests ended with fewer than 1 output tokens")
    else:
        assert problem.startswith("2 of 4 requests ended with fewer than 8 output tokens")
    assert of_version(vllm, "whole", ignore_eos=ignore_eos) == ()


@pytest.mark.parametrize(("code", "message"), [(1, "exited with 1"), (None, "was killed")])
def test_a_bad_exit_is_a_problem_even_with_figures(code: int | None, message: str) -> None:
    output = replace(captured("vllm_bench_performance"), exit_code=code, log="why")
    result = parse(job("vllm_bench", "performance"), output)
    assert result.problems == (f"vllm_bench {message}: why",)


def option(argv: tuple[str, ...], name: str) -> str:
    return argv[argv.index(name) + 1]


def test_the_command_matches_the_case() -> None:
    asked = job("vllm_bench", "performance", request_rate=2.5, seed=9, ignore_eos=True, top_k=5)
    argv = command(asked).argv
    assert argv[:3] == ("/env/bin/vllm", "bench", "serve")
    assert option(argv, "--num-prompts") == "4"
    assert option(argv, "--max-concurrency") == "4"
    assert option(argv, "--random-output-len") == "6"
    assert option(argv, "--request-rate") == "2.5"
    assert option(argv, "--base-url") == "http://10.0.0.1:8000"
    assert option(argv, "--tokenizer") == "/models/qwen"
    assert (option(argv, "--seed"), option(argv, "--top-k")) == ("9", "5")
    assert argv[-1] == "--trust-remote-code"
    asked = job("vllm_bench", "performance", trust_remote_code=False)
    assert "--trust-remote-code" not in command(asked).argv
    assert "--ignore-eos" in argv


def test_request_options_are_sent() -> None:
    asked = job("vllm_bench", "performance", min_p=0.1, thinking=True, stop=["a"])
    argv = command(asked).argv
    assert option(argv, "--min-p") == "0.1"
    assert json.loads(option(argv, "--extra-body")) == {
        "stop": ["a"],
        "chat_template_kwargs": {"thinking": True},
    }
    assert "--extra-body" not in command(job("vllm_bench", "performance")).argv


def test_no_request_rate_means_all_at_once() -> None:
    argv = command(job("vllm_bench", "performance")).argv
    assert option(argv, "--request-rate") == "inf"


def test_ignore_eos_is_sent_unless_the_case_disables_it() -> None:
    for ignore_eos, vllm, sent in (
        (None, "0.11.0", True),
        (True, "0.11.0", True),
        (False, "0.11.0", False),
        (False, "", False),
        (False, "0.32.0", True),
    ):
        argv = command(job("vllm_bench", "performance", ignore_eos=ignore_eos, vllm=vllm)).argv
        assert ("--ignore-eos" in argv) is sent


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"request_conf": "tgi"}, "vllm_api_stream_chat"),
        ({"num_prompts": None, "dataset": Dataset("d", None, "random", 0)}, "needs num_prompts"),
    ],
)
def test_options_unsupported_by_vllm_bench_are_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        command(job("vllm_bench", "performance", **changes))


@pytest.mark.parametrize(
    ("changes", "option"),
    [
        ({"repetition_penalty": 1.1}, "--repetition-penalty"),
        ({"presence_penalty": 0.5}, "--presence-penalty"),
        ({"stop": ["a"]}, "--extra-body"),
        ({"thinking": False}, "--extra-body"),
    ],
)
def test_an_option_that_a_version_lacks_is_refused(changes: dict[str, Any], option: str) -> None:
    with pytest.raises(UserError, match=rf"0\.11\.0 has no {option}; .*0\.11\.1 or later"):
        command(job("vllm_bench", "performance", vllm="0.11.0", **changes))
    for vllm in ("0.11.1", "0.32.0", ""):
        assert option in command(job("vllm_bench", "performance", vllm=vllm, **changes)).argv
    plain = command(job("vllm_bench", "performance", vllm="0.11.0", temperature=0, min_p=0.1))
    assert "--min-p" in plain.argv


@pytest.mark.parametrize("name", TOOLS)
def test_every_tool_has_the_interface_of_a_tool(name: str) -> None:
    tool: Tool = TOOLS[name]
    assert {"accuracy", "performance"} >= tool.KINDS
    assert tool.KINDS
    assert tool.OUTPUTS
    assert not any(pattern.startswith("/") for pattern in tool.OUTPUTS)
    assert tool.ENVIRONMENT
