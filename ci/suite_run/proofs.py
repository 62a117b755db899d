"""The hosts in quarantine that are being examined, and when each was looked at last."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ci.suite.smoke import to_prove

if TYPE_CHECKING:
    from ci.suite.progress import SuiteRun
    from ci.suite_run.proof import Proof


@dataclass
class Proofs:
    """The proofs that run."""

    _running: dict[str, Proof] = field(default_factory=dict)
    _looked_at: dict[str, float] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Return whether a host is being examined."""
        return bool(self._running)

    def looked_at(self, host: str) -> None:
        """Note that a host has failed or was examined now."""
        self._looked_at[host] = time.monotonic()

    def due(self, run: SuiteRun) -> list[str]:
        """Return the hosts whose time has come, while nights are left."""
        if not any(each.state in {"waiting", "running"} for each in run.nights):
            return []
        hosts = to_prove(run, self._looked_at, time.monotonic())
        return [host for host in hosts if host not in self._running]

    def begin(self, proof: Proof) -> None:
        """Note a proof that begins."""
        self.looked_at(proof.host)
        self._running[proof.host] = proof

    def end(self, host: str) -> None:
        """Note the end of a proof."""
        del self._running[host]
        self.looked_at(host)

    def interrupt(self) -> None:
        """End all proofs; their hosts stay in quarantine."""
        for proof in self._running.values():
            proof.interrupt()

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """Return a row of the screen for each proof."""
        return [
            (f"proof of {host}", "running", host, "", proof.doing)
            for host, proof in self._running.items()
        ]
