"""Run a suite against an endpoint: several cases at once, those that measure alone."""

from __future__ import annotations

import asyncio
import re
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from ci.errors import UserError
from ci.functional.capabilities import missing
from ci.functional.case import PATHS
from ci.functional.client import Endpoint, connect
from ci.functional.context import Context, Ran
from ci.functional.discover import discover, resolve_references
from ci.functional.examine import MALFORMED
from ci.functional.known import Known
from ci.functional.probe import probe
from ci.functional.proof import Assertion
from ci.functional.references import UnknownReferenceError
from ci.functional.reply import Call
from ci.functional.run_case import run_case
from ci.functional.scenarios import ALONE, SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ci.functional.case import FunctionalCase
    from ci.functional.client import Client
    from ci.functional.examine import Server
    from ci.functional.known import Deviation
    from ci.functional.load import Suite

Outcome = Literal["passed", "failed", "skipped", "known"]
PARALLEL = 8
SERVER_ERROR = 500
# What vLLM's /health says once its engine is dead.
UNAVAILABLE = 503
_connect = asynccontextmanager(connect)


@dataclass(frozen=True)
class Result:
    """What came of one case.

    Attributes:
        case: the case; its id has `#2` and so on where it is repeated.
        outcome: `known`: it fails as it is known to.
        reason: the first failed assertion, or why it was skipped; else empty.
        ran: its assertions and requests; None if it was skipped.
        known: the deviation that explains it, if any.
        seconds: how long it took.
    """

    case: FunctionalCase
    outcome: Outcome
    reason: str
    ran: Ran | None
    known: Deviation | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class Options:
    """How to run a suite.

    Attributes:
        parallel: how many cases run at once.
        repeat: how often each case runs.
        fail_fast: stop after the first failed case.
        probe: find out by requests what the server supports, beside what is declared.
        capabilities: what is declared beside the suite's own.
        known: what is known about the server's version.
        dead: an endpoint whose server is dead; None if there is none.
        reference: an endpoint that has to give the same answers; None if there is none.
    """

    parallel: int = PARALLEL
    repeat: int = 1
    fail_fast: bool = False
    probe: bool = False
    capabilities: tuple[str, ...] = ()
    known: Callable[[str], Known] = lambda _version: Known()
    dead: Endpoint | None = None
    reference: Endpoint | None = None


@dataclass(frozen=True)
class Report:
    """The results of a suite, in its order, and the server that it ran against.

    Attributes:
        interrupted: whether Ctrl-C ended it, so that the results of other cases are missing.
        died: how it was seen that the server died, so that they are missing; empty if it lives.
    """

    server: Server
    results: tuple[Result, ...]
    interrupted: bool = False
    died: str = ""


def run_suite(
    suite: Suite,
    cases: Sequence[FunctionalCase],
    endpoint: Endpoint,
    options: Options,
    progress: Callable[[Result], None] = lambda _result: None,
) -> Report:
    """Run the cases of a suite.

    Args:
        suite: declares capabilities.
        cases: the chosen cases of it.
        endpoint: where to send the requests.
        options: how to run.
        progress: called with each result as it comes.

    Returns:
        All results, in the order of the suite. With `fail_fast` or after Ctrl-C, those so far.

    Raises:
        InfrastructureError: the endpoint does not answer at all.
        UserError: it needs a key, or no model is known.
        KeyboardInterrupt: Ctrl-C before the first request of a case.
    """
    runners: list[_Runner] = []
    try:
        asyncio.run(_run(suite, cases, endpoint, options, progress, runners.append))
    except KeyboardInterrupt:
        if not runners:
            raise
        return runners[0].report(interrupted=True)
    return runners[0].report()


async def _run(  # noqa: PLR0913, PLR0917 - those of `run_suite`, and where the runner is kept
    suite: Suite,
    cases: Sequence[FunctionalCase],
    endpoint: Endpoint,
    options: Options,
    progress: Callable[[Result], None],
    keep: Callable[[_Runner], None],
) -> None:
    declared = frozenset((*suite.capabilities, *options.capabilities))
    if endpoint.api_key:
        declared |= {"api_key"}
    if options.dead:
        declared |= {"dead"}
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(_connect(endpoint, options.parallel))
        server = await discover(client, endpoint.model, declared)
        client.endpoint = replace(endpoint, model=server.model)
        if options.probe:
            found = await probe(client, server)
            server = replace(server, capabilities=server.capabilities | found)
        able = [case for case in cases if not _missing(case, server)]
        server = replace(server, references=await resolve_references(client, server, able))
        dead = None
        if options.dead:
            dead = await stack.enter_async_context(_connect(options.dead, 1))
        reference = None
        if options.reference:
            named = replace(options.reference, model=server.model)
            reference = await stack.enter_async_context(_connect(named, options.parallel))
        runner = _Runner(Context(client, server, reference), dead, options, progress)
        keep(runner)
        await runner.run(_repeated(cases, options.repeat))


