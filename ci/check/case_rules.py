"""Rules for a case as a whole: overridden variables, and copies of another case."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.check.diagnostic import Remark
from ci.plan.servers import OVERRIDDEN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.check.diagnostic import Subject


def overridden_variable(subject: Subject) -> Iterator[Remark]:
    """Report the case's own values of variables that every night sets."""
    written = {node.name: node.env for node in subject.case.nodes}
    for server in subject.servers:
        for name, own in OVERRIDDEN.items():
            value = written[server.name].get(name)
            if value is None or value.strip("${}") == own or name not in server.env_keys:
                continue
            message = (
                f"{value!r} has no effect: a night sets {name} to the host's own ${own}, as "
                "vllm-ascend's runner does; remove it, and correct `address` or `interface` in the "
                "cluster file if the host has several"
            )
            yield Remark(server.env_keys[name], message)
