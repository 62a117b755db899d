"""Measure accuracy through the router and without it: the server, the names, the errors. Pure.

    acc: {case_type: accuracy, …, without_router: true}

measures `acc` through the router, and then `acc-without-router` at one server behind it, with the
same questions and settings. The server is the first of the decode servers that has an API; without
decode servers, the first of the mixed ones. It computes the KV cache of each prompt by itself: its
requests have a `cache_salt`, so that it does not use blocks of its prefix cache that a prefill
server sent.

The check `acc through and without the router` counts the items that are right in one result and
wrong in the other. It fails if McNemar's exact test finds a difference (p < 0.01). A few answers
may differ by rounding; at least 8 of them have to differ in the same direction. With fewer than 8
items, or with items or prompts that are not the same in both results, the check is unknown.
`acc-without-router` has no baseline of its own: it is a figure of the report.

A KV connector that finds a KV cache by the tokens of the prompt, such as vLLM's ExampleConnector
with its shared folder, or a store that does not heed `cache_salt`, may still give the server what a
prefill server computed. Then both results have the same error, and the check does not find it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ci.case.model import Case, Role, Router
    from ci.documents.position import KeyPath
    from ci.documents.source import Source
    from ci.errors import Problem


class _Server(Protocol):
    @property
    def role(self) -> Role | str: ...

    @property
    def headless(self) -> bool: ...


S = TypeVar("S", bound=_Server)
_KEY = "without_router"


def name_without_router(name: str) -> str:
    """Return the name that the results of a benchmark have without the router."""
    return f"{name}-without-router"


def behind_router(servers: Iterable[S]) -> S | None:
    """Return the server that is asked without the router; None if there is none.

    It is the first decode server that has an API; without decode servers, the first mixed one.
    """
    asked = [server for server in servers if not server.headless]
    in_order = (server for role in ("decode", "mixed") for server in asked if server.role == role)
    return next(in_order, None)


def errors(case: Case, path: KeyPath, source: Source) -> Iterator[Problem]:
    """Report benchmarks that cannot be measured without the router.

    Args:
        case: a case of the file.
        path: key path of the case in the file; empty if the file has one case.
        source: the file.
    """
    names = {benchmark.name for benchmark in case.benchmarks}
    for benchmark in case.benchmarks:
        if not benchmark.without_router:
            continue
        place = (*path, "benchmarks", benchmark.name)
        if problem := _problem(case.router, behind_router(case.nodes)):
            yield source.at_value((*place, _KEY), problem)
        if (other := name_without_router(benchmark.name)) in names:
            message = f"measures {other!r}, and there is a benchmark with this name; rename it"
            yield source.at_value((*place, _KEY), message)


def _problem(router: Router | None, server: object) -> str:
    if router is None:
        return "has an effect only in a case with a router; remove it"
    if server is None:
        return "needs a decode server without --headless behind the router; start one, or remove it"
    return ""
