"""Judge from the samples of the hosts whether a measurement says something about the servers. Pure.

A figure of performance is void if, while it was taken, a device was slowed down or used by others,
CPU time was stolen or used by others, a host swapped, a network lost packets, or nobody knows,
because samples are missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from ci.documents.counted import counted
from ci.judge.spells import (
    MIN_DISTURBED_S,
    PERIOD_S,
    Stretch,
    Window,
    are_many,
    is_taken,
    spells,
    stretch,
    taken_level,
    time_text,
    times_text,
    within,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from ci.case.telemetry import Telemetry
    from ci.judge.samples import Device, Sample

# Servers that swap pages wait for a disk. Pages of idle daemons that come back are far below it.
SWAP_BYTES_PER_S = 1 << 20
# Bits of NVML's nvmlClocksEventReasons (nvml.h): heat, or the power supply's brake. Not the power
# limit of the device (0x4), at which a healthy one works under load, nor chosen clocks (0x2, 0x10).
SLOWDOWN = {
    0x08: "hardware slowdown",
    0x20: "heat (software)",
    0x40: "heat (hardware)",
    0x80: "power brake",
}
# Of links that work there is none in a night: each is a pause of seconds.
BROKEN_LINK = ("link_downed", "link_error_recovery")
NETWORK_ERRORS = ("rx_errors", "tx_errors")
LINK_ERRORS = (
    "excessive_buffer_overrun_errors",
    "local_link_integrity_errors",
    "port_rcv_errors",
    "symbol_error",
)
# Serves all processes that share a GPU, and is listed in their place.
SHARING_SERVERS = ("nvidia-cuda-mps-server", "nvidia-cuda-mps-control")
# CPU time of no process that is shown: other containers, or the kernel. Only a remark, for part of
# it is the kernel's work for the servers.
UNSEEN_SHARE = 0.2
FOREIGN = "went to processes outside the run"
DROPPED = 1000  # an interface drops packets of protocols that nobody takes; so many are a remark
GAPS_SHARE = 0.5


@dataclass(frozen=True)
class Judged:
    """What the samples of a host say.

    Attributes:
        void: reasons for which a figure of performance says nothing, each with its times.
        remarks: what a reader should know, and what makes nothing void.
    """

    void: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def judge_samples(
    host: str, samples: Sequence[Sample], window: Window, bounds: Telemetry
) -> Judged:
    """Judge a measurement by the samples of one host.

    Args:
        host: the host's name, for the reasons.
        samples: its samples, in order; those outside the window are not judged.
        window: when the measurement ran.
        bounds: of the case.
    """
    inside = [each for each in samples if window.start_s <= each.time_s <= window.end_s + PERIOD_S]
    void = [
        *_lost(host, inside, window, bounds),
        *_stolen(host, inside, window, bounds),
        *_foreign_cpu(host, inside, window, bounds),
        *_swapped(host, inside, window, bounds),
        *_devices(host, inside, window, bounds),
        *_network(host, inside, bounds),
    ]
    return Judged(tuple(void), tuple(_remarks(host, inside)))


def _lost(host: str, inside: Sequence[Sample], window: Window, bounds: Telemetry) -> Iterator[str]:
    """Count the seconds without a sample.

    Between samples the monotonic clock counts, which no correction of the time moves.
    """
    gaps = list(_gaps(inside, window))
    lost_s = sum(gap.seconds for gap in gaps)
    bound_s = max(MIN_DISTURBED_S, bounds.lost_percent / 100 * window.seconds)
    if lost_s > bound_s:
        share = f"{lost_s:.0f} of {window.seconds:.0f} s have no sample of host {host}"
        yield f"{times_text(max(gaps, key=lambda gap: gap.seconds), window)}: {share}"


def _gaps(inside: Sequence[Sample], window: Window) -> Iterator[Stretch]:
    if not inside:
        yield stretch(window.start_s, window.end_s)
        return
    yield stretch(window.start_s, inside[0].time_s - PERIOD_S)
    for before, after in pairwise(inside):
        gap_s = after.monotonic_s - before.monotonic_s - PERIOD_S
        # A sample may be late by less than a period.
        if gap_s >= PERIOD_S:
            yield stretch(before.time_s, before.time_s + gap_s)
    yield stretch(inside[-1].time_s + PERIOD_S, window.end_s)


def _stolen(
    host: str, inside: Sequence[Sample], window: Window, bounds: Telemetry
) -> Iterator[str]:
    stretches = [
        stretch(each.time_s - each.cpu.covers_s, each.time_s, each.cpu.steal_s, each.cpu.all_s)
        for each in inside
        if each.cpu
    ]
    stretches = within(stretches, window)
    if is_taken(stretches, window, bounds.steal_percent, bounds):
        yield from spells(
            stretches,
            taken_level(bounds.steal_percent),
            window,
            lambda spell: f"{spell.share:.0%} of host {host}'s CPU time was stolen",
        )


def _foreign_cpu(
    host: str, inside: Sequence[Sample], window: Window, bounds: Telemetry
) -> Iterator[str]:
    stretches, cores = [], 1
    for each in inside:
        if used := each.processes:
            cores = used.cores
            start_s, whole = each.time_s - used.covers_s, used.covers_s * used.cores
            names = {f"{busy.name} {busy.pid}": busy.cpu_s for busy in used.foreign}
            stretches.append(stretch(start_s, each.time_s, used.foreign_s, whole, names))
    stretches = within(stretches, window)
    if is_taken(stretches, window, bounds.foreign_cpu_percent, bounds):
        yield from spells(
            stretches,
            taken_level(bounds.foreign_cpu_percent),
            window,
            lambda spell: (
                f"{spell.share:.0%} of the {counted(cores, 'core')} of host {host} {FOREIGN}"
                f"{_named(spell.names)}"
            ),
        )


def _swapped(
    host: str, inside: Sequence[Sample], window: Window, bounds: Telemetry
) -> Iterator[str]:
    stretches = [
        stretch(each.time_s - PERIOD_S, each.time_s, swapped / 2**20, 1)
        for each in inside
        if (swapped := sum(each.swap_bytes.values())) >= SWAP_BYTES_PER_S
    ]
    if are_many(stretches, window, bounds):
        yield from spells(
            stretches, 0, window, lambda spell: f"host {host} swapped {spell.part:.0f} MiB"
        )


def _devices(
    host: str, inside: Sequence[Sample], window: Window, bounds: Telemetry
) -> Iterator[str]:
    for label, seen in sorted(_used(inside).items()):
        name = f"{label} of host {host}"
        # Whose a device is where none of the run's processes is known to be on it, nobody can tell.
        is_own = any(device.own for _, device in seen)
        slow = _stretches_of(seen, _slowdowns)
        shared = _stretches_of(seen, _strangers) if is_own else []
        for stretches, what in ((slow, "slowed down by"), (shared, "also used by")):
            if are_many(stretches, window, bounds):
                yield from spells(
                    stretches,
                    0,
                    window,
                    lambda spell, text=f"{name} was {what}": (  # type: ignore[misc]
                        f"{text} {', '.join(sorted(spell.names))}"
                    ),
                )
        yield from _broken(name, seen, window)


def _stretches_of(
    seen: Sequence[tuple[float, Device]], names_of: Callable[[Device], Sequence[str]]
) -> list[Stretch]:
    """Return a stretch for each time at which a device had such names."""
    named = ((time_s, names_of(device)) for time_s, device in seen)
    return [
        stretch(time_s - PERIOD_S, time_s, 1, 1, dict.fromkeys(names, 1.0))
        for time_s, names in named
        if names
    ]


def _used(inside: Sequence[Sample]) -> dict[str, list[tuple[float, Device]]]:
    """Return the devices that the run uses; all, where no tool knows the run's processes."""
    by_label: dict[str, list[tuple[float, Device]]] = {}
    for each in inside:
        for label, device in each.devices.items():
            by_label.setdefault(label, []).append((each.time_s, device))
    own = {label: seen for label, seen in by_label.items() if any(device.own for _, device in seen)}
    return own or by_label


