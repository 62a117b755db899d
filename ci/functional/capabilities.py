"""Know what servers can support: the names, and which of them a command line gives. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.documents.nearest import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

VARIABLE = "LAMPLIGHTER_CAPABILITIES"
# Name → what a server with it does. The names with `chat.` and `completions.` are the field's own.
KNOWN = {
    "chat": "answers /v1/chat/completions",
    "chat.tools": "knows `tools`",
    "chat.tool_choice": "knows `tool_choice`",
    "chat.tool_choice.auto": "finds tool calls in the text (--enable-auto-tool-choice, a parser)",
    "chat.tool_choice.by_name": "calls the tool that `tool_choice` names",
    "chat.tool_calls.parallel": "answers with several tool calls",
    "chat.tool_parser.hermes": "finds tool calls in the form of Hermes (--tool-call-parser hermes)",
    "chat.response_format.json_object": "knows response_format json_object",
    "chat.response_format.json_schema": "knows response_format json_schema",
    "chat.reasoning": "separates reasoning from the answer (--reasoning-parser)",
    "chat.logprobs": "knows `logprobs` in chats",
    "chat.vision": "takes images in messages",
    "chat.prefill": "knows `continue_final_message`",
    "completions": "answers /v1/completions",
    "completions.suffix": "knows `suffix`",
    "completions.best_of": "knows `best_of`",
    "completions.echo": "knows `echo`",
    "completions.logprobs": "knows `logprobs` in completions",
    "completions.prompt_logprobs": "knows `prompt_logprobs`",
    "structured_outputs": "knows `structured_outputs` (choice, regex, json)",
    "structured_outputs.grammar": "knows `structured_outputs.grammar`",
    "token_ids": "knows `return_token_ids`",
    "responses": "answers /v1/responses",
    "embeddings": "answers /v1/embeddings",
    "tokenize": "answers /tokenize and /detokenize",
    "metrics": "answers /metrics with vLLM's series",
    "health": "answers /health",
    "version": "answers /version",
    "api_key": "refuses requests to /v1 without its API key",
    "dead": "a second address is given, whose server is dead (--dead-base-url)",
    "prompt_details": "reports cached tokens (--enable-prompt-tokens-details)",
}
# Part of a vLLM command line → what the server then supports.
_FLAGS = {
    "--enable-prompt-tokens-details": ("prompt_details",),
    "--reasoning-parser": ("chat.reasoning",),
    "--api-key": ("api_key",),
}


def unknown_capability(name: str) -> str:
    """Return the message about a name that is not known."""
    near = nearest(name, KNOWN)
    guess = f"; did you mean {near!r}?" if near else f"; known: {', '.join(KNOWN)}"
    return f"unknown capability {name!r}{guess}"


def of_command_line(argv: Sequence[str]) -> tuple[str, ...]:
    """Return what a server with this command line supports, beyond what every vLLM does."""
    words = [word.partition("=")[0].replace("_", "-") for word in argv]
    values = [*argv, ""]
    found = [name for flag, names in _FLAGS.items() if flag in words for name in names]
    if "--enable-auto-tool-choice" in words:
        found.append("chat.tool_choice.auto")
        parsers = [
            argv[index].partition("=")[2] or values[index + 1]
            for index, word in enumerate(words)
            if word == "--tool-call-parser"
        ]
        found += ["chat.tool_parser.hermes"] * ("hermes" in parsers)
    return tuple(found)


def of_variable(text: str) -> tuple[str, ...]:
    """Return the names in a list with commas, as the environment variable has it."""
    return tuple(filter(None, (name.strip() for name in text.split(","))))


def missing(required: Iterable[str], declared: Iterable[str]) -> list[str]:
    """Return the required capabilities that are not declared."""
    known = set(declared)
    return [name for name in required if name not in known]
