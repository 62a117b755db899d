"""Detect the kind of accelerator of this machine. Runs `nvidia-smi`, reads /dev."""

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
    """Detect the kind of device that this machine can serve on.

    An accelerator counts if the kernel shows it; an installed tool is not enough.

    Args:
        dev: folder of device files.
    """
    if next(dev.glob("davinci[0-9]*"), None):
        return "ascend"
    if _has_nvidia_gpu():
        return "cuda"
    return "cpu"


def require_device(kind: str, dev: Path = Path("/dev")) -> None:
    """Check that this machine has a kind of accelerator; `cpu` always passes.

    Args:
        kind: cpu, cuda or ascend.
        dev: folder of device files.

    Raises:
        UserError: the accelerator was not detected.
    """
    signs = {"cuda": "nvidia-smi lists no GPU", "ascend": f"there is no {dev}/davinci*"}
    here = detect_device(dev)
    if kind in signs and kind != here:
        raise UserError(
            f"this machine has no {kind} device: {signs[kind]}, detected {here}; run this "
            f"on a machine with {kind}, or repair its driver",
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
    """Return the chosen kind of device, or detect this machine's if none was chosen.

    Raises:
        UserError: the chosen kind is unknown.
    """
    if chosen and chosen not in DEVICES:
        raise UserError(f"--device {chosen}: unknown; choose one of {', '.join(DEVICES)}")
    return next((kind for kind in DEVICES if kind == chosen), None) or detect_device()
