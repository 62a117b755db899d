"""`inv check`: check case files like a linter."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ci.check.lint import check_files

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.errors import ExitCode


def check(
    paths: Sequence[str], form: str, argv: Sequence[str], settings: Sequence[str] = ()
) -> ExitCode:
    """Check case files and print the findings.

    Args:
        paths: each is a file, a folder or a name, or several of them separated by commas.
        form: `text`, `json` or `github`.
        argv: the command line; words after `--` are paths too, since Invoke would take a bare word
            for another task.
        settings: `KEY=VALUE` that replace values of every file.

    Raises:
        UserError: unknown form, or a path does not exist.
    """
    rest = argv[argv.index("--") + 1 :] if "--" in argv else ()
    text, code = check_files([*filter(None, ",".join(paths).split(",")), *rest], form, settings)
    sys.stdout.write(text)
    return code
