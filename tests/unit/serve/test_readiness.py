import pytest

from ci.serve.probe import ProbeResult
from ci.serve.readiness import Readiness, judge_readiness

HEALTHY = ProbeResult("health", 200)
ANSWERED = ProbeResult("completion", 200, tokens=3, text=" one two three")


@pytest.mark.parametrize(
    ("health", "completion", "waiting_for"),
    [
        (None, None, "health 200 (no reply yet)"),
        (
            ProbeResult("health", error="connection refused"),
            None,
            "health 200 (connection refused)",
        ),
        (ProbeResult("health", 503, error="HTTP 503"), None, "health 200 (HTTP 503)"),
        # Health that is lost again outweighs a completion seen before.
        (ProbeResult("health", 503, error="HTTP 503"), ANSWERED, "health 200 (HTTP 503)"),
        (HEALTHY, None, "a completion with tokens (no reply yet)"),
        (
            HEALTHY,
            ProbeResult("completion", error="no answer within 120 s"),
            "a completion with tokens (no answer within 120 s)",
        ),
        (
            HEALTHY,
            ProbeResult("completion", 200, text="", error="the reply has no tokens"),
            "a completion with tokens (the reply has no tokens)",
        ),
        (
            HEALTHY,
            ProbeResult("completion", 404, error="HTTP 404: no such model"),
            "a completion with tokens (HTTP 404: no such model)",
        ),
    ],
)
def test_not_ready_says_what_is_waited_for(health, completion, waiting_for):
    assert judge_readiness(health, completion) == Readiness(ready=False, waiting_for=waiting_for)


def test_ready_is_health_and_a_completion_with_tokens():
    assert judge_readiness(HEALTHY, ANSWERED) == Readiness(ready=True, waiting_for="")
