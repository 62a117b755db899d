"""Choose the view for a stream: live on a terminal, plain lines elsewhere.

Quick to import: rich is loaded only for a terminal.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TextIO

from ci.report.console import Plain
from ci.report.github import Grouped
from ci.report.screen import SafeStream

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from ci.record.view import View


def open_view(stream: TextIO, env: Mapping[str, str] = os.environ) -> AbstractContextManager[View]:
    """Open the view for a stream: live on a terminal, plain lines in a pipe or in CI.

    In a GitHub workflow the lines of each step are a group that can be folded.
    """
    from contextlib import closing  # noqa: PLC0415

    if env.get("GITHUB_ACTIONS") == "true":
        return closing(Grouped(stream))
    live = stream.isatty() and env.get("TERM") != "dumb" and not env.get("CI")
    out = SafeStream(stream)
    if not live:
        return closing(Plain(out))
    from ci.report.live import Live  # noqa: PLC0415 - rich is not needed to list tasks

    return closing(Live(out))
