"""Make a Python environment. Runs on the host: stdlib only, Python 3.8 and later.

Touches the workspace of the folder named in its input, and uv's cache; nothing else is installed.
"""

from __future__ import annotations

import collections
import ctypes
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import time
from typing import Any

# It lies beside this file, here and on a host.
from uv_settings import (  # type: ignore[import-not-found]
    INDEX_NAME,
    Way,
    answer_of,
    holds_torch,
    python_of,
    way_to_packages,
)

STAMP = ".lamplighter.json"
# Which uv made it and with which cache, for recipes that build on the environment.
SETTINGS = ".uv.json"
TAIL_LINES = 15


class Failed(Exception):  # noqa: N818 - it is the end of a step, told to the operator
    """Something could not be made; the message is for the operator."""


def say(text: str) -> None:
    """Print one line of progress at once: it is being read live."""
    print(text, flush=True)


def run(argv: list[str], env: dict[str, str] | None = None, advice: str = "") -> None:
    """Run a command, passing its output on; its last lines are in the error when it fails."""
    tail: collections.deque[str] = collections.deque(maxlen=TAIL_LINES)
    merged = {**os.environ, **(env or {})}
    with subprocess.Popen(
        argv,
        env=merged,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    ) as process:
        for line in process.stdout or ():
            tail.append(line.rstrip())
            if not line.startswith(" + "):
                say("  " + line.rstrip())
    if process.returncode != 0:
        said = "\n".join("  " + line for line in tail)
        raise Failed("%s ended with %s:\n%s\n%s" % (argv[0], process.returncode, said, advice))


def find_uv(spec: dict[str, Any], workspace: str, env: dict[str, str]) -> str:
    """Find uv: as told, on the PATH, or installed into the workspace with pip."""
    own = os.path.join(workspace, "uv", "bin", "uv")
    for candidate in (spec.get("uv"), shutil.which("uv"), own):
        if candidate and os.access(candidate, os.X_OK):
            return candidate
    say("installing uv")
    advice = "Install uv (`pip install uv`) on this host, or python3-venv and pip, and run again."
    folder = os.path.dirname(os.path.dirname(own))
    index = env.get("UV_DEFAULT_INDEX") or os.environ.get("UV_DEFAULT_INDEX")
    for_pip = {**env, "PIP_INDEX_URL": INDEX_NAME.sub("", index)} if index else env
    run([sys.executable, "-m", "venv", "--clear", folder], advice=advice)
    run([os.path.join(folder, "bin", "pip"), "install", "--quiet", "uv"], for_pip, advice)
    return own


def cache_settings(uv: str, workspace: str) -> dict[str, str]:
    """Keep uv's cache where hard links from it reach: on the workspace's file system."""
    folder = answer_of(uv, "cache", "dir")
    if os.environ.get("UV_CACHE_DIR") or device_of(folder) == device_of(workspace):
        return {}
    return {"UV_CACHE_DIR": os.path.join(workspace, "cache", "uv")}


def device_of(path: str) -> int:
    """The file system that a path is on, or will be."""
    while not os.path.exists(path):
        path = os.path.dirname(path) or "/"
    return os.stat(path).st_dev


def need_libraries(libraries: dict[str, str]) -> None:
    """Require shared libraries of the system, which are the operator's to install.

    Args:
        libraries: name → Debian package that has it.

    Raises:
        Failed: one is missing; says what to type.
    """
    missing = {name: package for name, package in libraries.items() if not loads(name)}
    if not missing:
        return
    root = "" if os.geteuid() == 0 else "sudo "
    packages = " ".join(sorted(set(missing.values())))
    raise Failed(
        "not made: this host lacks %s, and nothing is installed outside the workspace. Type "
        "`%sapt-get install --no-install-recommends %s` there, or install the same with its own "
        "package manager, and run again." % (", ".join(missing), root, packages)
    )


def loads(name: str) -> bool:
    """Tell whether the dynamic linker finds this library."""
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def install(uv: str, spec: dict[str, Any], way: Way) -> None:
    """Make the environment and install its packages."""
    path, env = spec["path"], way.env
    advice = "Nothing is left half-made: mend the cause and run again; it starts over."
    say("making %s with Python %s" % (path, spec["python"]))
    folder = os.path.join(os.path.dirname(os.path.dirname(path)), "uv", "python")
    python, lacking = python_of(uv, spec["python"], folder)
    if lacking:
        say("there is no Python %s here: uv fetches one" % spec["python"])
        env = {"UV_PYTHON_INSTALL_DIR": os.environ.get("UV_PYTHON_INSTALL_DIR") or folder, **env}
    run([uv, "venv", "--quiet", "--clear", "--python", python, path], env, lacking or advice)
    # Compiled once here, not by every process of every start: vLLM's takes half as long so.
    argv = [uv, "pip", "install", "--compile-bytecode", "--python", path + "/bin/python"]
    argv += way.options
    backend = spec.get("torch_backend")
    if backend and not holds_torch(way, backend):
        argv += ["--torch-backend", backend]
    locked = lock_of(spec)
    if locked:
        # As they are: what they need was settled when the lock was made.
        argv += ["--no-deps", "--requirement", write_lines(path, "lock.txt", locked)]
        say("installing %d packages of its lock" % len(locked))
    else:
        argv += ["--override", write_lines(path, "overrides.txt", spec.get("overrides") or [])]
        argv += spec["packages"]
        say("installing " + ", ".join(spec["packages"]))
    asked = way.said + ". " if way.said else "Is the package index reachable? "
    run(argv, env, asked + advice)
    if locked:
        require_as_locked(uv, path, locked)


