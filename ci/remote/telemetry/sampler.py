"""Write what this host does into a file, once a second, until it is told to end.

The file has a JSON object on each line. The first is of kind `host`, the last, if it was told to
end, of kind `end`; those between are samples, see `ci.judge.samples`. A source that is not read
this time has no entry; one that is broken is in `gaps`. Nothing that is broken ends the sampler.
"""

import json
import os
import signal
import sys
import time
from contextlib import suppress
from typing import Any, Callable, Dict, List, Optional

from ci.remote.supervise.proc import MARKER
from ci.remote.telemetry import counters, devices
from ci.remote.telemetry.rates import Differences, Source, percents, rounded
from ci.remote.telemetry.shares import Shares

FILE = "samples.jsonl"
PERIOD_S = 1.0
# 8 devices and 192 cores make 2 KB a second: 30 MB in the longest evaluation of a usual case. After
# that, samples are without the lists; at the end of the file there are none.
FULL_BYTES = 32 << 20
MOST_BYTES = 64 << 20
LISTS = ("cores", "devices")
SLOW_S = 10.0  # between two looks at what changes slowly, or takes the hardware time

Entry = Dict[str, Any]


class Ended(Exception):  # noqa: N818 - as it is said
    """The supervisor has asked for the end."""


class Cpu:
    """CPU time of all cores."""

    def __init__(self) -> None:
        self._before: Dict[str, counters.CpuTimes] = {}

    def take(self, covers_s: float) -> Optional[Entry]:
        """Return seconds of all cores together, and for each core how busy it was; see `Source`."""
        before, self._before = self._before, counters.cpu_times()
        if not before:
            return None
        names = [name for name in self._before if name in before]
        grown = {
            name: [max(0, now - then) for now, then in zip(self._before[name], before[name])]
            for name in names
        }
        user, system, iowait, steal, idle = (
            rounded(ticks / counters.TICKS_PER_S) for ticks in grown["cpu"]
        )
        cores = [grown[name] for name in names if name != "cpu"]
        wholes = [sum(ticks) for ticks in cores]
        entry = {"covers_s": rounded(covers_s), "user_s": user, "system_s": system}
        entry.update(iowait_s=iowait, steal_s=steal, idle_s=idle)
        lists = {"busy_percent": percents([sum(ticks[:2]) for ticks in cores], wholes)}
        if steal:
            lists["steal_percent"] = percents([ticks[3] for ticks in cores], wholes)
        return {"cpu": entry, "cores": lists}


