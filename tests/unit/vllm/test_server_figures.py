"""What servers did between two moments, from pages as vLLM 0.32.0 wrote them on 2026-11-26."""

from pathlib import Path

import pytest

from ci.vllm.server_figures import gauges_of, server_figures

CAPTURED = Path(__file__).parents[1] / "captured" / "vllm_metrics" / "vllm-0.32.0.txt"
PAGE = CAPTURED.read_text("utf-8")  # after four requests of 100 tokens in and 16 out
NAMES = {
    "prompt": "vllm:prompt_tokens_total",
    "queries": "vllm:prefix_cache_queries_total",
    "hits": "vllm:prefix_cache_hits_total",
    "drafts": "vllm:spec_decode_num_drafts_total",
    "draft tokens": "vllm:spec_decode_num_draft_tokens_total",
    "accepted": "vllm:spec_decode_num_accepted_tokens_total",
    "running": "vllm:num_requests_running",
    "waiting": "vllm:num_requests_waiting",
    "kv": "vllm:kv_cache_usage_perc",
}


def page(engine=0, **values):
    lines = (f'{NAMES[name]}{{engine="{engine}"}} {value}' for name, value in values.items())
    return "\n".join(lines)


def test_a_page_of_vllm():
    figures = {name: value for name, value, _ in server_figures([""], [PAGE], [gauges_of([PAGE])])}
    assert figures == {
        "server_prompt_tokens": 400,
        "server_generated_tokens": 64,
        "server_preemptions": 0,
        "prefix_cache_hit_rate": 0,
        "server_requests_stop": 0,
        "server_requests_length": 4,
        "server_requests_abort": 0,
        "server_requests_error": 0,
        "server_requests_repetition": 0,
    }


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([page(prompt=5)], [page(prompt=9)], {"server_prompt_tokens": (4, "tokens")}),
        # Summed over servers and their engines.
        (
            [page(prompt=5), page(prompt=1) + "\n" + page(1, prompt=2)],
            [page(prompt=6), page(prompt=3) + "\n" + page(1, prompt=5)],
            {"server_prompt_tokens": (6, "tokens")},
        ),
        (
            [page(queries=100, hits=10)],
            [page(queries=300, hits=160)],
            {"prefix_cache_hit_rate": (75, "%")},
        ),
        ([page(queries=100, hits=10)], [page(queries=100, hits=10)], {}),
        (
            [""],
            [page(drafts=10, accepted=14) + "\n" + page(**{"draft tokens": 20})],
            {"draft_acceptance_rate": (70, "%"), "accepted_length": (2.4, "tokens")},
        ),
        # The server was started again: its counters say nothing.
        ([page(prompt=5)], [page(prompt=4)], {}),
        ([page(prompt=5)], [""], {}),
        (
            ['vllm:request_success_total{engine="0",finished_reason="x"} 1'],
            ['vllm:request_success_total{engine="0",finished_reason="x"} 3'],
            {"server_requests_other": (2, "requests")},
        ),
    ],
)
def test_differences(before, after, expected):
    figures = {name: (value, unit) for name, value, unit in server_figures(before, after, ())}
    assert figures == expected


def test_gauges_are_summed_over_servers_and_the_largest_moment_counts():
    moments = [
        gauges_of([page(running=3, waiting=1, kv=0.25), page(running=4, waiting=0, kv=0.5)]),
        gauges_of([page(running=1, waiting=9, kv=0.1), page(running=1, waiting=0, kv=0.2)]),
        gauges_of(["<html>"]),
    ]
    assert server_figures([""], [""], moments) == (
        ("server_requests_running_max", 7, "requests"),
        ("server_requests_waiting_max", 9, "requests"),
        ("kv_cache_usage_max", 50, "%"),
    )
