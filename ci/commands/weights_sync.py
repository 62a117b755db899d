"""`inv weights.sync`: copy a model's folder to every host."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ci.agent.connected import reached
from ci.commands import weights_copy
from ci.commands.weights_table import as_text, exit_code
from ci.commands.which_hosts import targets_of
from ci.errors import UserError
from ci.report.table import width_of

if TYPE_CHECKING:
    from ci.commands.weights_copy import Progress
    from ci.errors import ExitCode
    from ci.request import Request


def sync(request: Request, source: str, target: str) -> ExitCode:
    """Copy a folder to all hosts; print the progress to stderr and a table to stdout.

    Args:
        request: select the hosts.
        source: a folder on this machine.
        target: the folder on the hosts; empty for the same path.

    Raises:
        UserError: the folder or the hosts are not given, or cannot be used.
    """
    if not source or not (request.cluster or request.config):
        raise UserError("give --source FOLDER, and --cluster or --config for the hosts")
    with reached(targets_of(request)) as hosts:
        outcomes = weights_copy.sync(hosts, Path(source), target or None, _print_progress)
    print(as_text(outcomes, width_of(sys.stdout)))
    return exit_code(outcomes)


def _print_progress(progress: Progress) -> None:
    print(progress, file=sys.stderr)
