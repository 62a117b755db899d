"""The accelerators of this host, the use of their memory, and the processes that use it.

Starts `nvidia-smi` and `npu-smi` if they are installed, each with a time limit.
"""

import os
import re
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from ci.remote.facts.device_tools import tool_environment
from ci.remote.facts.owner import describe

ANSWER_S = 10.0
KILLED_S = 1.0  # KILL does not end a tool that hangs in the driver: after so long it is left alone
_GPU_FIELDS = "index,uuid,name,memory.total,memory.used,driver_version"
_APP_FIELDS = "gpu_uuid,pid,process_name,used_memory"
_PAIR = re.compile(r"(\d+)\s*/\s*(\d+)")

Accelerator = Dict[str, Any]
Errors = Dict[str, str]


class Holder(NamedTuple):
    """A process with memory on a device, as the tool lists it."""

    pid: int
    command: str
    memory_mb: Optional[int]


def find(tools: Dict[str, str], devices: List[str]) -> Tuple[List[Accelerator], Errors]:
    """Look for accelerators of every kind.

    Args:
        tools: `nvidia-smi` and `npu-smi`, if installed → their paths.
        devices: names in /dev.

    Returns:
        The accelerators: `kind` (cuda, ascend), `index` (as `*_VISIBLE_DEVICES` counts), `label`,
        `name`, `memory_total_mb`, `memory_used_mb`, `processes`, `driver`; and kind → error. It is
        an error too if the kernel shows devices and their tool is not installed.
    """
    accelerators: List[Accelerator] = []
    errors: Errors = {}
    for kind, tool, look, pattern in _KINDS:
        shown = sum(1 for name in devices if re.fullmatch(pattern, name))
        try:
            accelerators += look(tools[tool])
        except KeyError:
            if shown:
                errors[kind] = (
                    f"the kernel shows {shown} devices of it, but {tool} is not installed"
                )
        except (OSError, ValueError, IndexError) as error:
            errors[kind] = str(error)
    for device in accelerators:
        device["processes"] = [_holder(holder) for holder in device["processes"]]
    return accelerators, errors


def parse_nvidia(gpus: str, apps: str) -> List[Accelerator]:
    """Read nvidia-smi's CSV without header and units.

    Args:
        gpus: output of `--query-gpu=index,uuid,name,memory.total,memory.used,driver_version`.
        apps: output of `--query-compute-apps=gpu_uuid,pid,process_name,used_memory`.
    """
    holders: Dict[str, List[Holder]] = {}
    for uuid, pid, command, memory in (_cells(row, 4) for row in apps.splitlines() if row.strip()):
        holders.setdefault(uuid, []).append(Holder(int(pid), command, _number(memory)))
    return [
        {
            "kind": "cuda",
            "index": int(index),
            "label": f"GPU {index}",
            "name": name,
            "memory_total_mb": _number(total),
            "memory_used_mb": _number(used),
            "processes": holders.get(uuid, []),
            "driver": driver,
        }
        for index, uuid, name, total, used, driver in (
            _cells(row, 6) for row in gpus.splitlines() if row.strip()
        )
    ]


def parse_npu(table: str) -> List[Accelerator]:
    """Read the two tables of `npu-smi info`: two rows for each chip, then the processes.

    An NPU of 910B has a single chip. 910C (A3) has two, and a column `Phy-ID` after the number.
    """
    version = re.search(r"Version:\s*(\S+)", table)
    chips: Dict[Tuple[str, str], Accelerator] = {}
    above: List[str] = []
    in_processes = False
    for cells in _rows(table):
        numbers = cells[0].split()
        if "Process id" in cells[1:2]:
            in_processes = True
        elif in_processes and len(cells) >= 4 and cells[1].isdecimal():  # noqa: PLR2004
            chip = chips.get((numbers[0], numbers[-1]))
            if chip:
                chip["processes"].append(Holder(int(cells[1]), cells[2], _number(cells[3])))
        elif in_processes or not numbers or not numbers[0].isdecimal():
            above = []
        elif not above:
            above = cells
        else:
            npu, name = above[0].split()[0], " ".join(above[0].split()[1:])
            chips[npu, numbers[0]] = _npu(len(chips), npu, numbers[0], name, cells, version)
            chips[npu, numbers[0]]["health"] = above[1]
            above = []
    if not chips:
        raise ValueError(f"npu-smi info printed no chip: {_last(table)}")
    return list(chips.values())


