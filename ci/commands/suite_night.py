"""`inv suite.night`: one night of a suite, in the process that `inv suite.run` starts for it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ci.commands.nightly import nightly
from ci.errors import UserError
from ci.suite_run.order import read_order

if TYPE_CHECKING:
    from ci.errors import ExitCode


def night(order: str) -> ExitCode:
    """Run the night of an order as `inv nightly` does.

    Raises:
        UserError: the order cannot be read, or the case is wrong.
    """
    if not order:
        raise UserError("--order is missing; `inv suite.run` starts the nights of a suite")
    return nightly(read_order(Path(order)))
