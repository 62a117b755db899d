"""What a server has done since it started, from its metrics page. Pure.

https://docs.vllm.ai/en/stable/usage/metrics.html
"""

from __future__ import annotations

from dataclasses import dataclass

from ci.vllm.metrics import samples

FINISHED = "vllm:request_success_total"
TAKEN = "vllm:external_prefix_cache_hits_total"
UNFINISHED = ("vllm:num_requests_running", "vllm:num_requests_waiting")


@dataclass(frozen=True)
class Work:
    """What all engines of a server have done.

    Attributes:
        finished: requests that ended, for whatever reason.
        taken_tokens: tokens of prompts whose KV cache came from another server; None if the server
            does not count them.
        unfinished: requests that run or wait at this moment.
    """

    finished: int
    taken_tokens: int | None
    unfinished: int


def work_of(page: str) -> Work | None:
    """Read a server's work.

    Args:
        page: in Prometheus' text format; other lines are ignored.

    Returns:
        None if the page does not count requests, as with `--disable-log-stats`.
    """
    finished, taken = _sum(page, FINISHED), _sum(page, TAKEN)
    if finished is None:
        return None
    return Work(finished, taken, sum(_sum(page, name) or 0 for name in UNFINISHED))


def _sum(page: str, name: str) -> int | None:
    values = [value for _, value in samples(page, name)]
    return round(sum(values)) if values else None