def _npu(  # noqa: PLR0913, PLR0917 - the columns of a row
    index: int, npu: str, chip: str, name: str, cells: List[str], version: Optional["re.Match[str]"]
) -> Accelerator:
    # The last column with memory is that of HBM, or, on chips without HBM, of DDR.
    memory = [(int(used), int(total)) for used, total in _PAIR.findall(cells[-1]) if int(total)]
    used, total = memory[-1] if memory else (None, None)
    return {
        "kind": "ascend",
        "index": index,
        "label": f"NPU {npu} chip {chip}",
        "name": name,
        "memory_total_mb": total,
        "memory_used_mb": used,
        "processes": [],
        "driver": version.group(1) if version else None,
    }


def _rows(table: str) -> List[List[str]]:
    lines = (line.strip() for line in table.splitlines())
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "|" in line]
    return [cells for cells in rows if len(cells) > 1]


def _gpus(program: str) -> List[Accelerator]:
    wants = ("--format=csv,noheader,nounits",)
    gpus, apps = _ask_all(
        [
            [program, f"--query-gpu={_GPU_FIELDS}", *wants],
            [program, f"--query-compute-apps={_APP_FIELDS}", *wants],
        ]
    )
    return parse_nvidia(gpus, apps)


def _npus(program: str) -> List[Accelerator]:
    return parse_npu(_ask_all([[program, "info"]])[0])


def _ask_all(commands: List[List[str]]) -> List[str]:
    """Run commands in parallel until they end, or until the time limit."""
    import subprocess  # noqa: PLC0415 - only hosts with an accelerator need it
    import time  # noqa: PLC0415

    env = tool_environment()
    running = [
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=env,
            start_new_session=True,
        )
        for command in commands
    ]
    until = time.monotonic() + ANSWER_S
    try:
        return [_output_of(process, until - time.monotonic()) for process in running]
    finally:
        for process in running:
            _end(process)


def _output_of(process: Any, seconds: float) -> str:  # noqa: ANN401 - subprocess is not imported here
    from subprocess import TimeoutExpired  # noqa: PLC0415

    tool = " ".join(process.args[:2])
    try:
        out = process.communicate(timeout=max(0.0, seconds))[0].decode("utf-8", "replace")
    except TimeoutExpired:
        raise OSError(f"{tool} did not answer within {ANSWER_S:g} s") from None
    if process.returncode != 0:
        raise OSError(f"{tool} ended with {process.returncode}: {_last(out)}")
    return str(out)


def _end(process: Any) -> None:  # noqa: ANN401
    import signal  # noqa: PLC0415
    from subprocess import TimeoutExpired  # noqa: PLC0415

    if process.poll() is None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(KILLED_S)
        except (OSError, TimeoutExpired):
            pass
    process.stdout.close()


def _holder(holder: Holder) -> Dict[str, Any]:
    """Complete the tool's row of a process from /proc."""
    known = describe(holder.pid)
    command = known["command"] or holder.command
    return {**known, "command": command, "memory_mb": holder.memory_mb}


def _cells(row: str, count: int) -> List[str]:
    """Split a row of CSV; a comma may only be in the third column, a name."""
    cells = [cell.strip() for cell in row.split(",")]
    spare = len(cells) - count
    if spare < 0:
        raise ValueError(f"nvidia-smi printed an invalid row: {row}")
    return [*cells[:2], ", ".join(cells[2 : 3 + spare]), *cells[3 + spare :]]


def _number(text: str) -> Optional[int]:
    """Read a number; None for any other text, such as `[N/A]`."""
    return int(text) if text.isdecimal() else None


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it printed nothing"


_KINDS = (("cuda", "nvidia-smi", _gpus, r"nvidia\d+"), ("ascend", "npu-smi", _npus, r"davinci\d+"))
