"""Examine one check, which may wait for further measurements. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ci.judge.evidence import examine
from ci.judge.sentence import with_evidence

if TYPE_CHECKING:
    from collections.abc import Generator

    from ci.judge.evidence import Evidence, Subject
    from ci.judge.measured import Wanted
    from ci.judge.past import PastFigure
    from ci.judge.verdict import Check
    from ci.plan.model import Evaluation


@dataclass
class Examination:
    """The examination of one check, which may wait for a further measurement.

    Attributes:
        evaluation: what measured the figure.
        seconds: how long it took.
        check: the figure, before it was judged.
        subject: what it is judged by.
        examining: asks for measurements.
        wanted: what it waits for; None once it has ended.
        evidence: what was found; None until then.
        measured: number of further measurements, of all versions.
    """

    evaluation: Evaluation
    seconds: float
    check: Check
    subject: Subject
    examining: Generator[Wanted, PastFigure | None, Evidence] = field(init=False)
    wanted: Wanted | None = None
    evidence: Evidence | None = None
    measured: int = 0

    def __post_init__(self) -> None:
        self.examining = examine(self.subject)
        self.answer(None)

    def answer(self, figure: PastFigure | None) -> None:
        """Hand on a measurement, None if it cannot be had, and learn what is wanted next."""
        try:
            self.wanted = self.examining.send(figure)
        except StopIteration as ended:
            self.wanted, self.evidence = None, ended.value

    @property
    def judged(self) -> Check:
        """Return the check with its evidence; what it still waits for cannot be had."""
        while self.evidence is None:
            self.answer(None)
        return with_evidence(self.check, self.subject, self.evidence)
