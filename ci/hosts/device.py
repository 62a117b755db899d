"""Find out what kind of accelerator this machine has. Starts `nvidia-smi`, reads /dev."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

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
