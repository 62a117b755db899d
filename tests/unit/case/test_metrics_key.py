"""`metrics` of a benchmark, and `startup` of a case: what is read, what is refused, and where."""

import json

import pytest
from tool_outputs import captured, job

from ci.case.known_metrics import KNOWN, MAIN, OF_LOAD, OF_SERVERS, OF_STARTUP
from ci.case.load import parse
from ci.errors import CaseError
from ci.judge.metrics import is_score, lower_is_better
from ci.tools.registry import TOOLS
from ci.vllm.server_figures import server_figures

LOAD = "case_type: performance, dataset_path: random, num_prompts: 8, max_out_len: 8"
PERF = f"{{{LOAD}, tool: vllm_bench, batch_size: 1"
ACC = "{case_type: accuracy, dataset_path: gsm8k, max_out_len: 8, batch_size: 1"
DEPLOYMENT = """\
test_name: t
model: m
num_nodes: 1
npu_per_node: 0
deployment:
  - server_cmd: vllm serve m
"""
EXTERNAL_DP = """\
model: m
num_nodes: 1
npu_per_node: 4
routing: {type: generic_dp, groups: {worker: [0]}}
config:
  - {port_start: 7100, dp_rpc_port: 12321, dp_size: 2, dp_size_local: 2, dp_address: $NODE_0_IP}
templates:
  - envs: {CUDA_VISIBLE_DEVICES: "1"}
    server_cmd_template:
      [--port, "${PORT}", --data-parallel-size, "2", --data-parallel-rank, "${DP_RANK}",
       --data-parallel-address, "${DP_ADDRESS}", --data-parallel-rpc-port, "${DP_RPC_PORT}"]
"""


def single_node(keys):
    inner = "".join(f"    {line}\n" for line in keys.splitlines())
    return f"test_cases:\n  - name: first\n    model: m\n    server_cmd: --port 9000\n{inner}"


DIALECTS = {
    "deployment": lambda keys: DEPLOYMENT + keys,
    "external_dp": lambda keys: EXTERNAL_DP + keys,
    "single_node": single_node,
}


def load(keys, dialect="deployment"):
    (case,) = parse(DIALECTS[dialect](keys).encode(), "case.yaml")
    return case


def benchmark(metrics, entry=PERF):
    return f"benchmarks:\n  b: {entry}, metrics: {metrics}}}\n"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_has_both_keys(dialect):
    metrics = "{ttft_p99: {baseline: 350, threshold: 0.9}, goodput: {}, server_preemptions: }"
    keys = benchmark(metrics, f"{PERF}, goodput: {{ttft: 100}}")
    case = load(
        f"{keys}startup: {{startup_weights_s: {{baseline: 60, threshold: 0.8}}}}\n", dialect
    )
    further = {name: each.expected for name, each in case.benchmarks[0].further.items()}
    assert further == {
        "ttft_p99": (350, 0.9),
        "request_goodput": None,
        "server_preemptions": None,
    }
    assert {name: each.expected for name, each in case.startup.items()} == {
        "startup_weights_s": (60, 0.8)
    }
    without = load("benchmarks:\n  b: " + PERF + "}\n", dialect)
    assert (without.benchmarks[0].further, without.startup) == ({}, {})


