"""Resolve every package of an environment on this machine, for any machine, with uv.

Starts `uv pip compile`, in a folder of its own that is gone afterwards; reads package indexes.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ci.catalog.locks import PIN
from ci.errors import PreparationFailed
from ci.prepare.recipes.uv_settings import Way, holds_torch, index_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Wait = Callable[[Callable[[], bool]], None]

RESOLVE_S = 600.0
POLL_S = 0.05
TAIL_LINES = 12


def argv_of(uv: str, recipe: Mapping[str, Any], machine: str, way: Way, folder: str) -> list[str]:
    """Build uv's command line; it reads `in`, `overrides` and, for what it prefers, `out`.

    Args:
        uv: the program.
        recipe: an environment's, as in configs/versions.yaml.
        machine: as `uname -m` says it.
        way: how uv gets packages here.
        folder: with those files; `out` is what it writes.
    """
    target = f"{machine}-manylinux_{recipe.get('glibc', '2.28').replace('.', '_')}"
    argv = [uv, "pip", "compile", f"{folder}/in", "--output-file", f"{folder}/out", "--quiet"]
    argv += ["--python-version", recipe["python"], "--python-platform", target]
    # What it writes is the same wherever it was resolved: no index, no folder, no comment.
    argv += ["--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"]
    # Python is needed for building alone, and then whichever is here does.
    argv += ["--no-python-downloads", "--override", f"{folder}/overrides", *way.options]
    backend = recipe.get("torch_backend")
    if backend and not holds_torch(way, backend):
        argv += ["--torch-backend", backend]
    return argv


def resolve(recipe: Mapping[str, Any], machine: str, wait: Wait | None = None) -> list[str]:
    """Choose a version of every package that a recipe takes on such a machine.

    Args:
        recipe: an environment's, as in configs/versions.yaml; `prefer`, machine → `name==version`,
            is kept wherever the rest allows it.
        machine: as `uname -m` says it.
        wait: returns when what it is given says that uv has ended; may raise, which ends uv.

    Returns:
        `name==version` of everything, sorted by name.

    Raises:
        PreparationFailed: there is no uv here, no index was reached, or nothing fits together.
    """
    with tempfile.TemporaryDirectory(prefix="lamplighter-lock-") as folder:
        _write(folder, "in", recipe["packages"])
        _write(folder, "overrides", recipe.get("overrides", ()))
        _write(folder, "out", recipe.get("prefer", {}).get(machine, ()))
        settings = index_settings()
        argv = argv_of(_uv(), recipe, machine, Way(settings), folder)
        with Path(folder, "log").open("w+", encoding="utf-8", errors="replace") as log:
            code = _run(argv, settings, log.fileno(), wait or _wait)
            if code != 0:
                log.seek(0)
                said = [_printable(line) for line in log if line.strip()][-TAIL_LINES:]
                raise PreparationFailed(_failure(said, code), tuple(said))
        lines = Path(folder, "out").read_text("utf-8").splitlines()
    packages = sorted(line.strip() for line in lines if line.strip() and line[0] != "#")
    odd = [line for line in packages if not PIN.fullmatch(line)]
    if odd:
        raise PreparationFailed(f"uv resolved to {odd[0]!r}, which is not NAME==VERSION")
    return packages


def _run(argv: list[str], settings: Mapping[str, str], log: int, wait: Wait) -> int:
    began = time.monotonic()
    env = {**os.environ, **settings}
    with subprocess.Popen(
        argv, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
    ) as process:

        def ended() -> bool:
            if time.monotonic() - began > RESOLVE_S:
                raise PreparationFailed(f"uv did not resolve it within {RESOLVE_S:g} s")
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
    """Take out what a terminal obeys: uv repeats what an index and its packages tell it."""
    return "".join(char for char in line.strip() if char.isprintable())


def _failure(said: list[str], code: int) -> str:
    text = " ".join(line.removeprefix("error: ") for line in said) or f"uv ended with {code}"
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