def _slowdowns(device: Device) -> list[str]:
    bits = device.slowdown_reasons or 0
    return [reason for bit, reason in SLOWDOWN.items() if bits & bit]


def _strangers(device: Device) -> list[str]:
    others = (each for each in device.foreign if each.name not in SHARING_SERVERS)
    return [f"{each.name} {each.pid}" for each in others]


def _broken(name: str, seen: Sequence[tuple[float, Device]], window: Window) -> Iterator[str]:
    """Report a device whose health changed, or whose memory had an error it could not correct."""
    health = [(time_s, device.health) for time_s, device in seen if device.health is not None]
    if health and health[0][1] == "OK":
        time_s, bad = next((each for each in health if each[1] != "OK"), (0.0, None))
        if bad is not None:
            yield f"{time_text(time_s, window)}: the health of {name} became {bad}"
    errors = [(time_s, device.ecc_uncorrected) for time_s, device in seen]
    known = [(time_s, count) for time_s, count in errors if count is not None]
    if known and known[-1][1] > known[0][1]:
        time_s = next(time_s for time_s, count in known if count > known[0][1])
        count = known[-1][1] - known[0][1]
        errors_text = f"the memory of {name} had {count:.0f} uncorrected errors"
        yield f"{time_text(time_s, window)}: {errors_text}"


