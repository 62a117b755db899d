"""Find the suite that a flag, a case or the environment names. Reads configs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ci.documents.files import is_file
from ci.documents.nearest import nearest
from ci.errors import UserError
from ci.paths import CONFIGS

if TYPE_CHECKING:
    from ci.functional.load import Suite

FOLDER = CONFIGS / "functional"
DEFAULT = "openai.yaml"
VARIABLE = "LAMPLIGHTER_FUNCTIONAL_CONFIG"


def find_suite(name: str, beside: str = "") -> Path:
    """Return the path of a suite.

    Args:
        name: a path, or a name in configs/functional with or without `.yaml`.
        beside: a file in whose folder the suite may be too; empty for none.

    Raises:
        UserError: there is no such file.
    """
    folders = [Path(), *([Path(beside).parent] if beside else []), FOLDER]
    for path in [folder / each for folder in folders for each in (name, f"{name}.yaml")]:
        if is_file(path):
            return path
    known = sorted(path.name for path in FOLDER.glob("*.yaml"))
    near = nearest(name, known)
    guess = f"; did you mean {near!r}?" if near else f"; in {FOLDER}: {', '.join(known)}"
    raise UserError(f"no functional suite {name!r}{guess}")


def named_suite(flag: str) -> str:
    """Return the suite's name: of the flag, else of the environment; empty for none."""
    return flag or os.environ.get(VARIABLE, "")


def suite_of_night(flag: str, case: str, case_path: str) -> Suite | None:
    """Return the suite that a night runs; None if none is asked for.

    Args:
        flag: the name that `--functional` gives; `none` for no suite; empty if it is not given.
        case: the name in the case; empty if it names none.
        case_path: path of the case file.

    Raises:
        CaseError: the suite is not valid.
        UserError: there is no such file.
    """
    name = flag or case or named_suite("")
    if not name or flag == "none":
        return None
    from ci.functional.load import load_suite  # noqa: PLC0415 - most nights run none

    beside = "" if flag else case_path
    suite = load_suite(find_suite(name, beside))
    return suite if suite.enabled else None
