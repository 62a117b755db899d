import pytest

from ci.history.slow_night import with_slow_night
from ci.judge.verdict import Check, combine
from ci.record.model import Changed, SinceGood

BENCHMARKS = {"short", "long"}


def check(name, outcome, reason="10 % lower than 9 nights", baseline=1000.0):
    return Check(
        name, "output_token_throughput", 900.0, "tok/s", baseline, "", None, outcome, reason
    )


def since(*variables, side="product", not_known=()):
    shown = tuple(Changed(variable=each, text="a → b") for each in variables)
    return SinceGood(
        run="r1",
        side=side,
        count=len(shown),
        shown=shown,
        not_known=not_known,
        compare="inv compare",
    )


SLOW = (check("short", "fail"), check("long", "fail"))
SUSPECT = check("long", "unknown", "suspect: 4 % lower")


@pytest.mark.parametrize(
    ("checks", "changed", "outcome"),
    [
        (SLOW, since(), "unknown"),
        (SLOW, since("driver", "kernel"), "unknown"),
        ((SLOW[0], SUSPECT), since("driver"), "unknown"),
        # Something of the version differs, or may.
        (SLOW, since("vLLM", "driver"), "fail"),
        (SLOW, since("packages of vLLM"), "fail"),
        (SLOW, since("flags"), "fail"),
        (SLOW, since("settings of short"), "fail"),
        (SLOW, since(not_known=("flags",)), "fail"),
        (SLOW, None, "fail"),
        # Not everything is slow.
        ((SLOW[0], check("long", "pass", "")), since(), "fail"),
        ((SLOW[0], check("long", "pass", "no baseline yet", None)), since(), "fail"),
        ((SLOW[0],), since(), "fail"),
        ((SUSPECT, check("short", "unknown", "suspect: 4 % lower")), since(), "unknown"),
        # An accuracy does not depend on the speed of the hosts.
        ((*SLOW, check("gsm8k", "fail")), since(), "fail"),
    ],
)
def test_a_night_that_is_slow_on_everything(checks, changed, outcome):
    verdict = with_slow_night(combine(checks), BENCHMARKS, changed)
    assert verdict.outcome == outcome
    told = [each for each in verdict.checks if "the night's fault" in each.reason]
    assert all(each.outcome == "unknown" and each.name in BENCHMARKS for each in told)
    assert bool(told) == ((outcome == "unknown" and SLOW[0] in checks) or len(checks) == 3)
