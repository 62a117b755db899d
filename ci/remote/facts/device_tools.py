"""Where this host has the tools of its accelerators."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict

ACCELERATOR_TOOLS = ("nvidia-smi", "npu-smi")
# A shell over SSH often lacks the folders that a login shell has.
TOOL_FOLDERS = ("/usr/local/bin", "/usr/local/sbin", "/usr/bin", "/usr/sbin")
NPU_LIBRARIES = "/usr/local/Ascend/driver/lib64/common:/usr/local/Ascend/driver/lib64/driver"


def accelerator_tools() -> Dict[str, str]:
    """Find the accelerators' own tools: name → path."""
    folders = [*os.environ.get("PATH", os.defpath).split(os.pathsep), *TOOL_FOLDERS]
    paths: Dict[str, str] = {}
    for tool in ACCELERATOR_TOOLS:
        for folder in filter(None, folders):
            path = os.path.join(folder, tool)
            if tool not in paths and os.access(path, os.X_OK):
                paths[tool] = path
    return paths


def tool_environment() -> Dict[str, str]:
    """Return the environment in which these tools print plain English and find their libraries."""
    libraries = [os.environ.get("LD_LIBRARY_PATH", ""), NPU_LIBRARIES]
    return {**os.environ, "LC_ALL": "C", "LD_LIBRARY_PATH": ":".join(filter(None, libraries))}