@pytest.mark.parametrize(
    ("keys", "key", "message"),
    [
        (
            benchmark("{ttft_p95: {}}"),
            "metrics.ttft_p95",
            "unknown metric; did you mean 'ttft_p99'",
        ),
        (
            benchmark("{draft_acceptance_rate: {baseline: 120, threshold: 0.9}}"),
            "metrics.draft_acceptance_rate.baseline",
            "120 is out of range; draft_acceptance_rate is in percent, at most 100",
        ),
        (benchmark("{bogus: {}}"), "metrics.bogus", "unknown metric; known: accepted_length, "),
        (benchmark("{goodput: {}}"), "metrics.goodput", "add e.g. goodput: {ttft: 2000}"),
        (
            benchmark("{output_token_throughput: {}}"),
            "metrics.output_token_throughput",
            "is the benchmark's own figure; write baseline and threshold beside 'metrics'",
        ),
        (benchmark("{output_tokens: {}}"), "metrics.output_tokens", "is an amount of work"),
        (
            benchmark("{server_requests_stop: {}}"),
            "metrics.server_requests_stop",
            "is an amount of work",
        ),
        (
            benchmark("{ttft_p99: {}}", ACC),
            "metrics.ttft_p99",
            "has no accuracy benchmark; known: ",
        ),
        (benchmark("{accuracy: {}}", ACC), "metrics.accuracy", "is the benchmark's own figure"),
        (
            benchmark("{startup_api_s: {}}"),
            "metrics.startup_api_s",
            "is a figure of the servers' start; write it under 'startup'",
        ),
        (
            benchmark("{goodput: {}, request_goodput: {}}", f"{PERF}, goodput: {{ttft: 1}}"),
            "metrics.request_goodput",
            "is the same figure as 'goodput'; remove one of them",
        ),
        (
            benchmark("{ttft_p99: {baseline: 3}}"),
            "metrics.ttft_p99.threshold",
            "give both 'baseline' and 'threshold', or leave out both",
        ),
        (
            benchmark("{ttft_p99: {baseline: 3, threshold: 0}}"),
            "metrics.ttft_p99.threshold",
            "it has to be more than 0",
        ),
        (
            benchmark("{ttft_p99: {baseline: 0, threshold: 1}}"),
            "metrics.ttft_p99.baseline",
            "no valid ttft_p99 is 0",
        ),
        (
            benchmark("{ttft_p99: {treshold: 3}}"),
            "metrics.ttft_p99.treshold",
            "unknown key; did you mean 'threshold'?",
        ),
    ],
)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_figure_that_is_not_judged_is_an_error_at_its_key(keys, key, message, dialect):
    with pytest.raises(CaseError) as refused:
        load(keys, dialect)
    (problem,) = refused.value.problems
    assert problem.key.endswith(f"benchmarks.b.{key}")
    assert message in problem.message
    line = DIALECTS[dialect](keys).splitlines()[problem.line - 1]
    assert line[problem.column - 1 :].startswith((key.rpartition(".")[2], "0", "120", "ttft_p99"))


@pytest.mark.parametrize(
    ("keys", "key", "message"),
    [
        ("startup: {weights: {}}", "startup.weights", "did you mean 'startup_weights_s'?"),
        ("startup: {x: {}}", "startup.x", "known: startup_api_s, startup_compile_s, "),
        (
            f"startup: {{startup_api_s: {{}}}}\nbenchmarks: {{startup: {PERF}}}}}",
            "benchmarks.startup",
            "rename the benchmark",
        ),
    ],
)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_unknown_phase_of_a_start_is_an_error(keys, key, message, dialect):
    with pytest.raises(CaseError) as refused:
        load(keys, dialect)
    (problem,) = refused.value.problems
    assert problem.key.endswith(key)
    assert message in problem.message


LEVELS = f"{{{LOAD}, tool: vllm_bench, batch_size: [1, 8]"


def test_each_load_level_may_have_its_own_baseline():
    metrics = "{ttft_p99: {baseline: [350, 500], threshold: 0.9}, tpot_mean: {}}"
    first, second = load(benchmark(metrics, LEVELS)).benchmarks
    assert [each.name for each in (first, second)] == ["b-1", "b-8"]
    assert first.further["ttft_p99"].expected == (350, 0.9)
    assert second.further["ttft_p99"].expected == (500, 0.9)
    assert second.further["tpot_mean"].expected is None


