"""`inv weights.sync`: a model's folder on every host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.errors import UserError

if TYPE_CHECKING:
    from ci.errors import ExitCode
    from ci.site import Options


def sync(options: Options, source: str, target: str) -> ExitCode:
    """Copy it."""
    raise UserError(f"not yet: {options} {source} {target}")
