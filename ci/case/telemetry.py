"""Define `telemetry` of a case: what a host may do while something is measured. Pure.

The bounds are those above which a figure of performance says nothing about the servers. A host that
does nothing else than serve stays far below each of them.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from ci.documents.messages import describe
from ci.documents.strict import Strict
from ci.documents.values import invalid

# CPU time that other guests of the machine took, of all CPU time. Servers that use all cores lose
# as much throughput; bare metal has 0, and a guest on a quiet machine less than 1 %.
STEAL_PERCENT = 3.0
# CPU time of other processes, of the cores that the run may use. The daemons of a host take less
# than 1 % of a small one; and where the judge looks for 5 % of throughput, it must not be this.
FOREIGN_CPU_PERCENT = 5.0
# Seconds with a disturbance, of all seconds. A p99 is the work of 1 % of the time, and a daily job
# of a host may take some seconds of an hour.
DISTURBED_PERCENT = 2.0
# Seconds of which nothing is known. A sampler is late by less than a second even on a host whose
# cores are all busy: so many lost ones are a host that stood still, or was not reached.
LOST_PERCENT = 5.0
# Errors of an interface or a link. A cable that works has none in a night; one that was plugged in
# at the start may have had a few.
NETWORK_ERRORS = 100

Percent = Annotated[float, Field(ge=0, le=100)]


class Telemetry(Strict):
    """What is sampled on the hosts while something is measured, and what makes a figure void."""

    sampled: bool = True
    steal_percent: Percent = STEAL_PERCENT
    foreign_cpu_percent: Percent = FOREIGN_CPU_PERCENT
    disturbed_percent: Percent = DISTURBED_PERCENT
    lost_percent: Percent = LOST_PERCENT
    network_errors: int = Field(default=NETWORK_ERRORS, ge=1)


def _switch(value: object) -> Any:  # noqa: ANN401 - whatever the file holds
    """Read `on` and `off`, which YAML takes for true and false."""
    if isinstance(value, str):
        value = {"on": True, "off": False}.get(value, value)
    if isinstance(value, bool):
        return {"sampled": value}
    if value is None or isinstance(value, dict | Telemetry):
        return value
    raise invalid(f"expected `off`, or a mapping with bounds, found {describe(value)}")


# A case may write `telemetry: off`.
TelemetryKey = Annotated[Telemetry, BeforeValidator(_switch)]
