"""`inv weights.fetch`: a night that ends once every host has the case's models."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ci.commands.nightly import load_cases, nightly
from ci.doctor.needs import weights_on
from ci.errors import UserError
from ci.resolve import resolve_case

if TYPE_CHECKING:
    from ci.errors import ExitCode
    from ci.request import Request


def fetch(request: Request) -> ExitCode:
    """Fetch what hosts lack of the models of a case's servers.

    Args:
        request: selects the case and the hosts.

    Raises:
        UserError: the case or the options are wrong, or no server names a model of a hub.
    """
    plans = [resolve_case(case, request).plan for case in load_cases(request)]
    sources = [
        source for plan in plans for host in plan.hosts for source in weights_on(plan, host.name)
    ]
    if all(source.is_folder for source in sources):
        folders = ", ".join(sorted({source.name for source in sources})) or "none"
        raise UserError(
            f"{request.config}: no server's command line names a model of a hub (folders: "
            f"{folders}); copy a folder to the hosts with `inv weights.sync`"
        )
    return nightly(replace(request, serve=False, measure=False))
