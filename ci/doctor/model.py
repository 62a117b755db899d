"""The results of examining hosts. Values only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Severity = Literal["error", "warning", "info"]
ORDER: tuple[Severity, ...] = ("error", "warning", "info")
Facts = dict[str, Any]
# Environment → `name==version` of everything installed in it; None if unknown.
Packages = dict[str, tuple[str, ...] | None]


@dataclass(frozen=True)
class Finding:
    """A result of the examination. An error would make a night fail or its results invalid.

    Attributes:
        host: the host's name in the plan; empty if it concerns several hosts together.
        subject: the thing examined, e.g. `clock`, `port 8000`, `weights`.
        severity: `error`, `warning` or `info`.
        message: what was found.
        advice: what to do; may be empty for an info.
    """

    host: str
    subject: str
    severity: Severity
    message: str
    advice: str


@dataclass(frozen=True)
class Pair:
    """The result of connecting from one host to another.

    Attributes:
        source: the host that connected.
        target: the host that listened.
        address: the target's address.
        port: the target's port.
        outcome: as `ci.remote.requests.reach` returns it; `ok` for success.
        detail: the error's text; may be empty.
    """

    source: str
    target: str
    address: str
    port: int
    outcome: str
    detail: str


@dataclass(frozen=True)
class Examination:
    """The result of examining all hosts of a plan.

    Attributes:
        facts: host → facts, for the hosts that answered.
        silent: host → the error, for hosts that gave no facts.
        pairs: every connection test between two hosts.
        findings: errors first, then warnings, then infos.
    """

    facts: Mapping[str, Facts]
    silent: Mapping[str, str]
    pairs: tuple[Pair, ...]
    findings: tuple[Finding, ...]

    def with_findings(self, more: Iterable[Finding]) -> Examination:
        """Add findings and keep their order; an error replaces a note about the same."""
        added = tuple(more)
        wrong = {(item.host, item.subject) for item in added if item.severity == "error"}
        kept = (
            item
            for item in self.findings
            if item.severity != "info" or (item.host, item.subject) not in wrong
        )
        findings = sorted((*kept, *added), key=lambda item: ORDER.index(item.severity))
        return replace(self, findings=tuple(findings))

    @property
    def ok(self) -> bool:
        """Return whether there is no error."""
        return not any(finding.severity == "error" for finding in self.findings)
