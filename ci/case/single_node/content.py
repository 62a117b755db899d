"""Read the tests of `test_content` that send requests or count processes. Pure.

As vllm-ascend's runner (`test_single_node.py`, `tools/send_request.py`, `tools/send_mm_request.py`)
sends and judges them, unless a comment describes a difference.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ci.case.model import PICTURES, ContentTest, Expected
from ci.case.single_node.model import ExpectedAnswer, ExpectedResponse, MmRequest
from ci.case.single_node.requests import kinds_of
from ci.case.single_node.servers import environment, expanded, server_words
from ci.documents.counted import counted
from ci.vllm.command_line import option

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ci.case.single_node.model import TestCase
    from ci.documents.position import KeyPath
    from ci.documents.source import Source
    from ci.errors import Problem

PROMPT = "Hello!"
MESSAGES_TOKENS = 100
PICTURE_ARGUMENTS: dict[str, Any] = {
    "eos_token_id": [1, 106],
    "pad_token_id": 0,
    "top_k": 64,
    "top_p": 0.95,
    "max_tokens": 8192,
}
_PLACEHOLDER = re.compile(r"\{IMAGE_(\d+)\}")
# The server gets them by itself, or has them already.
_SENT_AS_WRITTEN = ("http://", "https://", "data:")
_STREAMED = frozenset({"stream", "stream_options"})
_WITH_LISTS = ("chat_completion", "messages")


def tests(entry: TestCase) -> tuple[ContentTest, ...]:
    """Return the tests, in the order of `test_content`."""
    made: list[ContentTest] = []
    for kind in dict.fromkeys(kinds_of(entry)):
        if kind == "chat_completion":
            made += _chats(entry)
        elif kind == "messages":
            made += _messages(entry)
        elif kind == "image":
            made.append(_picture(entry.mm_request or MmRequest(), entry.expected_response))
        elif kind == "check_rank0_process_count":
            made.append(ContentTest(name=kind, kind="process_count"))
    return tuple(made)


def errors(entry: TestCase, path: KeyPath, source: Source) -> Iterator[Problem]:
    """Report arguments and expectations that do not fit the prompts, and missing pictures.

    Args:
        entry: with keys of the right types.
        path: its key path.
        source: the file.
    """
    kinds, prompts = kinds_of(entry), len(_prompts(entry))
    lists: list[tuple[KeyPath, list[Any]]] = []
    if isinstance(entry.api_keyword_args, list):
        if "completion" in kinds:
            message = "has to be a mapping; a list is for chat_completion and messages only"
            yield source.at_key((*path, "api_keyword_args"), message)
        elif set(_WITH_LISTS).intersection(kinds):
            lists.append(((*path, "api_keyword_args"), entry.api_keyword_args))
    expected = entry.expected_response
    if expected and expected.per_prompt is not None and "chat_completion" in kinds:
        lists.append(((*path, "expected_response", "per_prompt"), expected.per_prompt))
    for key, items in lists:
        if len(items) != prompts:
            entries = counted(len(items), "entry", "entries")
            message = f"has {entries} for {counted(prompts, 'prompt')}; write one for each"
            yield source.at_key(key, message)
    if entry.mm_request:
        yield from _picture_errors(entry.mm_request, (*path, "mm_request"), source)


def warnings(entry: TestCase, path: KeyPath, source: Source) -> Iterator[Problem]:
    """Report keys that no test of the case uses."""
    kinds = kinds_of(entry)
    users = {"mm_request": ("image",), "expected_response": ("image", "chat_completion")}
    for key, uses in users.items():
        if getattr(entry, key) is not None and not set(uses).intersection(kinds):
            needed = " or ".join(uses)
            message = f"has no effect, as test_content does not name {needed}; add it there"
            yield source.at_key((*path, key), message)


def _picture_errors(request: MmRequest, path: KeyPath, source: Source) -> Iterator[Problem]:
    count = len(_pictures(request))
    for index, url in enumerate(_urls(request)):
        wrong = [number for number in _PLACEHOLDER.findall(url) if int(number) >= count]
        if wrong:
            message = (
                f"{{IMAGE_{wrong[0]}}}: there is no such entry in 'images', which has {count}; the "
                "first is {IMAGE_0}"
            )
            yield source.at_key((*path, "messages"), message)
        elif not url and _open_before(request, index) >= count:
            message = f"has more images without a URL than 'images' has entries, {count}; add them"
            yield source.at_key((*path, "messages"), message)
            return


def _open_before(request: MmRequest, index: int) -> int:
    """Count the images without a URL before this one: each takes the next entry of `images`."""
    return sum(1 for url in _urls(request)[:index] if not url)


def _prompts(entry: TestCase) -> list[str]:
    return entry.prompts or [PROMPT]


def _arguments(entry: TestCase) -> list[Mapping[str, Any]]:
    """Return the arguments of each prompt's request."""
    given, prompts = entry.api_keyword_args, _prompts(entry)
    return given if isinstance(given, list) else [given or {}] * len(prompts)


