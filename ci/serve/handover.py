"""Send requests through the router, and find out which servers did the work for each."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from ci.case.without_router import behind_router
from ci.errors import InfrastructureError
from ci.functional.answer import Answer
from ci.functional.compare import same_answer
from ci.functional.examine import examine
from ci.functional.find import FOLDER
from ci.functional.load import load_suite
from ci.functional.proof import Proof
from ci.functional.run import Options, run_suite
from ci.judge.handover import Handover
from ci.serve.ask import OK
from ci.serve.fronts import ENDPOINT, fronts
from ci.serve.functional import endpoint_at
from ci.serve.pages import metrics_pages
from ci.vllm.work import work_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ci.agent.client import Agent
    from ci.functional.proof import Assertion
    from ci.functional.run import Report, Result
    from ci.plan.model import Plan
    from ci.vllm.work import Work

SUITE = FOLDER / "prefill-decode.yaml"
# A server counts a request some moments after its answer.
SETTLE_S = 5.0
LOOK_S = 0.2
ERROR_BYTES = 300


class NoMetrics(Exception):  # noqa: N818 - a deployment may have none
    """The servers do not count requests."""


def handovers(plan: Plan, agents: Mapping[str, Agent]) -> Iterator[Handover]:
    """Send the requests of `SUITE` one after another, each also to a decode server alone.

    While they are sent nothing else may use the servers: their counters tell who did the work.

    Args:
        plan: a plan that `hands_over`.
        agents: host → agent.

    Yields:
        What became of each request.

    Raises:
        NoMetrics: the servers do not count requests.
        InfrastructureError: the endpoint does not answer.
    """
    suite, behind = load_suite(SUITE), behind_router(plan.servers)
    alone = behind.name if behind else ENDPOINT
    if _work(plan, agents) is None:
        raise NoMetrics
    with fronts(plan, agents, {ENDPOINT, alone}) as reached:
        router, server = (endpoint_at(reached[name], plan) for name in (ENDPOINT, alone))
        for case in suite.cases:
            before = _counted(plan, agents)
            through = run_suite(suite, (case,), router, Options())
            after = _settled(lambda: _counted(plan, agents), before, plan)
            # With another salt the server does not use the blocks that it has just been given.
            salted = replace(case, body={**(case.body or {}), "cache_salt": case.id})
            direct = run_suite(suite, (salted,), server, Options())
            _settled(lambda: _counted(plan, agents), after, plan)
            yield _handover(plan, (before, after), through, direct)


def _work(plan: Plan, agents: Mapping[str, Agent]) -> dict[str, Work] | None:
    """Return server → its work so far, of every prefill server and decode server.

    None if one of them gives no metrics, or does not count requests in them.
    """
    servers = [server for server in plan.servers if server.role in {"prefill", "decode"}]
    pages = metrics_pages(servers, agents)
    found = {name: work_of(page) for name, page in (pages or {}).items()}
    known = {name: work for name, work in found.items() if work}
    return known if known and len(known) == len(found) else None


def _counted(plan: Plan, agents: Mapping[str, Agent]) -> dict[str, Work]:
    work = _work(plan, agents)
    if work is None:
        raise InfrastructureError(
            "a prefill server or decode server no longer gives its metrics; see its log"
        )
    return work


def _settled(
    look: Callable[[], dict[str, Work]], before: Mapping[str, Work], plan: Plan
) -> dict[str, Work]:
    """Look until the servers have counted what was sent, or no longer than SETTLE_S."""
    deadline = time.monotonic() + SETTLE_S
    while True:
        now = look()
        busy = any(work.unfinished for work in now.values())
        counted = _finished(plan, "decode", before, now)
        if (counted and not busy) or time.monotonic() > deadline:
            return now
        time.sleep(LOOK_S)


def _finished(
    plan: Plan, role: str, before: Mapping[str, Work], after: Mapping[str, Work]
) -> dict[str, int]:
    """Return server → requests that it finished between two moments; only those with any."""
    names = [server.name for server in plan.servers if server.role == role]
    times = {name: after[name].finished - before[name].finished for name in names if name in after}
    return {name: count for name, count in times.items() if count}


def _handover(
    plan: Plan,
    work: tuple[Mapping[str, Work], Mapping[str, Work]],
    through: Report,
    direct: Report,
) -> Handover:
    before, after = work
    result, own = through.results[0], direct.results[0]
    unanswered, known = _unanswered(result), {item.name for item in _failed(own)}
    wrong = [item for item in _failed(result) if item.name not in known]
    return Handover(
        name=result.case.id,
        prefilled=_finished(plan, "prefill", before, after),
        decoded=_finished(plan, "decode", before, after),
        taken_tokens=_taken(plan, before, after),
        left=sum(each.unfinished for each in after.values()),
        unanswered=unanswered,
        wrong="" if unanswered or not wrong else str(wrong[0]),
        differs=_difference(through, direct),
    )


def _taken(plan: Plan, before: Mapping[str, Work], after: Mapping[str, Work]) -> int | None:
    """Return the tokens whose cache the decode servers took; None if they do not count them."""
    decoders = {server.name for server in plan.servers if server.role == "decode"}
    taken = [
        now.taken_tokens - (before[name].taken_tokens or 0)
        for name, now in after.items()
        if name in decoders and now.taken_tokens is not None
    ]
    return sum(taken) if taken else None


def _failed(result: Result) -> list[Assertion]:
    return result.ran.failed if result.ran else []


def _unanswered(result: Result) -> str:
    """Return why a request has no answer; empty if it has one."""
    if not result.ran or not result.ran.exchanges:
        return result.reason or "it was not sent"
    reply = result.ran.exchanges[0].reply
    if reply.error or reply.status is None:
        return reply.error or "no reply"
    if reply.status != OK:
        return f"HTTP {reply.status}: {reply.body[:ERROR_BYTES].decode('utf-8', 'replace')}"
    return ""


def _difference(through: Report, direct: Report) -> str | None:
    """Return how an answer differs from that of a server alone; None without an answer of it."""
    first, second = _answer(direct), _answer(through)
    if first is None:
        return None
    if second is None:
        return "there is no answer"
    proof = Proof()
    same_answer(first, second, proof, other_server=True)
    return str(proof.failed[-1]) if proof.failed else ""


def _answer(report: Report) -> Answer | None:
    """Read the answer of a report's only case; None if there is none."""
    (result,) = report.results
    if not result.ran or not result.ran.exchanges:
        return None
    exchange = result.ran.exchanges[0]
    read = examine(result.case, exchange.call, exchange.reply, report.server, Proof())
    return read if isinstance(read, Answer) else None
