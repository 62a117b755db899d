"""Find out what kind of accelerator this machine has. Starts `nvidia-smi`, reads /dev."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from ci.case.model import DEVICES
from ci.errors import UserError

if TYPE_CHECKING:
    from ci.case.model import Device

ANSWER_S = 20


def detect_device(dev: Path = Path("/dev")) -> Device:
    """Tell what this machine can serve on.

    An accelerator counts when the kernel shows it: a tool that is installed proves nothing.

    Args:
        dev: where device files are.
    """
    if next(dev.glob("davinci[0-9]*"), None):
        return "ascend"
    if _has_nvidia_gpu():
        return "cuda"
    return "cpu"


def require_device(kind: str, dev: Path = Path("/dev")) -> None:
    """Refuse a kind of accelerator that this machine does not show; a CPU is everywhere.

    Args:
        kind: cpu, cuda or ascend.
        dev: where device files are.

    Raises:
        UserError: says what was looked for.
    """
    signs = {"cuda": "nvidia-smi lists no GPU", "ascend": f"there is no {dev}/davinci*"}
    here = detect_device(dev)
    if kind in signs and kind != here:
        raise UserError(
            f"{kind} is not what this machine has: {signs[kind]}, it looks like {here}; run this "
            "on a machine that has it, or mend its driver",
        )


def _has_nvidia_gpu() -> bool:
    try:
        answer = subprocess.run(
            ["nvidia-smi", "--list-gpus"],
            check=False,
            capture_output=True,
            text=True,
            timeout=ANSWER_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0 and "GPU " in answer.stdout


def device_of(chosen: str) -> Device:
    """Say which kind of machine this is, or check the kind that was chosen.

    Raises:
        UserError: there is no such kind.
    """
    from ci.inventory.this_machine import detect_device  # noqa: PLC0415

    if chosen and chosen not in DEVICES:
        raise UserError(f"--device {chosen}: known are {', '.join(DEVICES)}")
    return next((kind for kind in DEVICES if kind == chosen), None) or detect_device()
