"""Two stages: what is asked, when it ends, and what is ruled."""

from __future__ import annotations

import numpy as np
import pytest

from ci.judge.decide import Levels, Ruling, decide
from ci.judge.expected import Past
from ci.judge.measured import Ask, ItemCounts, Measured, RunNoise
from ci.judge.scale import Scale

THROUGHPUT = Scale("performance")
NIGHTS = [1000, 1008, 995, 1003, 992, 1005, 997, 1001, 1006, 994]
NOISE = RunNoise(0.5, 20)
WORSE = ("fail", "worse than the last good version")


def measured(value: float) -> Measured:
    return Measured(value)


def rule(past, tonight, repeats=(), controls=(), noise=NOISE) -> tuple[Ruling, str]:
    """Answer the judge from two lists; return its ruling and its questions as letters."""
    deciding = decide(
        Past.of([measured(x) for x in past]), measured(tonight), THROUGHPUT, Levels(), noise
    )
    left = {Ask.REPEAT: list(repeats), Ask.CONTROL: list(controls)}
    asked = ""
    try:
        question = next(deciding).what
        while True:
            asked += question.value[0]
            answer = left[question].pop(0) if left[question] else None
            question = deciding.send(None if answer is None else measured(answer)).what
    except StopIteration as ended:
        return ended.value, asked


@pytest.mark.parametrize(
    ("tonight", "repeats", "controls", "expected"),
    [
        (1000, [], [], ("pass", "as expected", "")),
        (1300, [], [], ("pass", "as expected", "")),
        (950, [1001], [], ("pass", "fine when measured again", "r")),
        (950, [951, 1003], [], ("pass", "fine when measured again", "rr")),
        # The last measurement of tonight's version comes after those of the last good one.
        (950, [951, 949, 952], [1000, 1002, 999], (*WORSE, "rrcccr")),
        # One control run that is no better says that the night is slow.
        (940, [941, 939, 942], [938], ("unknown", "environment", "rrc")),
        (975, [976, 975, 977], [974], ("pass", "as the last good version", "rrc")),
        # Nothing can be measured again.
        (950, [], [], ("fail", "worse", "r")),
        (985, [], [], ("unknown", "suspect", "r")),
        # There is no last good version, and tonight's is measured as often as with one.
        (950, [951, 949, 952], [], ("fail", "worse", "rrcr")),
        (986, [989, 988, 990], [], ("unknown", "suspect", "rrcr")),
        # One accident among the repeated runs, or two, is no loss.
        (950, [700, 720, 990], [1000, 1002, 999], ("pass", "as the last good version", "rrcccr")),
        # The budget of the night ended during the repeats.
        (950, [951], [1001], (*WORSE, "rrccr")),
    ],
)  # fmt: skip
def test_what_is_asked_and_ruled(tonight, repeats, controls, expected):
    ruling, questions = rule(NIGHTS, tonight, repeats, controls)
    assert (ruling.outcome, ruling.finding, questions) == expected


def test_a_small_loss_is_not_asked_about_however_sure_it_is():
    quiet = [1000, 1000.5, 999.5, 1000.2, 999.8, 1000.1, 999.9, 1000]
    ruling, questions = rule(quiet, 993)
    assert (ruling.outcome, ruling.finding, questions) == ("pass", "too little to matter", "")


@pytest.mark.parametrize("nights", [0, 1, 3])
def test_too_few_nights_let_nothing_expect(nights):
    ruling, questions = rule(NIGHTS[:nights], 500)
    assert (ruling.outcome, ruling.finding, questions) == ("unknown", "nothing to compare with", "")


def test_a_creeping_loss_is_held_against_the_accepted_nights():
    past = [*NIGHTS, *NIGHTS, *[1000 * 0.997**night for night in range(1, 16)]]
    ruling, _ = rule(past, 950, [951, 949, 952], [1000, 1002, 999])
    assert ruling.outcome == "fail"


def test_a_gain_that_nobody_accepted_is_held_too():
    past = [*NIGHTS, *NIGHTS, *[x * 1.1 for x in NIGHTS]]
    ruling, _ = rule(past, 1050, [1051, 1049, 1052], [1100, 1102, 1099])
    assert ruling.outcome == "fail"
    # The last good version has lost it as well, and the accepted level is met.
    ruling, _ = rule(past, 1001, [1000, 1001, 1002], [1000, 1001, 1002])
    assert ruling.outcome == "pass"


def items(*rows: int, n: int = 200, missed: int = 0) -> Measured:
    correct = np.ones(n, dtype=np.int64)
    correct[list(rows)] = 0
    correct[50 : 50 + missed] = 0
    return Measured(100 * float(correct.mean()), n, ItemCounts(tuple(map(str, range(n))), correct))


def test_items_are_paired_by_id_whatever_their_order():
    past = [items(0, 1), items(1, 2), items(0, 2)]
    tonight = items(0, 1, missed=8)
    order = np.random.default_rng(1).permutation(200)
    shuffled = Measured(
        tonight.value,
        200,
        ItemCounts(tuple(str(each) for each in order), tonight.items.correct[order]),
    )
    rulings = []
    for night in (tonight, shuffled):
        deciding = decide(Past.of(past), night, Scale("accuracy"), Levels())
        assert next(deciding).what is Ask.REPEAT
        with pytest.raises(StopIteration) as ended:
            deciding.send(None)
        rulings.append(ended.value.value)
    assert [ruling.outcome for ruling in rulings] == ["fail", "fail"]
    assert rulings[0].p == pytest.approx(rulings[1].p)


def test_a_changed_tool_is_not_the_versions_fault():
    past = [items(0, 1), items(1, 2), items(0, 2), items(2, 3)]
    deciding = decide(Past.of(past), items(0, 1, missed=30), Scale("accuracy"), Levels())
    assert next(deciding).what is Ask.REPEAT
    assert deciding.send(items(0, 1, missed=30)).what is Ask.REPEAT
    assert deciding.send(items(0, 1, missed=30)).what is Ask.CONTROL
    with pytest.raises(StopIteration) as ended:
        deciding.send(items(0, 1, missed=30))
    assert (ended.value.value.outcome, ended.value.value.finding) == ("unknown", "environment")


def test_healthy_nights_rarely_fail_and_bad_ones_do():
    """Nights of 1.5 % noise, and the same with a loss of 5 %: a frozen set of draws."""
    random = np.random.default_rng(5)
    outcomes = {1.0: [], 0.95: []}
    for factor, found in outcomes.items():
        for _ in range(300):
            past = 1000 * np.exp(random.normal(0, 0.015, 12))
            again, control = (
                1000 * each * np.exp(random.normal(0, 0.015, 3)) for each in (factor, 1)
            )
            tonight = 1000 * factor * float(np.exp(random.normal(0, 0.015)))
            ruling, _ = rule(past, tonight, again, control, RunNoise(1.5, 20))
            found.append(ruling.outcome)
    assert outcomes[1.0].count("fail") <= 2
    assert outcomes[0.95].count("fail") >= 240
