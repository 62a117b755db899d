"""A control whose servers start and do not answer as they have to is one that cannot be had."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
from sample_run import check

import ci.beside
from ci.beside import Beside, _require_answers
from ci.errors import InfrastructureError
from ci.judge.measured import Ask


@dataclass
class Asking:
    """Stand-in for the examinations of a night: two suspects wait for a control."""

    beside: str = "0.31.0"
    answered: list[Ask] = field(default_factory=list)
    given_up: list[Ask] = field(default_factory=list)

    def timed(self):
        return nullcontext()

    def give_up(self, what):
        self.given_up.append(what)

    def wants(self, _what):
        return False

    def answer_all(self, *given):
        self.answered.append(given[-1])


class Notes:
    """Stand-in for the record of a night: it keeps the notes."""

    def __init__(self):
        self.notes = []
        self.note = self.notes.append

    def step(self, _name, _role):
        return nullcontext()


@pytest.fixture
def beside(monkeypatch):
    """A night beside which a version is served, and says of its smoke test what it is told to."""
    monkeypatch.setattr(ci.beside, "replace", lambda request, **_: request)
    monkeypatch.setattr(ci.beside, "resolve_case", lambda *_: SimpleNamespace())

    def with_smoke(*checks):
        @contextmanager
        def served(_self, _request, _resolved, _purpose):
            _require_answers(checks)
            yield None, None, None

        monkeypatch.setattr(Beside, "_served", served)
        resolved = SimpleNamespace(case=None)
        return Beside(SimpleNamespace(vllm=""), resolved, Notes(), SimpleNamespace(first=None))

    return with_smoke


def test_a_control_that_answers_is_measured(beside):
    retest = Asking()
    night = beside(check("pass", "smoke completion"), check("pass", "smoke chat"))
    night.settle(retest)
    assert retest.answered == [Ask.CONTROL]
    assert night.record.notes == []


@pytest.mark.parametrize("outcome", ["fail", "unknown"])
def test_a_control_whose_smoke_test_is_no_pass_is_not_measured_and_the_night_says_so(
    beside, outcome
):
    retest = Asking()
    night = beside(check("pass", "smoke completion"), check(outcome, "smoke chat"))
    night.settle(retest)
    assert retest.answered == []
    assert retest.given_up == [Ask.CONTROL, Ask.REPEAT]
    (note,) = night.record.notes
    assert note.startswith("vLLM 0.31.0 could not be measured: it does not answer: smoke chat:")


def test_a_smoke_test_that_is_no_pass_is_an_error_of_the_hosts_and_never_a_figure():
    with pytest.raises(InfrastructureError, match="it does not answer: smoke chat:"):
        _require_answers([check("fail", "smoke chat")])
    _require_answers([])
