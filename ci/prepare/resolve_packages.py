"""Resolve the packages of an environment for any architecture, with uv on this machine.

Runs `uv pip compile` in a temporary folder; reads package indexes.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ci.catalog.locks import PIN
from ci.errors import PreparationFailed
from ci.prepare.recipes.uv_settings import PackageSource, holds_torch, index_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Wait = Callable[[Callable[[], bool]], None]

RESOLVE_S = 600.0
POLL_S = 0.05
TAIL_LINES = 12


def argv_of(
    uv: str, recipe: Mapping[str, Any], machine: str, source: PackageSource, folder: str
) -> list[str]:
    """Build uv's command line; uv reads `in` and `overrides`, and preferred versions in `out`.

    Args:
        uv: path of uv.
        recipe: the recipe of an environment, as in configs/versions.yaml.
        machine: the architecture, as `uname -m` prints it.
        source: where uv gets packages on this machine.
        folder: folder of these files; uv writes the result to `out`.
    """
    target = f"{machine}-manylinux_{recipe.get('glibc', '2.28').replace('.', '_')}"
    argv = [uv, "pip", "compile", f"{folder}/in", "--output-file", f"{folder}/out", "--quiet"]
    argv += ["--python-version", recipe["python"], "--python-platform", target]
    # Without indexes, folders and comments, the result is the same on every machine.
    argv += ["--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"]
    # Python is only needed for builds, where any version works.
    argv += ["--no-python-downloads", "--override", f"{folder}/overrides", *source.options]
    backend = recipe.get("torch_backend")
    if backend and not holds_torch(source, backend):
        argv += ["--torch-backend", backend]
    return argv


def resolve(recipe: Mapping[str, Any], machine: str, wait: Wait | None = None) -> list[str]:
    """Choose a version of every package of a recipe for an architecture.

    Args:
        recipe: the recipe of an environment, as in configs/versions.yaml; its `prefer`,
            architecture → `name==version`, is kept where the requirements allow it.
        machine: the architecture, as `uname -m` prints it.
        wait: gets a function that returns whether uv has ended, and returns when it is true; if it
            raises, uv is killed.

    Returns:
        `name==version` of every package, sorted by name.

    Raises:
        PreparationFailed: uv is missing, no index was reached, or the requirements conflict.
    """
    with tempfile.TemporaryDirectory(prefix="lamplighter-lock-") as folder:
        _write(folder, "in", recipe["packages"])
        _write(folder, "overrides", recipe.get("overrides", ()))
        _write(folder, "out", recipe.get("prefer", {}).get(machine, ()))
        settings = index_settings()
        argv = argv_of(_uv(), recipe, machine, PackageSource(settings), folder)
        _run_uv(argv, settings, folder, wait)
        lines = Path(folder, "out").read_text("utf-8").splitlines()
    packages = sorted(line.strip() for line in lines if line.strip() and line[0] != "#")
    invalid = [line for line in packages if not PIN.fullmatch(line)]
    if invalid:
        raise PreparationFailed(f"uv resolved packages: expected NAME==VERSION, got {invalid[0]!r}")
    return packages


def without_wheel(recipe: Mapping[str, Any], machine: str, packages: Sequence[str]) -> list[str]:
    """Find packages that have only their source for an architecture, so that a host builds them.

    Args:
        recipe: as of `resolve`.
        machine: the architecture, as `uname -m` prints it.
        packages: `name==version`, from `resolve`.

    Returns:
        Their names.

    Raises:
        PreparationFailed: as of `resolve`.
    """
    with tempfile.TemporaryDirectory(prefix="lamplighter-lock-") as folder:
        _write(folder, "in", packages)
        _write(folder, "overrides", ())
        settings, output = index_settings(), f"{folder}/pylock.toml"
        argv = argv_of(_uv(), recipe, machine, PackageSource(settings), folder)
        argv += ["--no-deps", "--format", "pylock.toml"]
        _run_uv([output if word == f"{folder}/out" else word for word in argv], settings, folder)
        locked = tomllib.loads(Path(output).read_text("utf-8"))
    return [item["name"] for item in locked.get("packages", ()) if not item.get("wheels")]


def _run_uv(
    argv: list[str], settings: Mapping[str, str], folder: str, wait: Wait | None = None
) -> None:
    with Path(folder, "log").open("w+", encoding="utf-8", errors="replace") as log:
        code = _run(argv, settings, log.fileno(), wait or _wait)
        if code != 0:
            log.seek(0)
            tail = [_printable(line) for line in log if line.strip()][-TAIL_LINES:]
            raise PreparationFailed(_failure(tail, code), tuple(tail))


def _run(argv: list[str], settings: Mapping[str, str], log: int, wait: Wait) -> int:
    started_s = time.monotonic()
    env = {**os.environ, **settings}
    with subprocess.Popen(
        argv, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
    ) as process:

        def ended() -> bool:
            if time.monotonic() - started_s > RESOLVE_S:
                raise PreparationFailed(f"uv did not resolve the packages within {RESOLVE_S:g} s")
            return process.poll() is not None

        try:
            wait(ended)
        except BaseException:
            process.kill()
            raise
        return process.wait()


def _wait(ended: Callable[[], bool]) -> None:
    while not ended():
        time.sleep(POLL_S)


def _printable(line: str) -> str:
    """Remove control characters, because uv prints text that it got from indexes and packages."""
    return "".join(char for char in line.strip() if char.isprintable())


def _failure(tail: list[str], code: int) -> str:
    text = " ".join(line.removeprefix("error: ") for line in tail) or f"uv ended with {code}"
    return f"uv resolved nothing: {text}"


def _write(folder: str, name: str, lines: object) -> None:
    listed = list(lines) if isinstance(lines, list | tuple) else []
    Path(folder, name).write_text("".join(f"{line}\n" for line in listed), "utf-8")


def _uv() -> str:
    try:
        from uv import find_uv_bin  # noqa: PLC0415

        return str(find_uv_bin())
    except (ImportError, FileNotFoundError):
        raise PreparationFailed("no uv on this machine; install it: `pip install uv`") from None
