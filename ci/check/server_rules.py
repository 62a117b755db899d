"""Rules for servers' command lines. Pure."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING

from ci.check.diagnostic import Remark
from ci.check.text_rules import is_typographic_json
from ci.documents.json_advice import correction
from ci.documents.nearest import nearest
from ci.record.secrets import hide_in_text
from ci.vllm.api import keys_of
from ci.vllm.command_line import has, long_name, option
from ci.vllm.options import apart
from ci.vllm.programs import own_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ci.check.diagnostic import Subject

_FLAG = re.compile(r"--?[A-Za-z][\w.-]*")
# vLLM collects the values of these: https://docs.vllm.ai/en/stable/cli/serve.html
_REPEATABLE = frozenset({"--middleware"})
_MAX_SHOWN_CHARS = 40


def flags(argv: Sequence[str]) -> list[tuple[str, str]]:
    """List every flag as written, with vLLM's own spelling of it."""
    written = [word.partition("=")[0] for word in argv]
    return [(word, long_name(word)) for word in written if _FLAG.fullmatch(word)]


def several_keys(subject: Subject) -> Iterator[Remark]:
    """Report several values of --api-key, of which a run gives the server only the first."""
    for server in subject.servers:
        if len(keys_of(server.argv)) > 1:
            message = (
                "--api-key has several keys; a run gives the server only the first, in "
                "VLLM_API_KEY, because every user of a host sees its command lines"
            )
            yield Remark(server.command_key, message, "--api-key")


def headless_port(subject: Subject) -> Iterator[Remark]:
    """Report --port of a headless server, which answers no requests."""
    for server in subject.servers:
        if has(server.argv, "--headless") and has(server.argv, "--port"):
            message = "--headless answers no requests, so --port has no effect; remove one of them"
            yield Remark(server.command_key, message, "--port")


def spaced_flag(subject: Subject) -> Iterator[Remark]:
    """Report words with a flag and a space in them, which vLLM does not read as a flag."""
    for server in subject.servers:
        for word in server.argv:
            if parts := apart(word):
                right = " and ".join(map(repr, parts))
                message = f"{word!r} is not a flag because of its space; write {right}"
                if word[0] == " ":
                    message += ", and remove a '\\' at the end of the line above"
                yield Remark(server.command_key, message, word.split()[0].rstrip(":"))


def program(subject: Subject) -> Iterator[Remark]:
    """Report a program that is almost `vllm`, and a command of vllm other than `serve`."""
    for server in subject.servers:
        path, command, *_ = (*own_words(server.argv), "", "")
        name = path.rpartition("/")[2]
        if path.startswith("-"):
            message = (
                f"begins with {path!r}, which is not a program; write `vllm serve MODEL` first"
            )
            yield Remark(server.command_key, message, path)
            continue
        is_vllm = name == "vllm" and command != "serve"
        misspelt = name != "vllm" and nearest(name, ["vllm"])
        if not is_vllm and not (misspelt and nearest(command, ["serve"])):
            continue
        written = f"{name} {command}".strip()
        message = f"{written!r} starts no server; write `vllm serve MODEL` and then the flags"
        yield Remark(server.command_key, message, name)


def json_argument(subject: Subject) -> Iterator[Remark]:
    """Report arguments that start like JSON but are not valid JSON."""
    for server in subject.servers:
        for flag, word in _json_words(server.argv):
            if "$" in word and not server.planned:
                continue
            if not is_typographic_json(word) and (found := _json_error(word)):
                error, into = found
                yield Remark(server.command_key, f"{flag} {error}".strip(), flag, into=into)


def duplicate_flag(subject: Subject) -> Iterator[Remark]:
    """Report flags that are given twice, or together with their opposite."""
    for server in subject.servers:
        given = flags(server.argv)
        first = {flag: written for written, flag in reversed(given)}
        counts = Counter(flag for _, flag in given)
        for flag, count in counts.items():
            if count > 1 and flag not in _REPEATABLE:
                message = (
                    f"{first[flag]} is given {count} times{_last(server.argv, flag)}; remove one"
                )
                yield Remark(server.command_key, message, first[flag])
            opposite = f"--no-{flag.removeprefix('--')}"
            if opposite in counts:
                message = f"{first[flag]} and {first[opposite]} contradict each other; remove one"
                yield Remark(server.command_key, message, first[opposite])


def _last(argv: Sequence[str], flag: str) -> str:
    value = option(argv, flag)
    return f", vLLM takes the last ({value})" if value and not _FLAG.fullmatch(value) else ""


def _json_words(argv: Sequence[str]) -> Iterator[tuple[str, str]]:
    """List every word that starts with a brace, with the flag whose value it is."""
    flag = ""
    for word in argv:
        name, equals, value = word.partition("=")
        if equals and _FLAG.fullmatch(name) and value.lstrip().startswith("{"):
            yield name, value
        elif re.match(r"\s*\{(?!\{[^\"])", word) and word != "{{":
            yield flag, word
        flag = word if _FLAG.fullmatch(word) else ""


def _json_error(text: str) -> tuple[str, int] | None:
    """Say what is wrong with JSON, and after how many characters; None if nothing is."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        hidden = hide_in_text(text)
        shown = hidden if len(text) <= _MAX_SHOWN_CHARS else f"{hidden[:_MAX_SHOWN_CHARS]}…"
        advice, into = correction(error)
        return f"expected JSON, got {shown!r}: {error}; {advice}", into
    except RecursionError:
        return "expected JSON, got a value that is nested too deeply; write it flatter", -1
    return None