def _network(host: str, inside: Sequence[Sample], bounds: Telemetry) -> Iterator[str]:
    links = _sums(each.links for each in inside)
    for link, counts in links.items():
        for counter in BROKEN_LINK:
            if counts.get(counter):
                times = counted(counts[counter], "time")
                yield f"link {link} of host {host} counted {counter} {times}"
    both = (
        (links, LINK_ERRORS, "link"),
        (_sums(each.network for each in inside), NETWORK_ERRORS, "interface"),
    )
    for of_kind, errors, what in both:
        for name, counts in of_kind.items():
            total = sum(counts.get(counter, 0) for counter in errors)
            if total >= bounds.network_errors:
                yield f"{what} {name} of host {host} counted {total} errors"


def _sums(samples: Iterable[Mapping[str, int]]) -> dict[str, dict[str, int]]:
    """Add up `name counter` → count: name → counter → sum."""
    sums: dict[str, dict[str, int]] = {}
    for counts in samples:
        for key, count in counts.items():
            name, _, counter = key.rpartition(" ")
            of_name = sums.setdefault(name, {})
            of_name[counter] = of_name.get(counter, 0) + count
    return sums


def _remarks(host: str, inside: Sequence[Sample]) -> Iterator[str]:
    both = [(each.cpu, each.processes) for each in inside if each.cpu and each.processes]
    busy = sum(cpu.busy_s for cpu, _ in both)
    shown = sum(each.own_s + each.ours_s + each.foreign_s for _, each in both)
    whole = sum(cpu.all_s for cpu, _ in both)
    if whole and busy - shown > UNSEEN_SHARE * whole:
        yield (
            f"{(busy - shown) / whole:.0%} of host {host}'s CPU time went to no process that is "
            "shown there: to other containers, or the kernel"
        )
    for name, counts in _sums(each.network for each in inside).items():
        dropped = counts.get("rx_dropped", 0) + counts.get("tx_dropped", 0)
        if dropped >= DROPPED:
            yield f"interface {name} of host {host} dropped {dropped} packets"
    gaps: dict[str, int] = {}
    for each in inside:
        for name in each.gaps:
            gaps[name] = gaps.get(name, 0) + 1
    for name, count in gaps.items():
        if count > GAPS_SHARE * len(inside):
            why = next((each.why for each in inside if name in each.gaps and each.why), "")
            yield f"{name} of host {host} gave nothing in {count} of {len(inside)} s: {why}"


def _named(names: Mapping[str, float]) -> str:
    """Name the process that used most: ` (ffmpeg 812: 38 s)`."""
    if not names:
        return ""
    name, seconds = max(names.items(), key=lambda item: item[1])
    return f" ({name}: {seconds:.0f} s)"
