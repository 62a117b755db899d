"""Rules about servers' command lines. Pure."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING

from ci.check.finding import Remark
from ci.vllm.command_line import has, long_name, option
from ci.vllm.failures import REMOVED_SINCE
from ci.vllm.flags import REMOVED
from ci.vllm.version import is_before

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ci.check.finding import Subject

_FLAG = re.compile(r"--?[A-Za-z][\w.-]*")
# vLLM appends what is given to these: https://docs.vllm.ai/en/stable/cli/serve.html
_REPEATABLE = frozenset({"--middleware"})
_SHOWN = 40


def flags(argv: Sequence[str]) -> list[tuple[str, str]]:
    """Every flag as it is written, and in vLLM's own spelling."""
    written = [word.partition("=")[0] for word in argv]
    return [(word, long_name(word)) for word in written if _FLAG.fullmatch(word)]


def gone(subject: Subject) -> Iterator[Remark]:
    """Flags that vLLM had once, unless the case's version has them still."""
    for server in subject.servers:
        for written, flag in flags(server.argv):
            advice = REMOVED.get(flag)
            if advice and not is_before(subject.case.vllm, REMOVED_SINCE[flag]):
                message = (
                    f"{written} is gone from vLLM, which ends at once when it sees it; {advice}"
                )
                yield Remark(server.command, message, written)


def headless_port(subject: Subject) -> Iterator[Remark]:
    """A port for a headless server, which answers nobody."""
    for server in subject.servers:
        if has(server.argv, "--headless") and has(server.argv, "--port"):
            message = (
                "--headless answers no requests, so --port has no effect; leave one of them out"
            )
            yield Remark(server.command, message, "--port")


def spaced_flag(subject: Subject) -> Iterator[Remark]:
    """Flags with a space in their word, which vLLM takes for no flag."""
    if subject.section:
        return  # the reader of single_node files has said so
    for server in subject.servers:
        for word in server.argv:
            flag = word.partition("=")[0].strip()
            if re.search(r"\s", word.partition("=")[0]) and _FLAG.match(flag):
                parts = " and ".join(repr(part) for part in word.split(maxsplit=1))
                message = f"{word!r} is no flag with a space in it; write {parts}"
                yield Remark(server.command, message, flag.split()[0])


def json_argument(subject: Subject) -> Iterator[Remark]:
    """Arguments that begin as JSON and are none."""
    for server in subject.servers:
        for flag, word in _json_words(server.argv):
            if "$" in word and not server.planned:
                continue
            if wrong := _no_json(word):
                yield Remark(server.command, f"{flag} {wrong}".strip(), flag)


def duplicate_flag(subject: Subject) -> Iterator[Remark]:
    """Flags that are given more than once, or together with their contrary."""
    for server in subject.servers:
        found = flags(server.argv)
        first = {flag: written for written, flag in reversed(found)}
        counts = Counter(flag for _, flag in found)
        for flag, count in counts.items():
            if count > 1 and flag not in _REPEATABLE:
                message = (
                    f"{first[flag]} is given {count} times{_last(server.argv, flag)}; remove one"
                )
                yield Remark(server.command, message, first[flag])
            contrary = f"--no-{flag.removeprefix('--')}"
            if contrary in counts:
                message = f"{first[flag]} and {first[contrary]} contradict each other; remove one"
                yield Remark(server.command, message, first[contrary])


def _last(argv: Sequence[str], flag: str) -> str:
    value = option(argv, flag)
    return f", vLLM takes the last ({value})" if value and not _FLAG.fullmatch(value) else ""


def _json_words(argv: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Every word that begins with a brace, and the flag whose value it is."""
    flag = ""
    for word in argv:
        name, equals, value = word.partition("=")
        if equals and _FLAG.fullmatch(name) and value.lstrip().startswith("{"):
            yield name, value
        elif word.lstrip().startswith("{"):
            yield flag, word
        flag = word if _FLAG.fullmatch(word) else ""


def _no_json(text: str) -> str | None:
    try:
        json.loads(text)
    except ValueError as error:
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
        return f"takes JSON, and {shown!r} is none: {error}; {_advice(text)}"
    except RecursionError:
        return "takes JSON, and this is nested too deep for it"
    return None


def _advice(text: str) -> str:
    if re.search(r"\b(True|False|None)\b", text):
        return "JSON writes true, false and null"
    if re.search(r",\s*[}\]]", text):
        return "remove the comma before the closing bracket"
    if not text.rstrip().endswith("}") or '"' not in text:
        return "put the whole of it in single quotes, its keys and texts in double quotes"
    return "mend it there"
