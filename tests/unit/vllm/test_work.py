"""Test what a metrics page says about a server's work."""

import pytest

from ci.vllm.work import Work, work_of

PAGE = """\
# HELP vllm:request_success_total Count of successfully processed requests.
vllm:request_success_total{engine="0",finished_reason="stop",model_name="m"} 3.0
vllm:request_success_total{engine="0",finished_reason="length",model_name="m"} 2.0
vllm:request_success_total{engine="1",finished_reason="abort",model_name="m"} 1.0
vllm:external_prefix_cache_hits_total{engine="0",model_name="m"} 128.0
vllm:external_prefix_cache_hits_total{engine="1",model_name="m"} 256.0
vllm:num_requests_running{engine="0",model_name="m"} 1.0
vllm:num_requests_waiting{engine="1",model_name="m"} 2.0
"""


@pytest.mark.parametrize(
    ("without", "work"),
    [
        ("nothing", Work(6, 384, 3)),
        ("external", Work(6, None, 3)),
        ("running", Work(6, 384, 2)),
        ("request_success", None),
    ],
)
def test_all_engines_are_added_up(without, work):
    lines = (line for line in PAGE.splitlines() if without not in line)
    assert work_of("\n".join(lines)) == work


def test_a_page_without_metrics_counts_nothing():
    assert work_of("") is None
    assert work_of("<html>not found</html>") is None
