"""Write the results of a suite: JSON, JUnit and the request of a case as a curl command. Pure."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

from ci.functional.proof import shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ci.functional.context import Exchange
    from ci.functional.reply import Call
    from ci.functional.run import Report, Result

# Of a reply that failed an assertion; a passed case keeps less.
FAILED_CHARS = 4000
PASSED_CHARS = 400
# A scenario has up to 1,000 requests: the report keeps the first ones.
MAX_EXCHANGES = 12
KEY_VARIABLE = "OPENAI_API_KEY"


def summary(results: Sequence[Result]) -> dict[str, int]:
    """Count the outcomes."""
    names = ("passed", "failed", "skipped", "known")
    counts = {name: sum(result.outcome == name for result in results) for name in names}
    return {"total": len(results), **counts}


def as_json(report: Report) -> dict[str, Any]:
    """Return the whole report.

    Returns:
        `summary` and `results` of all cases; `server`; and under `by_type` the summary of each type
        of case, `chat` and `completions` among them.
    """
    kinds = sorted({result.case.kind for result in report.results})
    return {
        "schema_version": 1,
        "interrupted": report.interrupted,
        "died": report.died,
        "server": {
            "model": report.server.model,
            "vllm": report.server.version,
            "capabilities": sorted(report.server.capabilities),
        },
        "summary": summary(report.results),
        "by_type": {
            kind: summary([each for each in report.results if each.case.kind == kind])
            for kind in kinds
        },
        "results": [result_json(result) for result in report.results],
    }


def result_json(result: Result) -> dict[str, Any]:
    """Return one result; `ok` is false for a skipped case, as in the field's form."""
    entry: dict[str, Any] = {
        "id": result.case.id,
        "type": result.case.kind,
        "outcome": result.outcome,
        "ok": result.outcome in ("passed", "known"),
        "skipped": result.outcome == "skipped",
        "error": result.reason or None,
        "payload": None,
        "seconds": round(result.seconds, 3),
        "location": result.case.location,
    }
    if result.known:
        known = result.known
        entry["known"] = {"does": known.does, "since": known.since, "link": known.link}
    if result.ran:
        failed = result.outcome != "passed"
        entry["assertions"] = len(result.ran.proof.assertions)
        entry["proof"] = _proof(result)
        limit = FAILED_CHARS if failed else PASSED_CHARS
        entry["payload"] = [
            exchange_json(each, limit) for each in result.ran.exchanges[:MAX_EXCHANGES]
        ]
    return entry


def _proof(result: Result) -> list[dict[str, object]]:
    """Return each assertion once: the failed ones with their values, the others by name."""
    assertions = result.ran.proof.assertions if result.ran else []
    failed = [assertion.as_json() for assertion in assertions if not assertion.ok]
    names = dict.fromkeys(assertion.name for assertion in assertions if assertion.ok)
    return [*failed[:50], *({"name": name, "ok": True} for name in names)]


def exchange_json(exchange: Exchange, limit: int) -> dict[str, object]:
    """Return a request and its reply, cut to a number of characters."""
    call, reply = exchange.call, exchange.reply
    request: object = call.body
    if call.raw is not None:
        request = call.raw.decode("utf-8", "replace")
    text = json.dumps(request, ensure_ascii=False)
    body = reply.body.decode("utf-8", "replace")
    return {
        "method": call.method,
        "path": call.path,
        "request": request if len(text) <= FAILED_CHARS else shown(text),
        "status": reply.status,
        "reply": body if len(body) <= limit else f"{body[:limit]}… ({len(body):,} characters)",
        "error": reply.error or None,
        "seconds": round(reply.ended_s, 3),
    }


def junit(report: Report, name: str) -> str:
    """Return the results as JUnit XML: a test suite per type, a test case per case."""
    from junitparser import Failure, JUnitXml, Skipped, TestCase, TestSuite  # noqa: PLC0415

    document = JUnitXml()
    for kind in sorted({result.case.kind for result in report.results}):
        suite = TestSuite(f"{name} {kind}")
        for result in report.results:
            if result.case.kind != kind:
                continue
            case = TestCase(printable(result.case.id), classname=f"functional.{kind}")
            case.time = result.seconds
            if result.outcome == "failed":
                lines = [str(assertion) for assertion in result.ran.failed] if result.ran else []
                case.result = [Failure(printable(result.reason))]
                case.system_out = printable("\n".join(lines))
            elif result.outcome == "skipped":
                case.result = [Skipped(printable(result.reason))]
            elif result.known:
                case.system_out = printable(f"known: {result.known.does}")
            suite.add_testcase(case)
        document.add_testsuite(suite)
    data: bytes = document.tostring()  # type: ignore[no-untyped-call]
    return data.decode("utf-8")


def printable(text: str) -> str:
    """Return a text without the characters that XML and terminals cannot have."""
    return "".join(
        char if char in "\n\t" or (char.isprintable() and char not in "\ufffe\uffff") else "\ufffd"
        for char in text
    )


def curl(root: str, call: Call, ca_file: str = "") -> str:
    """Return a request as a command to paste; the key is read from the environment.

    Args:
        root: the endpoint, without `/v1`.
        call: the request.
        ca_file: file of the authorities to trust for https; empty for the system's.
    """
    words = ["curl", "-sS"]
    if call.streams:
        words.append("-N")
    if ca_file:
        words += ["--cacert", ca_file]
    if call.method != "GET":
        words += ["-X", call.method]
    words.append(root + call.path)
    line = shlex.join(words)
    if call.key == "right":
        line += f' -H "Authorization: Bearer ${KEY_VARIABLE}"'
    headers: Mapping[str, str] = {"Content-Type": "application/json", **call.headers}
    for key, value in headers.items():
        line += f" -H {shlex.quote(f'{key}: {value}')}"
    if call.raw is not None:
        line += f" --data-binary {shlex.quote(call.raw.decode('utf-8', 'replace'))}"
    elif call.body is not None:
        line += f" -d {shlex.quote(json.dumps(call.body, ensure_ascii=False))}"
    return line
