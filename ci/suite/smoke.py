"""Choose the night by which a host proves that it serves, before it takes nights again. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ci.suite.jobs import Job
    from ci.suite.night import SuiteNight
    from ci.suite.progress import SuiteRun

# So long after a host failed, or after a proof that it did not pass, it is looked at again.
AGAIN_S = 900.0


def smoke_night(
    host: str, nights: Sequence[SuiteNight], jobs: Mapping[str, Job]
) -> SuiteNight | None:
    """Return the canary, else the shortest night, of those that run on this host alone.

    Its servers start and answer the smoke test; nothing is measured. None if no night does.

    Args:
        host: the host.
        nights: of the suite.
        jobs: name → the night as packing sees it.
    """
    alone = [
        night
        for night in nights
        if night.name in jobs and jobs[night.name].count == 1 and host in jobs[night.name].hosts
    ]
    return min(alone, key=lambda night: (not night.canary, night.expected_s), default=None)


def to_prove(run: SuiteRun, looked_at: Mapping[str, float], now_s: float) -> list[str]:
    """Return the hosts in quarantine that are to be examined now; not those of a person.

    Args:
        run: how far the suite is.
        looked_at: host → when it failed or was examined last, in this run; others at once.
        now_s: the present, of the same clock.
    """
    if run.interrupted or run.awaits_hosts or (run.slurm and run.slurm.ended):
        return []
    taken = run.slurm.unfit if run.slurm else ()
    return [
        each.host
        for each in run.quarantined
        if each.run
        and each.host not in taken
        and (each.host not in looked_at or now_s - looked_at[each.host] >= AGAIN_S)
    ]
