"""Hold prompts and texts against /tokenize and /detokenize of the same server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ci.functional.answer import Answer
from ci.functional.case import STREAMS
from ci.functional.context import Exchange
from ci.functional.reply import Call
from ci.functional.rules import SPECIAL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci.functional.case import FunctionalCase
    from ci.functional.context import Context, Ran
    from ci.functional.proof import Proof


async def check_prompt(
    case: FunctionalCase, context: Context, body: Mapping[str, Any], answer: Answer, proof: Proof
) -> None:
    """Assert that the prompt is what /tokenize makes of the request."""
    wanted = case.expect.prompt_is_tokenized
    able = "tokenize" in context.server.capabilities and case.kind in STREAMS
    if wanted is False or not able:
        return
    tokens = await _tokenized(case, context, body)
    if tokens is None:
        return
    if answer.usage is not None:
        proof.equal("usage.prompt_tokens = /tokenize", answer.count("prompt_tokens"), len(tokens))
    if answer.prompt_token_ids is not None:
        proof.equal("prompt_token_ids = /tokenize", answer.prompt_token_ids, tokens)


# Keys of a generation that decide its prompt, and that /tokenize takes too.
PROMPT_KEYS = (
    "messages",
    "prompt",
    "tools",
    "add_generation_prompt",
    "continue_final_message",
    "add_special_tokens",
    "chat_template",
    "chat_template_kwargs",
)


async def _tokenized(
    case: FunctionalCase, context: Context, body: Mapping[str, Any]
) -> list[int] | None:
    """Return the tokens of a request's prompt; None if /tokenize does not take it."""
    asked = {key: body[key] for key in PROMPT_KEYS if key in body}
    if case.kind == "responses":
        asked = {"messages": _messages(body)}
    if case.kind == "completions" and not isinstance(asked.get("prompt"), str):
        return None
    if body.get("tool_choice") == "none" or "truncate_prompt_tokens" in body:
        # vLLM leaves the tools out of the prompt, if told so at its start; /tokenize cannot know.
        return None
    known = json.dumps(asked, sort_keys=True)
    if known not in context.prompts:
        call = Call("POST", "/tokenize", {"model": context.server.model, **asked})
        reply = await context.client.send(call)
        try:
            tokens = reply.parsed()["tokens"]
        except (ValueError, KeyError, TypeError):
            tokens = None
        context.prompts[known] = tokens
    return context.prompts[known]


def _messages(body: Mapping[str, Any]) -> list[Any]:
    """Return the messages of a request to /v1/responses, as a chat has them."""
    given = body["input"]
    messages = [{"role": "user", "content": given}] if isinstance(given, str) else list(given)
    system = body.get("instructions")
    return [{"role": "system", "content": system}, *messages] if system else messages


async def check_detokenized(context: Context, ran: Ran, answer: Answer | list[list[float]]) -> None:
    """Assert that /detokenize makes the text of the token ids."""
    if not isinstance(answer, Answer):
        return
    choice, proof = answer.first, ran.proof.within("text = /detokenize")
    if not proof.that("token_ids", choice.token_ids, "the ids of the tokens", choice.token_ids):
        return
    ids = list(choice.token_ids or ())
    if choice.finish_reason == "stop" and choice.stop_reason is None:
        ids = ids[:-1]  # the end token has no text
    call = Call("POST", "/detokenize", {"model": context.server.model, "tokens": ids})
    reply = await context.client.send(call)
    ran.exchanges.append(Exchange(call, reply))
    try:
        text = reply.parsed()["prompt"]
    except (ValueError, KeyError, TypeError):
        text = reply.body.decode("utf-8", "replace")
    text = SPECIAL.sub("", str(text))
    stopped = choice.stop_reason is not None and text.startswith(choice.text or "")
    proof.that("text", stopped or text == choice.text, text, choice.text)
