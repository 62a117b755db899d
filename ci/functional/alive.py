"""Assert that a server still answers, right after a bad request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ci.functional.context import Exchange
from ci.functional.reply import Call

if TYPE_CHECKING:
    from ci.functional.context import Context, Ran


async def prove_alive(context: Context, ran: Ran) -> None:
    """Assert that the server answers a good request, right after a bad one."""
    proof = ran.proof.within("afterwards")
    body: dict[str, Any] = {
        "model": context.server.model,
        "messages": [{"role": "user", "content": "Are you there?"}],
        "max_tokens": 16,
        "temperature": 0,
    }
    forced = "structured_outputs" in context.server.capabilities
    if forced:
        body["structured_outputs"] = {"choice": ["I am"]}
    call = Call("POST", "/v1/chat/completions", body)
    if "chat" not in context.server.capabilities and not forced:
        call = Call("GET", "/v1/models")
    reply = await context.client.send(call)
    ran.exchanges.append(Exchange(call, reply))
    if not proof.equal("status", reply.status, 200) or call.method == "GET":
        return
    try:
        text = reply.parsed()["choices"][0]["message"]["content"]
    except (ValueError, KeyError, TypeError, IndexError):
        text = reply.body.decode("utf-8", "replace")
    if forced:
        proof.equal("text", text, "I am")
    else:
        proof.that("text", text, "some text", text)
