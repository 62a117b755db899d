"""What the devices of this host do, and which processes use them.

`nvidia-smi` and `npu-smi info watch` run for as long as the sampler does and print every second;
the table of `npu-smi info`, which has the processes, takes the tool a second and is made every ten.
"""

import re
from typing import Any, Callable, Dict, List, Optional, Tuple, Union

from ci.remote.facts.accelerators import parse_npu
from ci.remote.facts.device_tools import accelerator_tools, tool_environment
from ci.remote.telemetry.tools import Repeated, Table

Devices = Dict[str, Dict[str, Any]]
# pid → whose process it is: as of `Shares.kind_of`
KindOf = Callable[[int], Optional[str]]

LATE_S = 10.0
APPS_EVERY_S = 5
TABLE_EVERY_S = 10.0
TABLE_S = 30.0
MOST_HOLDERS = 20
# After `nvidia-smi --help-query-gpu`. Since driver 535 what slows the clocks down is called
# `clocks_event_reasons`; before, `clocks_throttle_reasons`.
GPU_FIELDS = (
    ("index", "index"),
    ("uuid", "uuid"),
    ("temperature.gpu", "temperature_c"),
    ("clocks.sm", "clock_mhz"),
    ("power.draw", "power_w"),
    ("utilization.gpu", "utilization_percent"),
    ("memory.used", "memory_used_mb"),
    ("ecc.errors.uncorrected.volatile.total", "ecc_uncorrected"),
)
REASONS = ("clocks_event_reasons.active", "clocks_throttle_reasons.active")
UNKNOWN_FIELD = "not a valid field"
# After `nvidia-smi --help-query-compute-apps`. The time tells one query from the next.
APP_FIELDS = "timestamp,gpu_uuid,pid,process_name"
# Column of `npu-smi info watch`, as it prints it → entry.
NPU_COLUMNS = {
    "NpuID(Idx)": "npu",
    "ChipId(Idx)": "chip",
    "Pwr(W)": "power_w",
    "Temp(C)": "temperature_c",
    "AI Core(%)": "utilization_percent",
}


class Gpus:
    """NVIDIA's devices."""

    def __init__(self, program: str, env: Dict[str, str], kind_of: KindOf) -> None:
        csv = ("--format=csv,noheader,nounits",)
        names = [name for name, _ in GPU_FIELDS]
        queries = [[*names, reasons] for reasons in REASONS] + [names]
        self._gpus = Repeated(
            [[program, "--query-gpu=" + ",".join(query), *csv, "--loop=1"] for query in queries],
            env,
            LATE_S,
        )
        loop = "--loop=%d" % APPS_EVERY_S
        self._apps = Repeated(
            [[program, "--query-compute-apps=" + APP_FIELDS, *csv, loop]], env, 1e9
        )
        self._kind_of = kind_of
        self._labels: Dict[str, str] = {}
        self._holders: Dict[str, List[Tuple[int, str]]] = {}
        self._asked = ""
        self._asked_s = 0.0

    def take(self, now_s: float) -> Devices:
        """Return the devices that were printed since the last call; see `sampler.py`.

        Raises:
            OSError: the tool does not run, or has hung.
            ValueError: it printed no row that it should print.
        """
        devices: Devices = {}
        lines = [line for line in self._gpus.lines(now_s) if line.strip()]
        self._take_apps(now_s)
        if any(UNKNOWN_FIELD in line for line in lines):
            self._gpus.next_variant()
            return {}
        for line in lines:
            cells = [cell.strip() for cell in line.split(",")]
            if len(cells) not in (len(GPU_FIELDS), len(GPU_FIELDS) + 1) or not cells[0].isdigit():
                raise ValueError("no row: %.80s" % line)
            label = "GPU " + cells[0]
            self._labels[cells[1]] = label
            devices[label] = self._device(cells)
        return devices

    def end(self) -> None:
        """End the tool."""
        self._gpus.end()
        self._apps.end()

    def _device(self, cells: List[str]) -> Dict[str, Any]:
        device: Dict[str, Any] = {}
        for (_, entry), cell in list(zip(GPU_FIELDS, cells))[2:]:
            device[entry] = _number(cell)
        if len(cells) > len(GPU_FIELDS):
            device["slowdown_reasons"] = _bits(cells[-1])
        return {**device, **_holders(self._holders.get(cells[1], []), self._kind_of)}

    def _take_apps(self, now_s: float) -> None:
        """Take the processes; without any, nothing is printed, so what is old is gone."""
        try:
            lines = self._apps.lines(now_s)
        except (OSError, ValueError):
            lines = []
        for line in lines:
            cells = [cell.strip() for cell in line.split(",", 3)]
            if len(cells) < 4 or not cells[2].isdigit():  # noqa: PLR2004 - see APP_FIELDS
                continue
            if cells[0] != self._asked:
                self._asked, self._asked_s, self._holders = cells[0], now_s, {}
            self._holders.setdefault(cells[1], []).append((int(cells[2]), cells[3]))
        if now_s - self._asked_s > 2.5 * APPS_EVERY_S:
            self._holders = {}


