"""Counters of this host as they stand: CPU time, memory, pressure, network. Reads /proc and /sys.

Each function returns counters that only grow, or None where the kernel has none. `rates.py` takes
the differences.
"""

import os
from typing import Dict, Iterable, List, NamedTuple, Sequence, TypeVar

Counters = Dict[str, int]
T = TypeVar("T")

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
MIB = 1 << 20
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# A kernel before 5.16 may let a reader wait 20 ms for the frequency of each core.
MOST_CORES_READ = 8
# Errors that a link counts in /sys/class/infiniband/<device>/ports/<port>/counters.
LINK_COUNTERS = (
    "excessive_buffer_overrun_errors",
    "link_downed",
    "link_error_recovery",
    "local_link_integrity_errors",
    "port_rcv_errors",
    "port_xmit_discards",
    "symbol_error",
)
# Column of /proc/net/dev, after the interface's name → what it counts; see proc(5).
NETWORK_COLUMNS = {2: "rx_errors", 3: "rx_dropped", 10: "tx_errors", 11: "tx_dropped"}


class CpuTimes(NamedTuple):
    """Ticks of all cores together or of one, since the host's start."""

    user: int
    system: int
    iowait: int
    steal: int
    idle: int


def read(path: str, most: int = 1 << 20) -> bytes:
    """Read a file of /proc or /sys; raise OSError if there is none."""
    handle = os.open(path, os.O_RDONLY)
    try:
        pieces: List[bytes] = []
        while most > 0:
            piece = os.read(handle, min(most, 1 << 16))
            if not piece:
                break
            pieces.append(piece)
            most -= len(piece)
        return b"".join(pieces)
    finally:
        os.close(handle)


def cpu_times() -> Dict[str, CpuTimes]:
    """Read `cpu` (all cores together) and `cpu0`, `cpu1`, …; fields as in proc(5)."""
    times: Dict[str, CpuTimes] = {}
    # The lines of the cores come first; the counters of interrupts behind them are long.
    for line in read("/proc/stat").split(b"\n"):
        if not line.startswith(b"cpu"):
            break
        name, *words = line.split()
        ticks = [int(word) for word in words[:8]]
        user, nice, system, idle, iowait, irq, softirq, steal = ticks
        times[name.decode()] = CpuTimes(user + nice, system + irq + softirq, iowait, steal, idle)
    return times


def memory() -> Dict[str, int]:
    """Read `available_mb` and `swap_used_mb` in MiB."""
    kib = _numbers(read("/proc/meminfo"), (b"MemAvailable:", b"SwapTotal:", b"SwapFree:"))
    used = kib.get("SwapTotal:", 0) - kib.get("SwapFree:", 0)
    return {"available_mb": kib["MemAvailable:"] // 1024, "swap_used_mb": used // 1024}


def swapped() -> Counters:
    """Read the bytes that were swapped in and out."""
    pages = _numbers(read("/proc/vmstat"), (b"pswpin", b"pswpout"))
    return {
        "swapped_in": pages["pswpin"] * PAGE_BYTES,
        "swapped_out": pages["pswpout"] * PAGE_BYTES,
    }


def pressure() -> Counters:
    """Read the µs in which at least one task waited for CPU, memory or I/O; empty without PSI."""
    waited: Counters = {}
    for name in ("cpu", "memory", "io"):
        try:
            words = read("/proc/pressure/" + name).split(b"\n", 1)[0].split()
            waited[name] = int(words[-1].partition(b"=")[2])
        except (OSError, ValueError, IndexError):
            continue
    return waited


def network() -> Counters:
    """Read `<interface> <what>` → errors and dropped packets, except of the loopback interface."""
    counts: Counters = {}
    for line in read("/proc/net/dev").decode("ascii", "replace").split("\n")[2:]:
        name, colon, rest = line.partition(":")
        words = rest.split()
        if not colon or name.strip() == "lo" or len(words) <= max(NETWORK_COLUMNS):
            continue
        for column, what in NETWORK_COLUMNS.items():
            counts["%s %s" % (name.strip(), what)] = int(words[column])
    return counts


def links(folder: str = "/sys/class/infiniband") -> Counters:
    """Read `<device>/<port> <counter>` → errors of RDMA links; empty without such a device."""
    counts: Counters = {}
    for device in _names(folder):
        for port in _names("%s/%s/ports" % (folder, device)):
            for counter in LINK_COUNTERS:
                path = "%s/%s/ports/%s/counters/%s" % (folder, device, port, counter)
                try:
                    counts["%s/%s %s" % (device, port, counter)] = int(read(path))
                except (OSError, ValueError):
                    continue
    return counts


def frequencies(folder: str = "/sys/devices/system/cpu/cpufreq") -> List[int]:
    """Read the present frequency of a few cores in MHz, evenly spread; empty if none is known."""
    policies = [name for name in _names(folder) if name.startswith("policy")]
    known: List[int] = []
    for name in _spread(policies):
        try:
            known.append(int(read("%s/%s/scaling_cur_freq" % (folder, name))) // 1000)
        except (OSError, ValueError):
            continue
    if known or policies:
        return known
    lines = read("/proc/cpuinfo", 4 * MIB).split(b"\n")
    shown = [line.partition(b":")[2] for line in lines if line.startswith(b"cpu MHz")]
    return [int(float(text)) for text in _spread(shown)]


def _spread(values: Sequence[T]) -> Sequence[T]:
    """Return at most MOST_CORES_READ values from the whole list."""
    step = max(1, -(-len(values) // MOST_CORES_READ))
    return values[::step]


def _names(folder: str) -> List[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _numbers(text: bytes, names: Iterable[bytes]) -> Counters:
    """Return the number after each name at the start of a line; a name without one is left out."""
    found: Counters = {}
    wanted = set(names)
    for line in text.split(b"\n"):
        words = line.split(None, 2)
        if len(words) > 1 and words[0] in wanted:
            found[words[0].decode()] = int(words[1])
    return found