def _repeated(cases: Sequence[FunctionalCase], times: int) -> list[FunctionalCase]:
    again = [
        replace(case, id=f"{case.id}#{time}") for time in range(2, times + 1) for case in cases
    ]
    return [*cases, *again]


def _missing(case: FunctionalCase, server: Server) -> list[str]:
    return missing(case.requires, server.capabilities) if case.skippable else []


class _Runner:
    """Runs cases; keeps their results by position."""

    def __init__(
        self,
        context: Context,
        dead: Client | None,
        options: Options,
        progress: Callable[[Result], None],
    ) -> None:
        self.context, self.dead, self.options, self.progress = context, dead, options, progress
        self.results: dict[int, Result] = {}
        known = options.known(context.server.version)
        self.known = {deviation.case: deviation for deviation in known.deviations}
        self.parallel = 1 if known.one_at_a_time else max(1, options.parallel)
        self.stop = False
        self.died = ""

    def report(self, *, interrupted: bool = False) -> Report:
        """Return the results so far, in the order of the suite."""
        results = tuple(self.results[index] for index in sorted(self.results))
        return Report(self.context.server, results, interrupted, self.died)

    async def run(self, cases: Sequence[FunctionalCase]) -> None:
        """Run all: first those that may run together, then each other one alone."""
        alone = [index for index, case in enumerate(cases) if case.alone or case.scenario in ALONE]
        together = [index for index in range(len(cases)) if index not in set(alone)]
        queue = iter(together)

        async def work() -> None:
            for index in queue:
                if self.stop:
                    return
                await self._one(index, cases[index])

        await asyncio.gather(*(work() for _ in range(self.parallel)))
        for index in alone:
            if self.stop:
                break
            await self._one(index, cases[index])

    async def _one(self, index: int, case: FunctionalCase) -> None:
        result = await self._result(case)
        self.results[index] = result
        self.progress(result)
        if result.outcome == "failed":
            self.died = self.died or await self._seen_dead(result)
            self.stop = self.stop or self.options.fail_fast or bool(self.died)

    async def _seen_dead(self, result: Result) -> str:
        """Return how a server is seen to be dead after a failed case; empty if it lives.

        Only replies that are missing or a server's error make it worth asking. All further cases
        would fail, and say nothing about the API.
        """
        replies = [exchange.reply for exchange in result.ran.exchanges] if result.ran else []
        if not any(reply.status is None or reply.status >= SERVER_ERROR for reply in replies):
            return ""
        health = await self.context.client.send(Call("GET", PATHS["health"]))
        if health.status is None:
            return f"its /health does not answer after {result.case.id}: {health.error}"
        if health.status == UNAVAILABLE:
            return f"its /health says {UNAVAILABLE} after {result.case.id}"
        return ""

    async def _result(self, case: FunctionalCase) -> Result:
        if lacking := _missing(case, self.context.server):
            return Result(case, "skipped", f"not declared: {', '.join(lacking)}", None)
        began = asyncio.get_running_loop().time()
        ran = await self._ran(case)
        seconds = asyncio.get_running_loop().time() - began
        failed = ran.failed
        if not ran.proof.assertions:
            # A case that asserted nothing has proven nothing.
            failed = [Assertion("assertions", ok=False, expected="at least one", got="none")]
        reason = str(failed[0]) if failed else ""
        known = self._known(case)
        if known is None:
            return Result(case, "failed" if failed else "passed", reason, ran, None, seconds)
        if failed and known.explains([assertion.name for assertion in failed]):
            return Result(case, "known", reason, ran, known, seconds)
        if not failed and known.sometimes:
            return Result(case, "passed", "", ran, known, seconds)
        if not failed:
            reason = f"the known deviation is gone ({known.does}); strike it out of {known.file}"
        return Result(case, "failed", reason, ran, known, seconds)

    def _known(self, case: FunctionalCase) -> Deviation | None:
        return self.known.get(re.sub(r"#\d+$", "", case.id))

    async def _ran(self, case: FunctionalCase) -> Ran:
        context = self.context
        if case.scenario == "dead":
            if self.dead is None:
                raise UserError("a case about a dead server needs --dead-base-url")
            context = Context(self.dead, context.server)
        try:
            if case.scenario:
                return await SCENARIOS[case.scenario](case, context)
            return await run_case(case, context)
        except UnknownReferenceError as error:
            return _failed("references", "a value", str(error))
        except MALFORMED as error:
            # A reply of a shape that no rule has foreseen; the suite goes on.
            return _failed(
                "the replies have the API's shape", "it", f"{type(error).__name__}: {error}"
            )


def _failed(name: str, expected: str, got: str) -> Ran:
    ran = Ran()
    ran.proof.that(name, False, expected, got)  # noqa: FBT003
    return ran
