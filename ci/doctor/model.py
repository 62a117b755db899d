"""What an examination of hosts gives. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Severity = Literal["error", "warning", "info"]
Facts = dict[str, Any]
# Environment → `name==version` of everything that is installed in it; None where nobody knows.
Packages = dict[str, tuple[str, ...] | None]


@dataclass(frozen=True)
class Finding:
    """Something worth knowing. An error would spoil the night.

    Attributes:
        host: its name in the plan; empty for what concerns several hosts together.
        subject: what it is about, e.g. `clock`, `port 8000`, `weights`.
        advice: what to do; may be empty for an info.
    """

    host: str
    subject: str
    severity: Severity
    message: str
    advice: str


@dataclass(frozen=True)
class Pair:
    """What came of connecting from one host to another; `outcome` as `reach.reach` words it."""

    source: str
    target: str
    address: str
    port: int
    outcome: str
    detail: str


@dataclass(frozen=True)
class Examination:
    """What was found.

    Attributes:
        facts: host → facts, of those that answered.
        silent: host → why it could not be asked.
        pairs: every connection that was tried between two hosts.
    """

    facts: Mapping[str, Facts]
    silent: Mapping[str, str]
    pairs: tuple[Pair, ...]
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Nothing stands in the way of a night."""
        return not any(finding.severity == "error" for finding in self.findings)
