"""Which accelerators this host has, what is in their memory and whose it is.

Starts `nvidia-smi` and `npu-smi` where they are installed, each bounded in time.
"""

import os
import re
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from ci.remote.facts.owner import describe

ANSWER_S = 10.0
KILLED_S = 1.0  # one that hangs in the driver does not even die of KILL: it is left behind
_GPU_FIELDS = "index,uuid,name,memory.total,memory.used,driver_version"
_APP_FIELDS = "gpu_uuid,pid,process_name,used_memory"
_NPU_LIBRARIES = "/usr/local/Ascend/driver/lib64/common:/usr/local/Ascend/driver/lib64/driver"
_PAIR = re.compile(r"(\d+)\s*/\s*(\d+)")

Accelerator = Dict[str, Any]
Errors = Dict[str, str]


class Holder(NamedTuple):
    """A process with memory on a device, as a tool names it."""

    pid: int
    command: str
    memory_mb: Optional[int]


def find(tools: Dict[str, str], devices: List[str]) -> Tuple[List[Accelerator], Errors]:
    """Look for every kind.

    Args:
        tools: `nvidia-smi` and `npu-smi`, where they are installed → their paths.
        devices: names in /dev.

    Returns:
        The accelerators: `kind` (cuda, ascend), `index` (as `*_VISIBLE_DEVICES` counts), `label`,
        `name`, `memory_total_mb`, `memory_used_mb`, `processes`, `driver`; and what went wrong,
        by kind. A kernel that shows devices no tool tells of is something wrong.
    """
    found: List[Accelerator] = []
    errors: Errors = {}
    for kind, tool, look, device in _KINDS:
        shown = sum(1 for name in devices if re.fullmatch(device, name))
        try:
            found += look(tools[tool])
        except KeyError:
            if shown:
                errors[kind] = f"the kernel shows {shown} devices of it, but no {tool} is here"
        except (OSError, ValueError, IndexError) as error:
            errors[kind] = str(error)
    for one in found:
        one["processes"] = [_holder(holder) for holder in one["processes"]]
    return found, errors


def parse_nvidia(gpus: str, apps: str) -> List[Accelerator]:
    """Read nvidia-smi's CSV without header and units.

    Args:
        gpus: of `--query-gpu=index,uuid,name,memory.total,memory.used,driver_version`.
        apps: of `--query-compute-apps=gpu_uuid,pid,process_name,used_memory`.
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
    """Read the two tables of `npu-smi info`: chips of two rows each, then processes.

    910B has one chip a NPU; 910C (A3) two, and a column `Phy-ID` behind the chip's number.
    """
    version = re.search(r"Version:\s*(\S+)", table)
    found: Dict[Tuple[str, str], Accelerator] = {}
    above: List[str] = []
    in_processes = False
    for cells in _rows(table):
        numbers = cells[0].split()
        if "Process id" in cells[1:2]:
            in_processes = True
        elif in_processes and len(cells) >= 4 and cells[1].isdecimal():  # noqa: PLR2004
            chip = found.get((numbers[0], numbers[-1]))
            if chip:
                chip["processes"].append(Holder(int(cells[1]), cells[2], _number(cells[3])))
        elif in_processes or not numbers or not numbers[0].isdecimal():
            above = []
        elif not above:
            above = cells
        else:
            npu, name = above[0].split()[0], " ".join(above[0].split()[1:])
            found[(npu, numbers[0])] = _npu(len(found), npu, numbers[0], name, cells, version)
            found[(npu, numbers[0])]["health"] = above[1]
            above = []
    if not found:
        raise ValueError(f"npu-smi info printed no chip: {_last(table)}")
    return list(found.values())


def _npu(  # noqa: PLR0913, PLR0917 - the columns of one row
    index: int, npu: str, chip: str, name: str, cells: List[str], version: Optional["re.Match[str]"]
) -> Accelerator:
    # The last column that has any memory counts: HBM, or, on chips without it, DDR.
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
    """Run commands side by side to their end, or until their time is up."""
    import subprocess  # noqa: PLC0415 - only a host with an accelerator pays for it
    import time  # noqa: PLC0415

    libraries = [os.environ.get("LD_LIBRARY_PATH", ""), _NPU_LIBRARIES]
    env = {**os.environ, "LC_ALL": "C", "LD_LIBRARY_PATH": ":".join(filter(None, libraries))}
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
        return [_answer(one, until - time.monotonic()) for one in running]
    finally:
        for one in running:
            _end(one)


def _answer(process: Any, seconds: float) -> str:  # noqa: ANN401 - subprocess is not imported here
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
    """What the tool says of a process, and what /proc knows better."""
    known = describe(holder.pid)
    command = known["command"] or holder.command
    return {**known, "command": command, "memory_mb": holder.memory_mb}


def _cells(row: str, many: int) -> List[str]:
    """Split a row of CSV; a comma may only be in the third column, a name."""
    cells = [cell.strip() for cell in row.split(",")]
    spare = len(cells) - many
    if spare < 0:
        raise ValueError(f"nvidia-smi printed what is no row of its table: {row}")
    return [*cells[:2], ", ".join(cells[2 : 3 + spare]), *cells[3 + spare :]]


def _number(text: str) -> Optional[int]:
    """Read a number; `[N/A]` and the like are unknown."""
    return int(text) if text.isdecimal() else None


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


_KINDS = (("cuda", "nvidia-smi", _gpus, r"nvidia\d+"), ("ascend", "npu-smi", _npus, r"davinci\d+"))
