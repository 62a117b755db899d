"""What happens while a suite runs, beside signals and what Slurm shows of its job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ci.suite.events import Ended


@dataclass(frozen=True)
class NightEnd:
    """A night's process has ended; None if it was never begun."""

    night: str
    ended: Ended | None


@dataclass(frozen=True)
class ProofEnd:
    """A host was examined and has served, or why it did not."""

    host: str
    problem: str
