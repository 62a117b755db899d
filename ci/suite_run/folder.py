"""The folder of a suite's run: suite.json, its processes, and the lock of its controller."""

from __future__ import annotations

import fcntl
import json
import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pydantic import ValidationError

from ci.documents.json_text import read_json
from ci.errors import InfrastructureError, UserError
from ci.history.named import several
from ci.history.select import LAST
from ci.record.below import read_below
from ci.record.disk import Folder
from ci.record.stored import SUITE as FILE
from ci.suite.progress import VERSION, SuiteRun

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LOCK = "lock"
_MAX_BYTES = 64 << 20
_DATED = re.compile(r"20[0-9]{6}-[0-9]{6}-suite-")


class SuiteFolder:
    """The folder of a suite's run; only the controller that holds its lock writes it."""

    def __init__(self, path: Path, warn: Callable[[str], None]) -> None:
        self.path = path
        self.warn = warn
        self._files = Folder(path, warn, "the suite goes on")

    def save(self, run: SuiteRun) -> None:
        """Write suite.json atomically."""
        self._files.write(FILE, as_text(run))

    def write(self, name: str, text: str) -> None:
        """Write a report."""
        self._files.write(name, text)

    def release(self) -> None:
        """Free the reserved space."""
        self._files.release()

    def process_folder(self, name: str) -> Path:
        """Make the folder of a process: of an attempt of a night, or of a host's proof."""
        safe = re.sub(r"[^\w.@-]+", "-", name)[:100]
        path = self.path / "processes" / safe
        path.mkdir(parents=True, exist_ok=True)
        return path


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a suite's run.

    Raises:
        UserError: another controller has it.
    """
    handle = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{path.name} is running; `inv suite.status` shows it, Ctrl-C or a SIGTERM to its "
                "controller ends it"
            ) from None
        except OSError as error:
            raise InfrastructureError(f"{path / LOCK}: {error.strerror}") from error
        yield
    finally:
        os.close(handle)


def is_running(path: Path) -> bool:
    """Return whether a controller runs a suite; touches nothing but its lock."""
    try:
        with locked(path):
            return False
    except (UserError, InfrastructureError):
        return True
    except OSError:  # of another user
        return False


def read_suite(path: Path) -> SuiteRun:
    """Read suite.json of a folder.

    Raises:
        UserError: there is none, or it cannot be read.
    """
    file = path / FILE
    try:
        tree = read_json(read_below(path, FILE, _MAX_BYTES).decode())
        version = tree.get("schema") if isinstance(tree, dict) else None
        if version != VERSION:
            raise UserError(f"{file}: expected schema {VERSION}, got {version!r}")
        return SuiteRun.model_validate_json(json.dumps(tree))
    except FileNotFoundError:
        raise UserError(f"no run of a suite in {path}: there is no {FILE}") from None
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, problem["loc"]))
        raise UserError(f"{file}: {where}: {problem['msg']}") from None
    except (OSError, ValueError, UnicodeDecodeError) as error:
        raise UserError(
            f"{file}: cannot be read: {error}; put a copy back, or begin the suite again with "
            "`inv suite.run`: `inv status --cluster NAME` shows what still runs, `inv down` ends it"
        ) from None


def as_text(run: SuiteRun) -> str:
    """Write a run of a suite as suite.json has it."""
    return json.dumps(run.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n"


def suite_runs(runs: Path) -> list[Path]:
    """Return the folders of all runs of suites, the newest first."""
    found = [path.parent for path in runs.glob(f"*/{FILE}") if _DATED.match(path.parent.name)]
    return sorted(found, reverse=True)


def named_suite_run(runs: Path, name: str) -> Path:
    """Return the folder of the run that an operator names.

    Args:
        runs: the folder of all runs.
        name: an id, a unique beginning of one, or a folder; empty or `last` for the newest.

    Raises:
        UserError: there is none, or several begin so.
    """
    from pathlib import Path as Named  # noqa: PLC0415

    if name not in {"", LAST}:
        for path in (Named(name), runs / name):
            if os.path.isfile(path / FILE):  # noqa: PTH113 - False where it may not be read
                return path
        begun = [path for path in reversed(suite_runs(runs)) if path.name.startswith(name)]
        if len(begun) == 1:
            return begun[0]
        if begun:
            raise UserError(several(name, [path.name for path in begun]))
        known = ", ".join(path.name for path in suite_runs(runs)[:5]) or "none"
        raise UserError(f"no run of a suite {name!r} in {runs}; the newest: {known}")
    found = suite_runs(runs)
    if not found:
        raise UserError(f"no run of a suite in {runs}; `inv suite.run` starts one, or name --runs")
    return found[0]
