"""What a check says of a night, with what came before: outcome, sentence and fields."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ci.judge.against import written_of
from ci.judge.baseline import NONE_YET, Accepted, CaseBaseline, Holding, Ledger, holding
from ci.judge.evidence import Subject, alternating, examine, noise_of
from ci.judge.measured import Ask
from ci.judge.past import Conditions, PastFigure
from ci.judge.scale import Scale
from ci.judge.sentence import with_evidence
from ci.judge.verdict import NO_BASELINE, Check

SPEED = PastFigure(
    run="tonight", case="c", benchmark="perf", metric="output_token_throughput", value=1000.0,
    unit="tok/s", n=192, started_at="2026-11-20", host="a", conditions=Conditions(),
)  # fmt: skip
SCORE = PastFigure(
    run="tonight", case="c", benchmark="gsm8k", metric="accuracy", value=95.0, unit="%", n=200,
    started_at="2026-11-20", host="a", conditions=Conditions(), n_items=200, questions="q",
)  # fmt: skip
VALUES = [1000, 1008, 995, 1003, 992, 1005, 997, 1001, 1006, 994]
CASE = Holding(1000.0, "case.yaml:7", threshold=0.97)


def nights(like: PastFigure, *values: float, outcomes: str = "") -> tuple[PastFigure, ...]:
    """Return earlier nights of a figure; outcomes has a letter for each."""
    words = {"p": "pass", "f": "fail", "u": "unknown"}
    return tuple(
        replace(
            like, run=f"r{day}", value=value, started_at=f"2026-10-{day:02}",
            outcome=words[outcomes[day - 1]] if outcomes else "pass",
        )
        for day, value in enumerate(values, 1)
    )  # fmt: skip


def judged(subject: Subject, repeats=(), controls=()) -> Check:
    """Judge, with what is measured when asked."""
    left = {Ask.REPEAT: list(repeats), Ask.CONTROL: list(controls)}
    examining = examine(subject)
    try:
        question = next(examining).what
        while True:
            value = left[question].pop(0) if left[question] else None
            answer = None if value is None else replace(subject.tonight, value=value, repeat=1)
            question = examining.send(answer).what
    except StopIteration as ended:
        figure = subject.tonight
        check = Check(
            figure.benchmark, figure.metric, figure.value, figure.unit, None, "", None, "pass",
            NO_BASELINE if subject.holding.value is None else "",
        )  # fmt: skip
        return with_evidence(check, subject, ended.value)


def tonight(like: PastFigure, value: float, **given: object) -> PastFigure:
    return replace(like, value=value, **given)


@pytest.mark.parametrize(
    ("value", "holding", "outcome", "reason"),
    [
        (500.0, Holding(None), "pass", NO_BASELINE),
        (1000.0, CASE, "pass", ""),
        (975.0, CASE, "pass", ""),
        (1050.0, CASE, "pass", "above the band: accept it? `inv baseline.accept`"),
        (960.0, CASE, "unknown", "suspect: 4 % lower than the baseline, and tonight cannot tell"),
    ],
)
def test_a_first_night_is_held_against_the_case_alone(value, holding, outcome, reason):
    check = judged(Subject(tonight(SPEED, value), holding=holding))
    assert (check.outcome, check.reason.partition(" (")[0]) == (outcome, reason)
    assert check.baseline == holding.value


@pytest.mark.parametrize(
    ("repeats", "outcome"),
    [([961, 962, 963], "fail"), ([961, 985], "pass"), ([961], "unknown")],
)
def test_a_speed_fails_against_a_written_baseline_only_when_measured_again(repeats, outcome):
    check = judged(Subject(tonight(SPEED, 960.0), holding=CASE), repeats)
    assert check.outcome == outcome


@pytest.mark.parametrize(
    ("n", "value", "outcome"),
    [
        (200, 91.0, "unknown"),  # 8 of 200 answers, below the bound of 92: chance does so
        (200, 88.0, "fail"),
        (1319, 91.9, "fail"),
        (8, 62.5, "unknown"),
        (8, 25.0, "fail"),
    ],
)
def test_few_items_cannot_fail_a_written_baseline(n, value, outcome):
    holding = Holding(95.0, "case.yaml:7", threshold=3.0)
    check = judged(Subject(tonight(SCORE, value, n=n, n_items=n), holding=holding))
    assert check.outcome == outcome
    assert (check.baseline, check.bound, check.source) == (95.0, 92.0, "case.yaml:7")
    assert check.interval[0] < value < check.interval[1]


def test_the_history_knows_more_than_a_stale_baseline():
    past = nights(SPEED, *[1.12 * value for value in VALUES])
    check = judged(
        Subject(tonight(SPEED, 1062.0), past, CASE), [1061, 1063, 1060], [1120, 1121, 1119]
    )
    assert check.outcome == "fail"
    assert check.baseline == pytest.approx(1120, rel=0.01)
    assert check.source == "10 nights since 2026-10-01"
    assert check.reason.startswith("5.19 % lower than 10 nights (measured again: 1061, 1063, 1060")
    assert check.interval[0] < 1062 < check.interval[1]
    assert 0 < check.smallest_drop < 30


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"failed": 3}, "3 requests failed"),
        ({"missing": 2}, "2 items are missing"),
        ({"value": 0.0}, "output_token_throughput is 0"),
        ({"problems": ("the tool crashed",)}, "problems: the tool crashed"),
        ({"problems": ("void: throttled",)}, "void: throttled"),
        ({"run": "r3"}, "r3 was judged before: nothing was measured tonight"),
    ],
)
def test_what_is_not_valid_is_unknown_whatever_its_value(change, reason):
    check = judged(Subject(replace(SPEED, **change), nights(SPEED, *VALUES), CASE))
    assert (check.outcome, check.reason) == ("unknown", reason)


@pytest.mark.parametrize(
    ("past", "holding", "outcome"),
    [
        ((), Holding(None), "pass"),
        ((), Holding(0.0, "case.yaml:7", threshold=0.0), "pass"),
        ((), Holding(40.0, "case.yaml:7", threshold=5.0), "unknown"),
        (nights(SCORE, 0.0, 0.0, 0.0, 0.0, 0.0), Holding(None), "pass"),
        (nights(SCORE, 40.0, 0.0, 0.0), Holding(None), "unknown"),
    ],
)
def test_a_score_of_0_is_valid_where_nobody_has_seen_another(past, holding, outcome):
    assert judged(Subject(tonight(SCORE, 0.0), past, holding)).outcome == outcome


def test_a_void_first_night_has_nothing_to_get_wrong():
    check = judged(Subject(replace(SPEED, problems=("void: throttled",))))
    assert (check.outcome, check.reason) == ("pass", NO_BASELINE)


@pytest.mark.parametrize(
    "change",
    [{"device": "cuda"}, {"conditions": Conditions(tokenizer="v2")}, {"questions": "others"}],
)
def test_nights_that_are_not_comparable_do_not_count(change):
    past = nights(replace(SPEED, **change), *VALUES)
    check = judged(Subject(tonight(SPEED, 700.0), past))
    assert (check.outcome, check.reason) == ("pass", NO_BASELINE)
    assert check.seen.startswith("10 not: ")


def test_the_first_nights_tell_how_many_are_missing():
    check = judged(Subject(tonight(SPEED, 1000.0), nights(SPEED, *VALUES[:2])))
    assert (check.outcome, check.reason) == ("pass", f"{NO_BASELINE}: 2 of 4 comparable nights")


def test_a_night_that_measured_several_times_is_one():
    past = [replace(each, repeat=repeat) for each in nights(SPEED, 1000.0) for repeat in range(4)]
    past = [replace(each, started_at=f"2026-10-01T0{each.repeat}") for each in past]
    check = judged(Subject(tonight(SPEED, 1000.0), tuple(past)))
    assert (check.seen, check.reason) == (
        "1 comparable night",
        f"{NO_BASELINE}: 1 of 4 comparable nights",
    )


@pytest.mark.parametrize(("value", "above"), [(1000, False), (1012, False), (1050, True)])
def test_a_better_figure_is_never_a_failure_and_asks_to_be_accepted(value, above):
    check = judged(Subject(tonight(SPEED, float(value)), nights(SPEED, *VALUES)))
    assert check.outcome == "pass"
    assert check.reason.startswith("above the band: accept it?") is above


def test_answers_that_are_cut_fail_though_the_score_holds():
    past = tuple(replace(each, cut=5) for each in nights(SCORE, 94.8, 94.9, 94.6, 95, 94.7, 94.8))
    check = judged(Subject(tonight(SCORE, 94.0, cut=30), past))
    assert check.outcome == "fail"
    assert check.reason.startswith("30 of 200 answers reached the maximum length, where 5 used to")
    assert judged(Subject(tonight(SCORE, 94.8, cut=8), past)).outcome == "pass"


def test_nights_that_failed_are_no_level():
    past = nights(SPEED, *VALUES, 900, 900, 900, outcomes="p" * 10 + "fff")
    check = judged(Subject(tonight(SPEED, 900.0), past), [901, 899, 902], [1000, 1001, 999])
    assert check.outcome == "fail"


@pytest.mark.parametrize(
    ("outcomes", "unstable"),
    [
        ("pppppppppppp", False),
        ("ppppfffffppp", False),  # one loss that was mended
        ("pppfpppfpppf", True),
        ("fpfpfppppppp", True),
        ("pufpupfpppfp", True),
    ],
)
def test_good_and_bad_nights_that_alternate_are_unstable(outcomes, unstable):
    past = nights(SPEED, *[1000.0] * 12, outcomes=outcomes)
    assert bool(alternating(past)) is unstable
    assert judged(Subject(SPEED, past)).outcome == ("unknown" if unstable else "pass")


def test_a_ledgers_nights_are_the_level_and_those_before_are_not():
    past = nights(SPEED, *[1200.0] * 10, *VALUES[:4])
    entry = Accepted("perf", SPEED.metric, 1000.0, "tok/s", runs=("r11", "r12"), when="2026-10-13")
    holding = Holding(1000.0, "ledger.yaml:3", accepted=entry)
    assert judged(Subject(tonight(SPEED, 1001.0), past, holding)).outcome == "pass"
    assert judged(Subject(tonight(SPEED, 1001.0), past)).outcome == "fail"


@pytest.mark.parametrize(
    ("threshold", "lower", "bound"),
    [(0.97, False, 970), (1.1, True, 1100), (0.9, True, 1000 / 0.9)],
)
def test_the_bound_is_on_the_worse_side(threshold, lower, bound):
    assert written_of(1000.0, threshold, Scale("performance", lower)).bound == pytest.approx(bound)


def test_the_noise_of_runs_is_that_of_repeated_nights():
    once = nights(SPEED, *VALUES)
    scale = Scale("performance")
    assert noise_of(once, scale) is None
    again = tuple(replace(night, value=night.value * 1.01, repeat=1) for night in once)
    noise = noise_of((*once, *again), scale)
    assert noise.df == 10
    assert noise.sd == pytest.approx(0.995 / 2**0.5, rel=0.01)


def changed(like: PastFigure, *values: float) -> tuple[PastFigure, ...]:
    """Return good nights of other settings."""
    return tuple(
        replace(each, conditions=Conditions(max_out_len=4096)) for each in nights(like, *values)
    )


@pytest.mark.parametrize(
    ("like", "value", "holding", "past", "outcome"),
    [
        # The baseline of the case is that of the nights before: of tonight it says nothing.
        (SCORE, 80.0, Holding(95.0, "case", threshold=3.0), changed(SCORE, 95, 94.5), "unknown"),
        (SPEED, 800.0, CASE, changed(SPEED, *VALUES), "unknown"),
        (SPEED, 800.0, CASE, nights(replace(SPEED, device="cuda"), *VALUES), "unknown"),
        # Within its band a figure is as good as before, whatever was changed.
        (SPEED, 990.0, CASE, changed(SPEED, *VALUES), "pass"),
        (SPEED, 800.0, CASE, changed(SPEED, 1500, 1510, 1490), "unknown"),
        # Somebody wrote another baseline since then: it is one of the new settings.
        (SPEED, 800.0, CASE, changed(SPEED, 900, 905, 910), "fail"),
        (SCORE, 80.0, Holding(95.0, "case", threshold=3.0), changed(SCORE, 60, 61), "fail"),
        # Nights that failed, or of which the settings are unknown, show no change.
        (SPEED, 800.0, CASE, nights(replace(SPEED, conditions=None), 1000, 1001), "fail"),
        (
            SPEED, 800.0, CASE,
            tuple(replace(each, outcome="fail") for each in changed(SPEED, 1000, 1001)), "fail",
        ),
        # A good night of the new settings lies in the band: it is one of them, too.
        (
            SPEED, 800.0, CASE,
            (*changed(SPEED, 1000, 1001), replace(nights(SPEED, 1000)[0], run="r7",
             started_at="2026-10-07")), "fail",
        ),
    ],
)  # fmt: skip
def test_a_written_baseline_of_other_settings_fails_nothing(like, value, holding, past, outcome):
    check = judged(Subject(tonight(like, value), past, holding), repeats=[value] * 3)
    assert check.outcome == outcome
    if outcome == "unknown":
        assert "now" in check.reason
        assert "inv baseline.accept" in check.reason


@pytest.mark.parametrize(
    ("n", "before", "value", "outcome"),
    [
        (200, 100.0, 99.5, "pass"),  # one answer
        (200, 100.0, 95.0, "fail"),
        (30, 100.0, 96.7, "pass"),
        (30, 100.0, 93.3, "unknown"),
        (1319, 94.8, 94.2, "pass"),
        (1319, 94.8, 93.6, "unknown"),
        (1319, 94.8, 92.5, "fail"),
    ],
)
def test_one_answer_of_a_score_without_items_is_no_loss(n, before, value, outcome):
    like = replace(SCORE, n=n, n_items=n)
    subject = Subject(tonight(like, value), nights(like, *[before] * 6))
    assert judged(subject, repeats=[value] * 3).outcome == outcome


@pytest.mark.parametrize(
    ("value", "outcome"),
    [(1000.0, "pass"), (965.0, "unknown"), (940.0, "unknown"), (600.0, "fail")],
)
def test_the_offset_of_a_new_host_is_unknown(value, outcome):
    subject = Subject(replace(tonight(SPEED, value), host="b"), nights(SPEED, *VALUES), CASE)
    assert judged(subject).outcome == outcome


def test_unjudged_nights_below_the_written_bound_are_no_level():
    values = [1000, 1003, 998, 1001, 999, 1002, 950, 951, 949, 952, 948, 950]
    past = tuple(replace(each, outcome="") for each in nights(SPEED, *values))
    assert judged(Subject(tonight(SPEED, 950.0), past, CASE)).outcome == "fail"
    # A host whose nights are all below it has a level of its own.
    slow = tuple(replace(each, host="b") for each in past[6:])
    subject = Subject(replace(tonight(SPEED, 950.0), host="b"), (*past[:6], *slow), CASE)
    assert judged(subject).outcome == "pass"


@pytest.mark.parametrize("value", [0.0, -3.0])
def test_a_figure_without_a_logarithm_is_no_traceback(value):
    like = replace(SPEED, metric="goodput", unit="")
    assert judged(Subject(tonight(like, value), nights(like, *VALUES))).outcome == "unknown"
    past = nights(like, value, *VALUES)
    assert judged(Subject(tonight(like, 1000.0), past)).outcome == "pass"


@pytest.mark.parametrize(("baseline", "threshold"), [(0.0, 0.97), (1000.0, 0.0)])
def test_a_bound_of_zero_is_no_traceback(baseline, threshold):
    check = judged(Subject(tonight(SPEED, 900.0), (), Holding(baseline, "c", threshold=threshold)))
    assert (check.outcome, check.reason) == ("pass", "")


def test_an_accepted_speed_of_zero_is_no_traceback():
    accepted = Accepted("perf", "output_token_throughput", 0.0, "tok/s")
    subject = Subject(tonight(SPEED, 900.0), (), Holding(0.0, "l:5", accepted=accepted))
    assert judged(subject).outcome == "pass"


@pytest.mark.parametrize(
    ("value", "outcome"), [(995.0, "pass"), (985.0, "unknown"), (960.0, "fail")]
)
def test_nights_that_are_all_the_same_do_not_tell_their_noise(value, outcome):
    subject = Subject(tonight(SPEED, value), nights(SPEED, *[1000.0] * 7), CASE)
    assert judged(subject).outcome == outcome


@pytest.mark.parametrize(
    ("host", "value", "past", "outcome"),
    [
        ("b", 960.0, nights(SPEED, 1000, 1001, 999), "unknown"),
        ("b", 980.0, nights(SPEED, 1000, 1001, 999), "pass"),
        ("a", 960.0, nights(SPEED, 1000, 1001, 999), "fail"),
        ("b", 960.0, nights(replace(SPEED, host="b"), 1000, 1001), "fail"),
    ],
)
def test_a_baseline_of_other_hosts_fails_nothing(host, value, past, outcome):
    runs = tuple(each.run for each in past)
    accepted = Accepted(
        "perf", "output_token_throughput", 1000.0, "tok/s", host="a", runs=runs, when="2026-10-05"
    )
    holding = Holding(1000.0, "ledger.yaml:5", accepted=accepted)
    figure = replace(tonight(SPEED, value), host=host)
    check = judged(Subject(figure, past, holding), repeats=[value] * 3)
    assert check.outcome == outcome
    if outcome == "unknown":
        assert "ledger.yaml:5, which was accepted on a" in check.reason


def test_a_speed_is_not_compared_with_that_of_another_device():
    like = replace(SPEED, device="cuda", device_name="H100")
    figure = replace(tonight(like, 600.0), device_name="L40S")
    check = judged(Subject(figure, nights(like, *VALUES), CASE), repeats=[600.0] * 3)
    assert (check.outcome, check.seen) == ("unknown", "10 not: device H100, now L40S")
    own = nights(replace(like, device_name="L40S"), *[value * 0.6 for value in VALUES])
    assert judged(Subject(figure, own, CASE)).outcome == "pass"


def test_a_copy_under_another_name_was_judged_before():
    past = nights(SPEED, *VALUES)
    figure = replace(tonight(SPEED, past[-1].value), started_at=past[-1].started_at)
    check = judged(Subject(figure, past, CASE))
    assert check.outcome == "unknown"
    assert check.reason == "a copy of r10: nothing was measured tonight"


def test_a_figure_that_is_better_than_its_baseline_is_not_called_lower():
    holding = Holding(1000.0, "case.yaml:7", threshold=3.0)  # as of an accuracy
    check = judged(Subject(tonight(SPEED, 1200.0), (), holding), repeats=[1200.0] * 3)
    assert check.reason.startswith("not worse than the baseline, but not within 3000 tok/s (")


def answers(marks: str, **given: object) -> PastFigure:
    """Return a score of items: `1` is a right answer."""
    items = {str(place): (int(mark), 1) for place, mark in enumerate(marks)}
    value, n = 100 * marks.count("1") / len(marks), len(marks)
    return replace(SCORE, value=value, n=n, n_items=n, items=items, **given)


def answered_before(*marks: str) -> tuple[PastFigure, ...]:
    return tuple(
        answers(each, run=f"r{day}", started_at=f"2026-10-{day:02}", outcome="pass")
        for day, each in enumerate(marks, 1)
    )


@pytest.mark.parametrize(
    ("before", "now", "above"),
    [
        # Another item is wrong each night, so that all are right in many of such nights.
        (["1" * day + "0" + "1" * (39 - day) for day in range(8)], "1" * 40, False),
        (["1" * day + "0" + "1" * (7 - day) for day in range(8)], "1" * 8, False),
        (["1" * 20 + "0" * 20] * 8, "1" * 36 + "0" * 4, True),
    ],
)
def test_a_score_is_above_the_band_only_if_so_many_right_answers_are_rare(before, now, above):
    past = answered_before(*before)
    check = judged(Subject(answers(now), past))
    assert (check.outcome, check.reason.startswith("above the band")) == ("pass", above)


@pytest.mark.parametrize(
    "again",
    [{"items": None}, {"items": {f"other {place}": (0, 1) for place in range(40)}}],
    ids=["without items", "other items"],
)
def test_a_further_run_without_the_same_items_clears_no_suspicion(again):
    low = answers("1" * 20 + "0" * 20)
    examining = examine(Subject(low, answered_before(*["1" * 40] * 8)))
    assert next(examining).what is Ask.REPEAT
    with pytest.raises(StopIteration) as ended:
        examining.send(replace(low, repeat=1, **again))
    ruling = ended.value.value.ruling
    assert (ruling.outcome, ruling.repeats) == ("fail", ())  # by the one look that there was


def test_three_nights_of_which_one_has_the_items_are_held_against_the_baseline():
    past = nights(SCORE, 95, 95)
    seen = replace(answers("1" * 190 + "0" * 10), run="r9", started_at="2026-10-09", outcome="pass")
    holding = Holding(95.0, "case.yaml:7", threshold=3.0)
    check = judged(Subject(answers("1" * 182 + "0" * 18), (*past, seen), holding), [91.0] * 3)
    assert (check.source, check.outcome) == ("case.yaml:7", "unknown")


def test_the_case_is_no_baseline_where_the_ledger_has_one_of_other_settings():
    entry = Accepted("perf", SPEED.metric, 1000.0, "tok/s", conditions=Conditions(max_out_len=7))
    known = Ledger("c", (replace(entry, file="c.yaml", line=3),))
    held = holding(SPEED, known, CaseBaseline(1000.0, 0.97, "case.yaml:7"))
    check = judged(Subject(tonight(SPEED, 500.0), holding=held), [500.0] * 3)
    assert (check.outcome, check.baseline, check.bound) == ("pass", None, None)
    assert check.reason == (
        f"{NONE_YET}: that of c.yaml:3 is of other settings: max_out_len 7, now 0"
    )


@pytest.mark.parametrize(
    ("usual", "cut", "outcome"),
    [(0, 39, "fail"), (0, 40, "fail"), (None, 40, "unknown"), (40, 40, "unknown")],
    ids=["nearly all", "all", "all on the first night", "all as ever"],
)
def test_the_last_answer_that_is_cut_too_takes_no_failure_back(usual, cut, outcome):
    past = () if usual is None else answered_before(*["1" * 38 + "00"] * 5)
    past = tuple(replace(each, cut=usual) for each in past)
    check = judged(Subject(answers("1" * 10 + "0" * 30, cut=cut), past))
    assert check.outcome == outcome
    assert ("reached the maximum length" in check.reason) is (outcome == "fail")