@pytest.mark.parametrize(
    ("entry", "metrics", "key", "message"),
    [
        (LEVELS, "{ttft_p99: {baseline: [1], threshold: 1}}", "baseline", "has 1 values and batch"),
        (PERF, "{ttft_p99: {baseline: [1], threshold: 1}}", "baseline", "found a list; write one"),
    ],
)
def test_lists_that_fit_no_load_levels_are_errors(entry, metrics, key, message):
    with pytest.raises(CaseError) as refused:
        load(benchmark(metrics, entry))
    (problem,) = refused.value.problems
    assert problem.key == f"benchmarks.b.metrics.ttft_p99.{key}"
    assert message in problem.message


def test_the_error_of_a_level_is_at_its_item():
    keys = benchmark("{ttft_p99: {baseline: [350, 0], threshold: 0.9}}", LEVELS)
    with pytest.raises(CaseError) as refused:
        load(keys)
    (problem,) = refused.value.problems
    assert problem.key == "benchmarks.b-8.metrics.ttft_p99.baseline"
    line = DIALECTS["deployment"](keys).splitlines()[problem.line - 1]
    assert line[problem.column - 1 :].startswith("0]")


@pytest.mark.parametrize(
    ("tool", "case_type", "folder"),
    [
        ("aisbench", "accuracy", "aisbench_accuracy"),
        ("aisbench", "performance", "aisbench_performance"),
        ("vllm_bench", "performance", "vllm_bench_performance"),
        ("lm_eval", "accuracy", "lm_eval_accuracy"),
        ("evalscope", "accuracy", "evalscope_accuracy"),
    ],
)
def test_what_a_tool_measures_is_known_with_its_unit(tool, case_type, folder):
    result = TOOLS[tool].parse(job(tool, case_type), captured(folder))
    assert result.measurements
    for figure in result.measurements:
        if is_score(figure.metric):
            assert figure.metric == MAIN[case_type]
        else:
            assert KNOWN[figure.metric].unit == figure.unit
            assert figure.metric in OF_LOAD


def test_what_the_servers_metrics_give_is_known_with_its_unit():
    own = 'engine="0"'
    counters = ("prompt_tokens", "generation_tokens", "num_preemptions")
    counters += ("prefix_cache_queries", "prefix_cache_hits")
    counters += ("external_prefix_cache_queries", "external_prefix_cache_hits")
    counters += tuple(f"spec_decode_num_{each}" for each in ("drafts", "draft_tokens"))
    counters += ("spec_decode_num_accepted_tokens",)
    reasons = ("stop", "length", "abort", "error", "repetition", "new")

    def page(value):
        lines = [f"vllm:{each}_total{{{own}}} {value}\n" for each in counters]
        lines += [
            f'vllm:request_success_total{{{own},finished_reason="{reason}"}} {value}\n'
            for reason in reasons
        ]
        return "".join(lines)

    gauges = {"num_requests_running": 2.0, "num_requests_waiting": 1.0, "kv_cache_usage_perc": 0.1}
    during = [{f"vllm:{name}": value for name, value in gauges.items()}]
    given = {name: unit for name, _, unit in server_figures([page(1)], [page(3)], during)}
    assert given == {name: metric.unit for name, metric in OF_SERVERS.items()}


def test_every_figure_has_the_direction_of_its_judge():
    for name, metric in KNOWN.items():
        if metric.better != "neither":
            assert lower_is_better(name, metric.unit) is (metric.better == "lower")
    assert {metric.better for metric in OF_STARTUP.values()} == {"lower"}
    assert all(metric.may_be_zero for metric in KNOWN.values() if metric.scale != "performance")


def test_an_override_reaches_a_metric():
    text = DIALECTS["deployment"](benchmark("{ttft_p99: {baseline: 350, threshold: 0.9}}"))
    settings = ("benchmarks.b.metrics.ttft_p99.baseline=400", "startup={startup_api_s: {}}")
    (case,) = parse(text.encode(), "case.yaml", settings)
    assert case.benchmarks[0].further["ttft_p99"].expected == (400, 0.9)
    assert list(case.startup) == ["startup_api_s"]
    assert json.loads(case.model_dump_json())["startup"] == {
        "startup_api_s": {"baseline": None, "threshold": None}
    }
