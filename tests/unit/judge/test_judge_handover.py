"""Test the judge of a handover, and of a router's health."""

import pytest

from ci.judge.handover import Handover, handover_checks
from ci.judge.router_health import AfterEnd, health_checks


def handed(**other):
    fields = {
        "name": "chat",
        "prefilled": {"prefill-0": 1},
        "decoded": {"decode-0": 1},
        "taken_tokens": 512,
        "left": 0,
    }
    return Handover(**(fields | other))


def judged(*handovers):
    checks = handover_checks(handovers)
    return {check.name.removeprefix("prefill/decode: "): check for check in checks}


def test_all_is_well():
    checks = judged(handed(), handed(prefilled={"prefill-1": 1}), handed())
    assert {check.outcome for check in checks.values()} == {"pass"}
    assert list(checks) == ["answers", "prefill", "decode", "cache", "same answers"]
    assert checks["prefill"].reason == "prefill-0: 2, prefill-1: 1"
    assert checks["decode"].reason == "decode-0: 3"
    assert (checks["cache"].value, checks["cache"].bound) == (3, 3)


@pytest.mark.parametrize(
    ("wrong", "failed", "reason"),
    [
        ({"unanswered": "HTTP 502: x"}, "answers", "chat: HTTP 502: x"),
        ({"wrong": "usage: expected 1, got 2"}, "answers", "chat: usage: expected 1, got 2"),
        ({"prefilled": {}}, "prefill", "chat: no prefill server had this request"),
        ({"prefilled": {"prefill-0": 2}}, "prefill", "chat: prefill servers had it 2 times"),
        (
            {"prefilled": {"prefill-0": 1, "prefill-1": 1}},
            "prefill",
            "chat: prefill servers had it 2 times",
        ),
        ({"decoded": {}}, "decode", "chat: no decode server had this request"),
        ({"decoded": {"decode-0": 2}}, "decode", "chat: decode servers had it 2 times"),
        ({"left": 1}, "decode", "chat: 1 request is still unfinished"),
        ({"taken_tokens": 0}, "cache", "chat: the decode server took no KV cache"),
    ],
)
def test_one_wrong_request_fails_its_check_alone(wrong, failed, reason):
    checks = judged(handed(name="other"), handed(**wrong))
    outcomes = {name: check.outcome for name, check in checks.items()}
    assert outcomes == dict.fromkeys(outcomes, "pass") | {failed: "fail"}
    assert checks[failed].reason.startswith(reason)


@pytest.mark.parametrize(
    ("differences", "outcome", "value"),
    [
        (["", "", "", ""], "pass", 4),
        (["x", "x", "", ""], "pass", 2),
        (["x", "x", "x", ""], "fail", 1),
        (["x", "", None, None], "pass", 1),
        (["x", None, None, None], "fail", 0),
        ([None, None], "unknown", None),
    ],
)
def test_half_of_the_answers_are_those_of_a_server_alone(differences, outcome, value):
    checks = judged(*(handed(differs=difference) for difference in differences))
    assert (checks["same answers"].outcome, checks["same answers"].value) == (outcome, value)


def test_without_an_answer_nothing_else_is_known():
    checks = judged(handed(unanswered="timeout", prefilled={}, decoded={}, taken_tokens=None))
    assert checks["answers"].outcome == "fail"
    others = {name: check for name, check in checks.items() if name != "answers"}
    assert {check.outcome for check in others.values()} == {"unknown"}
    assert {check.reason for check in others.values()} == {"no request was answered"}


def test_servers_that_do_not_count_the_cache_are_not_judged_by_it():
    assert "cache" not in judged(handed(taken_tokens=None))


@pytest.mark.parametrize(
    ("unanswered", "status", "outcome", "reason"),
    [
        ((), 200, "pass", "4 of 4 requests are answered; its health: 200"),
        ((), 503, "pass", "4 of 4 requests are answered; its health: 503"),
        (("HTTP 502",), 503, "pass", "3 of 4 requests are answered (HTTP 502); its health: 503"),
        (("gone",) * 4, None, "pass", "0 of 4 requests are answered (gone); its health: no answer"),
        (
            ("timeout",) * 2,
            200,
            "fail",
            "its health still says 200 after 15 s, but 2 of 4 requests are answered (timeout)",
        ),
    ],
)
def test_health_may_say_200_only_while_every_request_is_answered(
    unanswered, status, outcome, reason
):
    (check,) = health_checks([AfterEnd("decode-1", 4, unanswered, status, 15.2)])
    assert (check.outcome, check.reason) == (outcome, reason)
    assert check.name == "router health without decode-1"