class Sampler:
    """The sources of this host, and the file of its samples."""

    def __init__(self, run: str, controller: Optional[List[Any]], file: int) -> None:
        """Begin; nothing is read yet.

        Args:
            run: the run's id.
            controller: boot id, pid and start ticks of the controller's process.
            file: descriptor of the file.
        """
        self._file = file
        self._bytes = 0
        self._torn = False
        shares = Shares(run, tuple(controller) if controller else None)
        self._readers = devices.readers(shares.kind_of)
        self._sources = [
            Source("cpu", Cpu().take),
            Source("memory", lambda _: {"memory": counters.memory()}),
            Source("swap", _grown("swap_bytes", counters.swapped)),
            Source("pressure", _pressure(Differences())),
            Source("processes", _named("processes", shares.take)),
            Source("network", _grown("network", counters.network)),
            Source("links", _grown("links", counters.links), SLOW_S),
            Source("frequency", lambda _: _frequency(counters.frequencies()), SLOW_S),
        ]
        self._sources += [Source(name, _devices(reader)) for name, reader in self._readers.items()]

    def run(self) -> None:
        """Sample until `Ended` is raised."""
        self.write(self._host())
        due_s = time.monotonic()
        try:
            while True:
                self.write(self._sample(time.monotonic()))
                due_s += PERIOD_S
                late_s = time.monotonic() - due_s
                if late_s > 0:
                    # Seconds that are over are lost, and not made up for: they would show nothing.
                    due_s += PERIOD_S * int(late_s / PERIOD_S)
                time.sleep(max(0.0, due_s - time.monotonic()))
        except Ended:
            self.write({"kind": "end", **_clocks(), "sampler_cpu_s": _own_cpu_s()})
        finally:
            for reader in self._readers.values():
                reader.end()

    def write(self, entry: Entry) -> None:
        """Write a line, or nothing if the file or the disk is full."""
        if self._bytes > FULL_BYTES:
            entry = {name: value for name, value in entry.items() if name not in LISTS}
        line = json.dumps(entry, separators=(",", ":")).encode() + b"\n"
        if self._torn:
            line = b"\n" + line
        if self._bytes + len(line) > MOST_BYTES:
            return
        try:
            written = os.write(self._file, line)
        except OSError:
            return
        self._bytes += written
        self._torn = written < len(line)

    def _sample(self, now_s: float) -> Entry:
        entry: Entry = {"kind": "sample", **_clocks()}
        gaps = []
        for source in self._sources:
            try:
                taken = source.sample(now_s)
            except (OSError, ValueError, LookupError) as error:
                gaps.append(source.name)
                entry.setdefault("why", "%s: %.100s" % (source.name, error))
                continue
            if taken and "devices" in taken and "devices" in entry:
                entry["devices"].update(taken["devices"])
            elif taken:
                entry.update(taken)
        if gaps:
            entry["gaps"] = gaps
        return {**entry, "sampler_cpu_s": _own_cpu_s()}

    def _host(self) -> Entry:
        return {
            "kind": "host",
            **_clocks(),
            "period_s": PERIOD_S,
            "cores": os.cpu_count(),
            "kernel": os.uname().release,
            "tools": sorted(self._readers),
        }


def _clocks() -> Entry:
    return {"time_s": rounded(time.time()), "monotonic_s": rounded(time.monotonic())}


def _own_cpu_s() -> float:
    used = os.times()
    return rounded(used.user + used.system)


def _named(
    name: str, take: Callable[[float], Optional[Entry]]
) -> Callable[[float], Optional[Entry]]:
    def taken(covers_s: float) -> Optional[Entry]:
        entry = take(covers_s)
        return None if entry is None else {name: entry}

    return taken


def _grown(name: str, read: Callable[[], Dict[str, int]]) -> Callable[[float], Optional[Entry]]:
    """Return what takes the counters that have grown; none is no entry."""
    differences = Differences()

    def taken(_: float) -> Optional[Entry]:
        grown = {counter: count for counter, count in differences.of(read()).items() if count}
        return {name: grown} if grown else None

    return taken


def _pressure(differences: Differences) -> Callable[[float], Optional[Entry]]:
    def taken(covers_s: float) -> Optional[Entry]:
        waited = differences.of(counters.pressure())
        if not waited or covers_s <= 0:
            return None
        return {
            "pressure_percent": {name: round(us / covers_s / 1e4, 1) for name, us in waited.items()}
        }

    return taken


def _frequency(mhz: List[int]) -> Optional[Entry]:
    if not mhz:
        return None
    return {"frequency_mhz": {"lowest": min(mhz), "highest": max(mhz), "cores": len(mhz)}}


def _devices(reader: Any) -> Callable[[float], Optional[Entry]]:  # noqa: ANN401 - either of `devices`
    def taken(_: float) -> Optional[Entry]:
        found = reader.take(time.monotonic())
        return {"devices": found} if found else None

    return taken


def _end(*_: object) -> None:
    raise Ended


def main() -> None:
    """Sample for the run whose process this is; its current folder gets the file."""
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, _end)
    controller = json.loads(sys.argv[1]) if sys.argv[1:] else None
    run = os.environ.get(MARKER, "").partition("/")[0]
    file = os.open(FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    with suppress(Ended):  # before the first sample
        Sampler(run, controller, file).run()
