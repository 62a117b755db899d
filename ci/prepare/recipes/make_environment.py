"""Make a Python environment. Runs on the host: stdlib only, Python 3.8 and later.

Writes only the workspace of the folder in its input, and uv's cache.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import shutil
import sys
import time
from typing import Any, Iterator

# In the same folder as this file, here and on a host.
from one_maker import make_once, read_key, used_elsewhere  # type: ignore[import-not-found]
from uv_commands import Failed, cache_settings, find_uv, run, say  # type: ignore[import-not-found]
from uv_settings import (  # type: ignore[import-not-found]
    PackageSource,
    holds_torch,
    output_of,
    package_source,
    python_of,
)

STAMP = ".lamplighter.json"
# The uv that made it and its cache, for recipes that use the environment.
SETTINGS = ".uv.json"
MAX_NAMES = 15


def need_libraries(libraries: dict[str, str]) -> None:
    """Check for shared libraries of the system, which the operator must install.

    Args:
        libraries: name → Debian package.

    Raises:
        Failed: libraries are missing; has the command that installs them.
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
    """Return whether the dynamic linker finds a library."""
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def install(uv: str, spec: dict[str, Any], source: PackageSource) -> None:
    """Make the environment and install its packages."""
    path, env = spec["path"], source.env
    advice = "Fix the cause and run again; it starts from the beginning."
    say("making %s with Python %s" % (path, spec["python"]))
    folder = os.path.join(os.path.dirname(os.path.dirname(path)), "uv", "python")
    python, missing_advice = python_of(uv, spec["python"], folder)
    if missing_advice:
        say("no Python %s on this host: uv downloads it" % spec["python"])
        env = {"UV_PYTHON_INSTALL_DIR": os.environ.get("UV_PYTHON_INSTALL_DIR") or folder, **env}
    run([uv, "venv", "--quiet", "--clear", "--python", python, path], env, missing_advice or advice)
    # Compile once here, not in each process at each start: it halves vLLM's start.
    argv = [uv, "pip", "install", "--compile-bytecode", "--python", path + "/bin/python"]
    argv += source.options
    backend = spec.get("torch_backend")
    if backend and not holds_torch(source, backend):
        argv += ["--torch-backend", backend]
    locked = lock_of(spec)
    if locked:
        # Without dependencies: the lock has them.
        argv += ["--no-deps", "--requirement", write_lines(path, "lock.txt", locked)]
        say("installing %d packages from its lock" % len(locked))
    else:
        argv += ["--override", write_lines(path, "overrides.txt", spec.get("overrides") or [])]
        argv += spec["packages"]
        say("installing " + ", ".join(spec["packages"]))
    cause = source.note + ". " if source.note else "Is the package index reachable? "
    run(argv, env, cause + advice)
    if locked:
        require_as_locked(uv, path, locked)


def lock_of(spec: dict[str, Any]) -> list[str]:
    """Return every package of the environment, pinned; empty if this architecture has no lock."""
    return list(spec.get("locks", {}).get(os.uname().machine, ()))


def write_lines(folder: str, name: str, lines: list[str]) -> str:
    """Write a file with the given lines, and return its path."""
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(line + "\n" for line in lines)
    return path


def require_as_locked(uv: str, path: str, locked: list[str]) -> None:
    """Compare the installed packages with the lock.

    Raises:
        Failed: they differ; has the packages.
    """
    present = {plain_name(line) for line in installed(uv, path)}
    differ = sorted(present.symmetric_difference(map(plain_name, locked)))
    if differ:
        names = ", ".join(differ[:MAX_NAMES])
        raise Failed("installed packages differ from the lock: %s; run again" % names)


def plain_name(pin: str) -> str:
    """Normalise the name in a `name==version`."""
    name, _, version = pin.partition("==")
    return re.sub(r"[-_.]+", "-", name).lower() + "==" + version


def installed(uv: str, path: str) -> list[str]:
    """Return the installed packages as `name==version`, sorted."""
    return sorted(output_of(uv, "pip", "freeze", "--python", path + "/bin/python").split("\n"))


def add_metadata(path: str, requirement: str) -> None:
    """Add metadata under a second name of an installed package, for importlib.metadata."""
    name, version = requirement.split("==")
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = output_of(path + "/bin/python", "-c", code)
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
    """Run the command that shows that the environment works."""
    say("checking that it works: " + " ".join(command))
    env = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
    program = os.path.join(path, "bin", command[0])
    run([program, *command[1:]], env, "The installed packages do not work on this host.")


def write_stamp(uv: str, spec: dict[str, Any], source: PackageSource, seconds: float) -> None:
    """Write the stamp of a complete environment with its packages; this is the last step."""
    stamp = {
        "fingerprint": spec["fingerprint"],
        "machine": os.uname().machine,
        "packages": installed(uv, spec["path"]),
        "locked": bool(lock_of(spec)),
        "seconds": round(seconds, 1),
        "source": source.note,
    }
    write_json(os.path.join(spec["path"], STAMP), stamp)


def write_json(path: str, value: object) -> None:
    """Write a JSON file atomically, readable only by its owner."""
    with open(os.open(path + ".partial", os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        json.dump(value, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".partial", path)


def made(spec: dict[str, Any]) -> bool:
    """Return whether the environment exists, is complete and has the right fingerprint."""
    return bool(read_key(os.path.join(spec["path"], STAMP), "fingerprint") == spec["fingerprint"])


@contextlib.contextmanager
def replacing(path: str) -> Iterator[None]:
    """Set a complete environment aside while it is made again, and put it back after a failure."""
    previous = path + ".previous"
    if os.path.exists(os.path.join(path, STAMP)):
        shutil.rmtree(previous, ignore_errors=True)
        os.rename(path, previous)
    shutil.rmtree(path, ignore_errors=True)
    try:
        yield
    except BaseException:
        if os.path.exists(previous):
            shutil.rmtree(path, ignore_errors=True)
            os.rename(previous, path)
        raise
    shutil.rmtree(previous, ignore_errors=True)


def make(spec: dict[str, Any]) -> None:
    """Make the environment of a spec from scratch."""
    started_s = time.monotonic()
    path = spec["path"]
    workspace = os.path.dirname(os.path.dirname(path))
    if os.path.exists(os.path.join(path, STAMP)):
        own = os.path.dirname(os.path.abspath(__file__))
        if used := used_elsewhere(path, os.path.join(workspace, ".lamplighter"), own):
            raise Failed("not made: " + used)
    need_libraries(spec.get("libraries", {}))
    source = package_source()
    if source.note:
        say(source.note)
    uv = find_uv(spec, workspace, source.env)
    cache = cache_settings(uv, workspace)
    source.env.update(cache)
    with replacing(path):
        install(uv, spec, source)
        write_json(os.path.join(path, SETTINGS), {"uv": uv, "env": cache})
        if spec.get("metadata_for"):
            add_metadata(path, spec["metadata_for"])
        verify(path, spec["verify"])
        write_stamp(uv, spec, source, time.monotonic() - started_s)
    say("made %s in %.0f s" % (path, time.monotonic() - started_s))


def main() -> int:
    """Make the environment of the input file on the command line; return the exit code."""
    with open(sys.argv[1], encoding="utf-8") as file:
        spec = json.load(file)
    try:
        make_once(spec, made, make, say)
    except (Failed, OSError) as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
