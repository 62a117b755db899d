"""Replace `${…}` in a request by values of the server: token ids, its window, its model. Pure.

| reference | value |
|---|---|
| `${token:TEXT}` | id of the last token of TEXT |
| `${tokens:TEXT}` | ids of all tokens of TEXT |
| `${any:TEXT}` | as `tokens`; nothing if the server has no /tokenize |
| `${eos}` | id of the token that ends an answer |
| `${model}` | the served model's name |
| `${window}` | the server's context length, in tokens |
| `${long}` | a text that is longer than the window |
| `${words:N}` | a text of N words |
| `${numbers:N}` | some hundred tokens: the numbers from N on, as far as the window allows |
| `${index}` | number of the request in its scenario, from 0 |
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

REFERENCE = re.compile(r"\$\{([^${}]+)\}")
# The text of a token may have braces, where the reference is the whole value.
WHOLE = re.compile(r"\$\{((?:tokens?|any):(?:(?!\$\{).)+|[^${}]+)\}", re.DOTALL)
NAMES = ("eos", "model", "window", "long", "index")
WORDS = re.compile("words:([0-9]{1,5})")
NUMBERS = re.compile("numbers:([0-9]{1,9})")
# A number of four digits takes two to six tokens. A prompt of so many is longer than a block of the
# KV cache, which has 16 tokens on most GPUs, and 128 on CPUs and NPUs.
COUNTED = 120
TOKENS_OF_A_NUMBER = 8
# References that need /tokenize.
TOKENS = ("token:", "tokens:", "any:")


class UnknownReferenceError(ValueError):
    """A reference that the server gives no value for."""


def references(value: object) -> Iterator[str]:
    """Yield the name of each reference in a value and its keys."""
    if isinstance(value, str):
        whole = WHOLE.fullmatch(value)
        yield from [whole[1]] if whole else REFERENCE.findall(value)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from references(key)
            yield from references(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from references(item)


def wrong_reference(name: str) -> str | None:
    """Return what is wrong with a reference; None if it is one of the table."""
    known = WORDS.fullmatch(name) or NUMBERS.fullmatch(name)
    if name in NAMES or name.startswith(TOKENS) or known:
        return None
    names = ", ".join(("token:TEXT", "tokens:TEXT", "words:N", "numbers:N", *NAMES))
    return f"unknown reference ${{{name}}}; known: {names}"


def substitute(value: Any, known: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any value of JSON
    """Return a value with all references replaced.

    A text that is one reference becomes its value, of whatever type; within a text it becomes text.
    Keys stay text, as JSON wants; a key of several
    tokens becomes several keys.

    Raises:
        UnknownReferenceError: a reference has no value.
    """
    if isinstance(value, str):
        return _text(value, known)
    if isinstance(value, dict):
        return {
            name: substitute(item, known)
            for key, item in value.items()
            for name in _keys(key, known)
        }
    if isinstance(value, (list, tuple)):
        return [substitute(item, known) for item in value]
    return value


def _keys(key: str, known: Mapping[str, Any]) -> list[str]:
    """Return the keys that a key stands for: one for each of several tokens."""
    name = _text(key, known)
    return [str(item) for item in name] if isinstance(name, list) else [str(name)]


def _text(text: str, known: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any value of JSON
    if "${" not in text:
        return text
    if whole := WHOLE.fullmatch(text):
        return _value(whole[1], known)
    replace: Callable[[re.Match[str]], str] = lambda match: str(_value(match[1], known))  # noqa: E731
    return REFERENCE.sub(replace, text)


def _value(name: str, known: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any value of JSON
    if number := WORDS.fullmatch(name):
        return " ".join(f"word{index % 10}" for index in range(int(number[1])))
    if first := NUMBERS.fullmatch(name):
        window = known.get("window") or 2 * COUNTED * TOKENS_OF_A_NUMBER
        count = max(1, min(COUNTED, window // TOKENS_OF_A_NUMBER))
        return ", ".join(str(int(first[1]) + index) for index in range(count))
    if name not in known:
        raise UnknownReferenceError(f"the server gives no value for ${{{name}}}")
    return known[name]
