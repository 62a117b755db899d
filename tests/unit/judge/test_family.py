"""What chance explains among the checks of a night, and what it does not."""

from __future__ import annotations

from dataclasses import replace

from ci.judge.family import without_chance
from ci.judge.verdict import Check

GOOD = Check("gsm8k", "accuracy", 95.0, "%", 95.0, "", None, "pass", p=0.6)
SUSPECT = replace(GOOD, name="perf", outcome="unknown", reason="suspect: 3 % lower", p=0.018)
NIGHT = [SUSPECT, *(replace(GOOD, name=f"gsm8k-{at}") for at in range(19))]


def test_the_lowest_of_many_figures_is_chance():
    (judged, *others) = without_chance(NIGHT)
    assert (judged.outcome, judged.reason) == (
        "pass",
        "suspect: 3 % lower; one of 20 benchmarks is as low as that by chance",
    )
    assert others == NIGHT[1:]
    assert without_chance([SUSPECT]) == [SUSPECT]
    assert without_chance([replace(SUSPECT, p=0.001), *NIGHT[1:]])[0].outcome == "unknown"


def test_what_is_low_again_each_time_is_no_chance():
    assert without_chance(NIGHT, again={("perf", "accuracy")}) == NIGHT
