"""Assert that OpenAI's own client, which users use, reads the replies."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ci.functional.client import trusted
from ci.functional.context import Exchange, Ran
from ci.functional.run_case import call_of

if TYPE_CHECKING:
    from ci.functional.case import FunctionalCase
    from ci.functional.context import Context


async def openai_client(case: FunctionalCase, context: Context) -> Ran:
    """Assert that OpenAI's own client reads a body and a stream of this case."""
    ran = Ran()
    call = call_of(case, context.server)
    body = dict(call.body or {})
    ran.exchanges.append(Exchange(call, await context.client.send(call)))
    try:
        texts = await asyncio.to_thread(_by_openai, case.kind, body, context)
    except Exception as error:  # noqa: BLE001 - whatever the client raises, the reply caused it
        ran.proof.that("OpenAI's client", False, "an answer", f"{type(error).__name__}: {error}")  # noqa: FBT003
        return ran
    expected = case.expect.text[0] if case.expect.text else None
    for name, text in texts.items():
        wanted = text == expected if expected is not None else text
        ran.proof.that(f"OpenAI's client: {name}", wanted, expected or "some text", text)
    return ran


# Parameters of OpenAI's own; its client takes the others as `extra_body`.
OPENAI_PARAMETERS = frozenset(
    {
        *("model", "messages", "prompt", "input", "max_tokens", "max_completion_tokens"),
        *("max_output_tokens", "temperature", "top_p", "n", "stop", "seed", "tools"),
        *("tool_choice", "response_format", "logprobs", "top_logprobs"),
    }
)


def _by_openai(kind: str, body: dict[str, Any], context: Context) -> dict[str, str | None]:
    """Return the text of a body and of a stream, as OpenAI's client has them."""
    import openai  # noqa: PLC0415 - takes 0.5 s

    endpoint = context.client.endpoint
    own = {key: value for key, value in body.items() if key in OPENAI_PARAMETERS}
    more = {key: value for key, value in body.items() if key not in OPENAI_PARAMETERS}
    with openai.OpenAI(
        base_url=f"{endpoint.root}/v1",
        api_key=endpoint.api_key or "none",
        timeout=endpoint.timeout_s,
        max_retries=0,
        http_client=openai.DefaultHttpxClient(trust_env=False, verify=trusted(endpoint)),
    ) as client:
        models = [model.id for model in client.models.list()]
        names = context.server.model if context.server.model in models else None
        if kind == "responses":
            response = client.responses.create(**own, extra_body=more)
            with client.responses.create(**own, extra_body=more, stream=True) as events:
                deltas = [e.delta for e in events if e.type == "response.output_text.delta"]
            return {"body": response.output_text, "stream": "".join(deltas)}
        if kind == "completions":
            whole = client.completions.create(**own, extra_body=more)
            chunks = client.completions.create(**own, extra_body=more, stream=True)
            pieces = [chunk.choices[0].text for chunk in chunks if chunk.choices]
            return {"body": whole.choices[0].text, "stream": "".join(pieces)}
        chat = client.chat.completions.create(**own, extra_body=more)
        chunks = client.chat.completions.create(**own, extra_body=more, stream=True)
        pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
        text = chat.choices[0].message.content
        return {"body": text if names else None, "stream": "".join(pieces)}
