"""Rules for text that only looks right: characters of a word processor, and a shell's defaults."""

from __future__ import annotations

import itertools
import json
import re
import unicodedata
from typing import TYPE_CHECKING

from ci.check.diagnostic import Remark

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.check.diagnostic import Subject

# Quotes, dashes, spaces and invisible characters of word processors and web pages, and the
# full-width forms of ASCII.
_QUOTES = "\u2018-\u201f\u2032\u2033"
_DASHES = "\u2010-\u2015\u2212\ufe58\ufe63\uff0d"
_SPACES = "\u00a0\u2000-\u200f\u2028-\u202f\u205f-\u2064\u3000\ufeff"
_ODD = re.compile(f"[{_QUOTES}{_DASHES}{_SPACES}\uff01-\uff5e]")
_NOT_IN_NAMES = re.compile(f"[{_QUOTES}{_DASHES}{_SPACES}\uff0d\uff0f\uff3f]")
_PLAIN = dict.fromkeys("\u2018\u2019\u201a\u2032", "'") | dict.fromkeys(
    "\u201c\u201d\u201e\u2033", '"'
)
_MAX_SHOWN = 60
_SHELL_DEFAULT = re.compile(r"\$\{\w+[^\w}][^}]*\}")
# `${NAME` without its end, `$$NAME`, `%NAME%`, and what the first two become.
_NOT_EXPANDED = re.compile(r"\$\{(\w+)$|\$\$\{?(\w+)\}?|^%(\w+)%$")


def typographic(subject: Subject) -> Iterator[Remark]:
    """Report characters that look like ASCII, in commands and in environments."""
    for server in subject.servers:
        for word in server.argv:
            match = None if _is_json(word) else _ODD.search(word)
            if match:
                near = word if not re.search(r"[ \t\n]", word) else match[0]
                yield Remark(server.command_key, _message(word, match[0]), near)
        for name, value in server.env.items():
            if name in server.env_keys and (match := _ODD.search(name + value)):
                yield Remark(server.env_keys[name], _message(value, match[0]))
    texts = {"model": subject.case.model}
    for bench in subject.case.benchmarks:
        for key in ("dataset_path", "dataset_conf", "request_conf"):
            texts[f"benchmarks.{bench.name}.{key}"] = getattr(bench, key) or ""
    for key, text in texts.items():
        # A folder's name may have any character; these have no use in one.
        if match := _NOT_IN_NAMES.search(text):
            yield Remark(f"{subject.section}{key}", _message(text, match[0]))


def is_typographic_json(word: str) -> bool:
    """Return whether a word is JSON but for characters of a word processor."""
    return bool(_ODD.search(word)) and _is_json(_asciified(word))


def shell_default(subject: Subject) -> Iterator[Remark]:
    """Report `${X:-default}` and `{{ X }}`: no shell or template engine reads the command line."""
    for server in subject.servers:
        for flag, word in itertools.pairwise(server.argv):
            if word.startswith("{{") and not word.startswith('{{"'):
                message = "'{{' belongs to a template, which nothing renders; write $NAME"
                yield Remark(server.command_key, message, flag)
            elif not _is_json(word) and (match := _SHELL_DEFAULT.search(word)):
                name = re.sub(r"\W.*", "", match[0][2:])
                message = (
                    f"only a shell understands {match[0]}, and this runs without one; write "
                    f"${{{name}}}, and its value under 'envs'"
                )
                yield Remark(server.command_key, message, match[0])


def not_expanded(subject: Subject) -> Iterator[Remark]:
    """Report variables in a spelling that nothing expands."""
    written = {node.name: node.argv for node in subject.case.nodes}
    for server in subject.servers:
        for flag, word in itertools.pairwise(written[server.name]):
            match = None if _is_json(word) else _NOT_EXPANDED.search(word)
            if match:
                name = match[1] or match[2] or match[3]
                owner = f"{flag} " if flag.startswith("--") else ""
                message = f"{owner}{match[0]} is not replaced by a value; write ${name}"
                yield Remark(server.command_key, message, match[0])


def _message(word: str, odd: str) -> str:
    name = unicodedata.name(odd, f"U+{ord(odd):04X}").lower()
    plain = _asciified(word).strip()
    if len(word) > _MAX_SHOWN:
        return f"this has a {name} {odd!r}; write {_asciified(odd)!r}"
    shown = "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in word)
    return f"'{shown}' has a {name}, which only looks like ASCII; write {plain!r}"


def _asciified(word: str) -> str:
    """Replace a word's odd characters; a typographic dash before a name becomes `--`."""
    word = re.sub(f"^(?:[{_DASHES}]+-*|-[{_DASHES}]+)(?=[A-Za-z])", "--", word)
    word = re.sub(f"[{_DASHES}]", "-", word)
    word = "".join(_PLAIN.get(char, char) for char in word)
    word = re.sub("[\u200b-\u200f\u2060-\u2064\ufeff]", "", word)
    return unicodedata.normalize("NFKC", word)


def _is_json(word: str) -> bool:
    """Return whether a word is JSON, whose texts may have any character."""
    try:
        return isinstance(json.loads(word.partition("=")[2] or word), (dict, list))
    except (ValueError, RecursionError):
        return False
