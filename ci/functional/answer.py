"""A generated answer in one form, read from a body or put together from a stream. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class TokenLogprob:
    """A token with its log probability.

    Attributes:
        token: its text.
        logprob: natural logarithm of its probability; None for the first token of a prompt.
        top: (token, logprob) of the most likely alternatives, as listed.
        bytes: its UTF-8 bytes, if given.
    """

    token: str
    logprob: float | None
    top: list[tuple[str, float]]
    bytes: list[int] | None = None


@dataclass
class ToolCall:
    """A call of a tool; `arguments` is the JSON text, however it came."""

    id: object = None
    type: object = None
    name: object = None
    arguments: object = None


@dataclass
class Choice:
    """One choice of an answer."""

    index: int
    role: object = None
    text: str | None = None
    tool_calls: list[ToolCall] = field(default_factory=list)
    finish_reason: object = None
    stop_reason: object = None
    logprobs: list[TokenLogprob] | None = None
    offsets: list[int] | None = None
    token_ids: list[int] | None = None


@dataclass
class Answer:
    """An answer of /v1/chat/completions or /v1/completions.

    Attributes:
        choices: by index.
        usage: the object as it came; None if it did not.
        prompt_token_ids: of each prompt, if the server sends them.
    """

    id: Any = None
    object: Any = None
    created: Any = None
    model: Any = None
    choices: dict[int, Choice] = field(default_factory=dict)
    usage: dict[str, Any] | None = None
    prompt_token_ids: list[int] | None = None

    @property
    def first(self) -> Choice:
        """The choice 0; an empty one if there is none."""
        return self.choices.get(0) or Choice(0)

    def count(self, key: str) -> Any:  # noqa: ANN401 - whatever the server sent
        """Return a number of the usage; None if it is not there."""
        return (self.usage or {}).get(key)


def read_body(body: dict[str, Any]) -> Answer:
    """Read an answer that came as one body.

    Raises:
        TypeError, KeyError, AttributeError: it has another shape.
    """
    answer = Answer(body.get("id"), body.get("object"), body.get("created"), body.get("model"))
    answer.usage = body.get("usage")
    answer.prompt_token_ids = body.get("prompt_token_ids")
    for item in body["choices"]:
        message = item.get("message")
        choice = Choice(item["index"])
        choice.finish_reason = item.get("finish_reason")
        choice.stop_reason = item.get("stop_reason")
        choice.token_ids = item.get("token_ids")
        add_logprobs(choice, item.get("logprobs"))
        if message is None:
            choice.text = item["text"]
            if answer.prompt_token_ids is None:
                answer.prompt_token_ids = item.get("prompt_token_ids")
        else:
            choice.role = message.get("role")
            choice.text = message.get("content")
            choice.tool_calls = [_tool_call(call) for call in message.get("tool_calls") or ()]
        answer.choices[choice.index] = choice
    return answer


def _tool_call(call: dict[str, Any]) -> ToolCall:
    function = call.get("function") or {}
    return ToolCall(
        call.get("id"), call.get("type"), function.get("name"), function.get("arguments")
    )


def add_logprobs(choice: Choice, logprobs: dict[str, Any] | None) -> None:
    """Add the log probabilities of a body or of a chunk, in the form of either API."""
    if logprobs is None:
        return
    choice.logprobs = choice.logprobs or []
    if "tokens" not in logprobs:
        choice.logprobs += [
            TokenLogprob(
                item["token"],
                item["logprob"],
                [(other["token"], other["logprob"]) for other in item.get("top_logprobs") or ()],
                item.get("bytes"),
            )
            for item in logprobs.get("content") or ()
        ]
        return
    tops = logprobs.get("top_logprobs") or [None] * len(logprobs["tokens"])
    choice.logprobs += [
        TokenLogprob(token, logprob, list((top or {}).items()))
        for token, logprob, top in zip(
            logprobs["tokens"], logprobs["token_logprobs"], tops, strict=True
        )
    ]
    choice.offsets = (choice.offsets or []) + logprobs["text_offset"]
