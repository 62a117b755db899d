"""Read the samples of a host: what was done there in each second. Pure.

Each line of `telemetry/<host>.jsonl` is a JSON object. A host sends them, so nothing of them is
believed: a line that is no sample is left out, and its second is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# A line of the largest host has 3 KB.
MAX_LINE_CHARS = 64 << 10
MAX_LISTED = 4096


def _printable(text: str) -> str:
    """Replace characters that would change how a line looks; a process chooses its own name."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


Amount = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=2**63)]
Name = Annotated[str, Field(max_length=200), AfterValidator(_printable)]


class Part(BaseModel):
    """A part of a sample; keys that are not read here are left out."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class Cpu(Part):
    """CPU seconds of all cores together."""

    covers_s: Amount = Field(description="seconds on the clock since the last time")
    user_s: Amount
    system_s: Amount
    iowait_s: Amount
    steal_s: Amount
    idle_s: Amount

    @property
    def busy_s(self) -> float:
        """Return the CPU seconds in which something ran."""
        return self.user_s + self.system_s

    @property
    def all_s(self) -> float:
        """Return the CPU seconds that there were."""
        return self.busy_s + self.iowait_s + self.steal_s + self.idle_s


class Foreign(Part):
    """A process that is not of the run."""

    pid: Count
    name: Name
    cpu_s: Amount = 0.0


class Processes(Part):
    """CPU seconds of processes, as `ci.remote.telemetry.shares` tells them apart."""

    covers_s: Amount
    own_s: Amount = Field(description="of the run's servers and tools")
    ours_s: Amount = Field(description="of agents, supervisors and the controller")
    foreign_s: Amount = Field(description="of all others on the run's cores")
    cores: Annotated[int, Field(ge=1, le=1 << 20)] = Field(
        description="number of cores that the run may use"
    )
    foreign: Annotated[tuple[Foreign, ...], Field(max_length=MAX_LISTED)] = Field(
        default=(), description="the busiest of the others"
    )


class Device(Part):
    """A device, as far as its tool told this time."""

    temperature_c: Amount | None = None
    clock_mhz: Amount | None = None
    power_w: Amount | None = None
    utilization_percent: Amount | None = None
    memory_used_mb: Amount | None = None
    ecc_uncorrected: Amount | None = Field(
        default=None, description="errors of its memory since the driver was loaded"
    )
    slowdown_reasons: Count | None = Field(
        default=None, description="bits of NVML's nvmlClocksEventReasons"
    )
    health: Name | None = Field(default=None, description="as npu-smi prints it")
    own: bool | None = Field(
        default=None,
        description="whether a process of the run is on it; null if its processes are unknown",
    )
    foreign: Annotated[tuple[Foreign, ...], Field(max_length=MAX_LISTED)] = Field(
        default=(), description="processes on it that are not of the run"
    )


class Sample(Part):
    """What a host did since its last sample; a source that was not read has no entry."""

    kind: Literal["sample"]
    time_s: Amount = Field(description="the host's clock, in seconds since 1970")
    monotonic_s: Amount = Field(description="the host's monotonic clock")
    cpu: Cpu | None = None
    processes: Processes | None = None
    swap_bytes: dict[Name, Count] = Field(default={}, description="bytes swapped in and out")
    network: dict[Name, Count] = Field(
        default={}, description="interface and counter → new errors and drops"
    )
    links: dict[Name, Count] = Field(
        default={}, description="RDMA device, port and counter → new errors"
    )
    devices: dict[Name, Device] = Field(default={}, description="label → device")
    gaps: Annotated[tuple[Name, ...], Field(max_length=MAX_LISTED)] = Field(
        default=(), description="sources that gave nothing this time, though they should"
    )
    why: Name = Field(default="", description="why the first of them gave nothing")


def samples_of(lines: Iterable[str]) -> Iterator[Sample]:
    """Parse the samples of some lines, in the order of the monotonic clock.

    Args:
        lines: of a host's file; the last one may be incomplete.
    """
    last_s = 0.0
    for line in lines:
        sample = _sample(line)
        if sample is not None and sample.monotonic_s >= last_s:
            last_s = sample.monotonic_s
            yield sample


def _sample(line: str) -> Sample | None:
    if '"sample"' not in line or len(line) > MAX_LINE_CHARS:
        return None
    try:
        return Sample.model_validate_json(line)
    except ValidationError:
        return None