class Npus:
    """Ascend's devices."""

    def __init__(self, program: str, env: Dict[str, str], kind_of: KindOf) -> None:
        self._watch = Repeated([[program, "info", "watch", "-d", "1"]], env, LATE_S)
        self._table = Table([program, "info"], env, TABLE_EVERY_S, TABLE_S)
        self._kind_of = kind_of
        self._columns: List[str] = []

    def take(self, now_s: float) -> Devices:
        """Return the devices that were printed since the last call; see `sampler.py`.

        Raises:
            OSError: the tool does not run, or has hung.
            ValueError: it printed no table.
        """
        devices: Devices = {}
        text = self._table.text(now_s)
        if text is not None:
            for found in parse_npu(text):
                holders = [(holder.pid, holder.command) for holder in found["processes"]]
                devices[found["label"]] = {
                    "memory_used_mb": found["memory_used_mb"],
                    "health": found["health"],
                    **_holders(holders, self._kind_of),
                }
        for line in self._watch.lines(now_s):
            row = self._row(line)
            if row:
                label = "NPU %s chip %s" % (row.pop("npu"), row.pop("chip"))
                devices.setdefault(label, {}).update(row)
        return devices

    def end(self) -> None:
        """End the tool."""
        self._watch.end()
        self._table.end()

    def _row(self, line: str) -> Dict[str, Any]:
        """Read a row of `npu-smi info watch`, with the columns of the header above it."""
        words = re.findall(r"\w[^)]*\)", line)
        if "NpuID(Idx)" in words:
            self._columns = words
            return {}
        cells = dict(zip(self._columns, line.split()))
        if not (cells.get("NpuID(Idx)", "").isdigit() and cells.get("ChipId(Idx)", "").isdigit()):
            return {}
        return {
            entry: cells[column] if entry in ("npu", "chip") else _number(cells[column])
            for column, entry in NPU_COLUMNS.items()
            if column in cells
        }


def readers(kind_of: KindOf) -> Dict[str, Union[Gpus, Npus]]:
    """Return a reader for each tool that is installed: name of the tool → reader."""
    tools, env = accelerator_tools(), tool_environment()
    found: Dict[str, Union[Gpus, Npus]] = {}
    for name, path in tools.items():
        found[name] = (Gpus if name == "nvidia-smi" else Npus)(path, env, kind_of)
    return found


def _holders(holders: List[Tuple[int, str]], kind_of: KindOf) -> Dict[str, Any]:
    """Tell the run's processes on a device from others.

    Returns:
        `own`: whether a process of the run is on it, null if no process is known here: a container
        does not show those of its host. `foreign`: the others that are known here.
    """
    kinds = [(pid, command, kind_of(pid)) for pid, command in holders[:MOST_HOLDERS]]
    known = [kind for _, _, kind in kinds if kind is not None]
    return {
        "own": "own" in known if known else None,
        "foreign": [
            {"pid": pid, "name": command.rpartition("/")[2][:40]}
            for pid, command, kind in kinds
            if kind == "foreign"
        ],
    }


def _number(text: str) -> Optional[float]:
    """Read a number; None for any other text, such as `[N/A]`."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value < 1e9 else None  # noqa: PLR2004 - and neither NaN nor infinite


def _bits(text: str) -> Optional[int]:
    try:
        return int(text, 16)
    except ValueError:
        return None