def _names(name: str, count: int) -> list[str]:
    return [f"{name} {index}" if index else name for index in range(count)]


def _chats(entry: TestCase) -> Iterator[ContentTest]:
    prompts, expected = _prompts(entry), entry.expected_response
    answers: Sequence[ExpectedAnswer | None] = [expected] * len(prompts)
    if expected and expected.per_prompt:
        answers = expected.per_prompt
    limit = option(expanded(server_words(entry), environment(entry)), "--max-model-len")
    whole = int(limit) if limit and limit.isdecimal() and expected else None
    for name, prompt, arguments, answer in zip(
        _names("chat_completion", len(prompts)), prompts, _arguments(entry), answers, strict=True
    ):
        given = _expected(answer, whole)
        exact = given.completion_tokens
        # The runner cannot read a streamed answer; it is asked for as a whole.
        own = {key: value for key, value in arguments.items() if key not in _STREAMED}
        body = {"messages": [{"role": "user", "content": prompt}], **own}
        if exact is not None:
            body |= {"max_tokens": exact, "min_tokens": exact}
        yield ContentTest(name=name, kind="chat", body=body, expected=given)


def _messages(entry: TestCase) -> Iterator[ContentTest]:
    prompts = _prompts(entry)
    for name, prompt, arguments in zip(
        _names("messages", len(prompts)), prompts, _arguments(entry), strict=True
    ):
        # The runner sends only `tools` and `stream` of them; the others have an effect here.
        body = {"messages": [{"role": "user", "content": prompt}], "max_tokens": MESSAGES_TOKENS}
        yield ContentTest(name=name, kind="messages", body={**body, **arguments})


def _picture(request: MmRequest, expected: ExpectedResponse | None) -> ContentTest:
    pictures = _pictures(request)
    if not request.messages:
        urls = [f"{{IMAGE_{index}}}" for index in range(len(pictures))]
        images = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
        parts = [{"type": "text", "text": request.text_prompt}, *images]
        messages: list[Any] = [{"role": "user", "content": parts}]
    else:
        messages, pictures = _filled(request, pictures)
    arguments = {**PICTURE_ARGUMENTS, **(request.api_args or {})}
    own = {key: value for key, value in arguments.items() if key not in _STREAMED}
    return ContentTest(
        name="image",
        kind="chat",
        body={"messages": messages, **own},
        pictures=pictures,
        expected=_expected(expected, None),
    )


def _filled(request: MmRequest, pictures: tuple[str, ...]) -> tuple[list[Any], tuple[str, ...]]:
    """Give each image of the messages a URL: a placeholder for each that is a file."""
    used, files, opened = [], list(pictures), 0
    for message in request.messages or ():
        parts = message.get("content", [])
        content = []
        for part in parts if isinstance(parts, list) else ():
            url = _url(part)
            if url is None or url.startswith(_SENT_AS_WRITTEN) or _PLACEHOLDER.search(url):
                content.append(part)
                continue
            if url:
                files.append(url)
                index = len(files) - 1
            else:
                index, opened = opened, opened + 1
            given = part.get("image_url")
            image = given if isinstance(given, dict) else {}
            content.append({**part, "image_url": {**image, "url": f"{{IMAGE_{index}}}"}})
        whole = content if isinstance(parts, list) else parts
        used.append({"role": "user", **message, "content": whole})
    return used, _needed(used, files)


def _needed(messages: list[Any], files: list[str]) -> tuple[str, ...]:
    """Return the pictures up to the last one that a message has; none if there is none."""
    numbers = [int(number) for number in _PLACEHOLDER.findall(repr(messages))]
    return tuple(files[: max(numbers, default=-1) + 1])


def _pictures(request: MmRequest) -> tuple[str, ...]:
    usual = request.image_path or PICTURES
    return tuple(picture or usual for picture in request.images or [None])


def _urls(request: MmRequest) -> list[str]:
    """Return the URL of each image in the messages; empty where there is none."""
    parts = [
        part
        for message in request.messages or ()
        if isinstance(message.get("content"), list)
        for part in message["content"]
    ]
    return [url for url in map(_url, parts) if url is not None]


def _url(part: object) -> str | None:
    """Return the URL of an image; None of a part that is none."""
    if not isinstance(part, dict) or part.get("type") != "image_url":
        return None
    image = part.get("image_url")
    return str((image.get("url") if isinstance(image, dict) else image) or "").strip()


def _expected(answer: ExpectedAnswer | None, max_tokens: int | None) -> Expected:
    if answer is None:
        return Expected(max_tokens=max_tokens)
    return Expected(
        status=answer.status_code,
        not_empty=answer.assert_not_empty,
        contains=tuple(answer.content_contains or ()),
        min_chars=answer.min_length,
        max_chars=answer.max_length,
        prompt_tokens=answer.prompt_tokens,
        completion_tokens=answer.completion_tokens,
        max_tokens=answer.max_model_len or max_tokens,
    )
