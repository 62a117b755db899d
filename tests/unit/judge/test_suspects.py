"""What a night says of suspects: alone, among many, and measured again."""

from __future__ import annotations

from dataclasses import replace

from past_figures import SPEED, past

from ci.judge.evidence import Subject
from ci.judge.examination import Examination
from ci.judge.verdict import NO_BASELINE, Check
from ci.retest import Retest

VALUES = (1000, 1018, 985, 1008, 982, 1015, 990, 1012, 978)
NIGHTS = tuple(past(day, SPEED, value=value) for day, value in enumerate(VALUES, 1))


def examination(name: str, value: float) -> Examination:
    figure = replace(SPEED, run="tonight", value=value, started_at="2026-02-01T00:00:00.000Z")
    check = Check(name, figure.metric, value, "tok/s", None, "", None, "pass", NO_BASELINE)
    return Examination(None, 60.0, check, Subject(figure, NIGHTS))  # type: ignore[arg-type]


def night_of(suspect: Examination) -> dict[str, str]:
    retest = Retest(None, "", 0.0)  # type: ignore[arg-type]
    vars(retest)["_examinations"] = [suspect, *(examination(f"p{i}", 1000.0) for i in range(19))]
    vars(retest)["_once"] = []
    return {name: check.outcome for (name, _), check in retest.checks.items()}


def test_a_suspect_among_many_that_stays_low_is_not_put_down_to_chance():
    suspect = examination("suspect", 962.0)
    assert suspect.wanted is not None
    assert night_of(suspect)["suspect"] == "pass"
    measured = examination("suspect", 962.0)
    for repeat, value in enumerate((962.0, 963.0, None, 961.0), 1):
        again = replace(measured.subject.tonight, value=value or 0.0, repeat=repeat)
        measured.answer(again if value else None)  # there is no last good version
    assert set(night_of(measured).values()) == {"pass", "unknown"}
    assert night_of(measured)["suspect"] == "unknown"


def test_a_repeat_that_could_not_be_had_tells_nothing():
    suspect = examination("suspect", 962.0)
    suspect.measured = 1
    suspect.answer(None)
    assert night_of(suspect)["suspect"] == "pass"