def lock_of(spec: dict[str, Any]) -> list[str]:
    """Every package of the environment, pinned; empty where this kind of machine has no lock."""
    return list(spec.get("locks", {}).get(os.uname().machine, ()))


def write_lines(folder: str, name: str, lines: list[str]) -> str:
    """Write a file for uv, a line each; returns its path."""
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(line + "\n" for line in lines)
    return path


def require_as_locked(uv: str, path: str, locked: list[str]) -> None:
    """Compare what was installed with the lock.

    Raises:
        Failed: they differ; says in what.
    """
    there = {plain_name(line) for line in installed(uv, path)}
    differ = sorted(there.symmetric_difference(map(plain_name, locked)))
    if differ:
        said = ", ".join(differ[:TAIL_LINES])
        raise Failed("what was installed is not what the lock says: %s differ; run again" % said)


def plain_name(pin: str) -> str:
    """Write a `name==version` as every other spelling of that name is written."""
    name, _, version = pin.partition("==")
    return re.sub(r"[-_.]+", "-", name).lower() + "==" + version


def installed(uv: str, path: str) -> list[str]:
    """List what is in the environment, sorted: `name==version`."""
    return sorted(answer_of(uv, "pip", "freeze", "--python", path + "/bin/python").split("\n"))


def add_metadata(path: str, requirement: str) -> None:
    """Answer importlib.metadata for a name that the installed package is also known by."""
    name, version = requirement.split("==")
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = answer_of(path + "/bin/python", "-c", code)
    base = "%s-%s.dist-info" % (name.replace("-", "_"), version)
    os.makedirs(os.path.join(packages, base), exist_ok=True)
    contents = {
        "METADATA": "Metadata-Version: 2.1\nName: %s\nVersion: %s\n" % (name, version),
        "INSTALLER": "lamplighter\n",
        "RECORD": "".join("%s/%s,,\n" % (base, f) for f in ("METADATA", "INSTALLER", "RECORD")),
    }
    for file_name, text in contents.items():
        with open(os.path.join(packages, base, file_name), "w", encoding="utf-8") as file:
            file.write(text)


def verify(path: str, command: list[str]) -> None:
    """Prove that the environment works."""
    say("checking that it works: " + " ".join(command))
    env = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
    program = os.path.join(path, "bin", command[0])
    run([program, *command[1:]], env, "What was installed does not work on this host.")


def write_stamp(uv: str, spec: dict[str, Any], way: Way, seconds: float) -> None:
    """Say that the environment is complete, and what is in it. The last thing that is done."""
    stamp = {
        "fingerprint": spec["fingerprint"],
        "packages": installed(uv, spec["path"]),
        "locked": bool(lock_of(spec)),
        "seconds": round(seconds, 1),
        "way": way.said,
    }
    write_json(os.path.join(spec["path"], STAMP), stamp)


def write_json(path: str, value: object) -> None:
    """Write a file whole or not at all, for its owner's eyes."""
    with open(os.open(path + ".partial", os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        json.dump(value, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".partial", path)


def made(spec: dict[str, Any]) -> bool:
    """Tell whether it exists already, complete and as asked for."""
    try:
        with open(os.path.join(spec["path"], STAMP), encoding="utf-8") as file:
            return bool(json.load(file)["fingerprint"] == spec["fingerprint"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def make(spec: dict[str, Any]) -> None:
    """Make the environment that `spec` asks for, from nothing."""
    began = time.monotonic()
    path = spec["path"]
    workspace = os.path.dirname(os.path.dirname(path))
    shutil.rmtree(path, ignore_errors=True)
    need_libraries(spec.get("libraries", {}))
    way = way_to_packages()
    if way.said:
        say(way.said)
    uv = find_uv(spec, workspace, way.env)
    cache = cache_settings(uv, workspace)
    way.env.update(cache)
    install(uv, spec, way)
    write_json(os.path.join(path, SETTINGS), {"uv": uv, "env": cache})
    if spec.get("metadata_for"):
        add_metadata(path, spec["metadata_for"])
    verify(path, spec["verify"])
    write_stamp(uv, spec, way, time.monotonic() - began)
    say("made %s in %.0f s" % (path, time.monotonic() - began))


def main() -> int:
    """Read the input file named on the command line and make what it asks for."""
    with open(sys.argv[1], encoding="utf-8") as file:
        spec = json.load(file)
    os.makedirs(os.path.dirname(spec["path"]), exist_ok=True)
    try:
        # Another night on this host may be making it: then this one waits, and finds it made.
        with open(spec["path"] + ".lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if made(spec):
                say("%s is there already" % spec["path"])
            else:
                make(spec)
    except (Failed, OSError) as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
