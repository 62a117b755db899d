"""Say what is wrong with a command line that Invoke cannot parse, and what to write. Pure."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

from ci.documents.nearest import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from invoke.parser.context import ParserContext


def explained(
    message: str, words: Sequence[str], task: str, tasks: Mapping[str, ParserContext]
) -> str:
    """Return a message of Invoke's parser with the word that was meant.

    Args:
        message: the parser's.
        words: the command line.
        task: the first task of the command line; empty if there is none.
        tasks: name → a task and its flags.
    """
    if match := re.match(r"Flag <Argument: ([\w-]+).*needed value", message):
        return f"--{match[1].replace('_', '-')} has no value; write one after it"
    match = re.match(r"No idea what '(.*)' is!", message, re.DOTALL)
    flags = [flag for flag in (tasks[task].flags if task else ()) if flag.startswith("--")]
    if match is None:
        return message
    word = match[1]
    if word.startswith("-"):
        begun = [flag for flag in flags if flag.startswith(word)]
        return _unknown(word, "flag", begun[0] if len(begun) == 1 else nearest(word, flags))
    if not task:
        return _unknown(word, "task", nearest(word, tasks))
    return _extra(word, words, flags) or _unknown(word, "task", nearest(word, tasks))


def unknown_flag(
    words: Sequence[str], tasks: Mapping[str, ParserContext], core: ParserContext
) -> str | None:
    """Say which long flag of a command line its task does not have; None if it has all.

    Args:
        words: the command line.
        tasks: as for `explained`.
        core: Invoke's own flags.
    """
    task: ParserContext | None = None
    left = list(words)
    while left and left[0] != "--":
        word = left.pop(0)
        if word in tasks:
            task = tasks[word]
            continue
        name, has_value, _ = word.partition("=")
        own = () if task is None else (task.flags, task.inverse_flags)
        flags = next((each for each in (*own, core.flags) if name in each), None)
        if flags is None:
            if task is not None and word.startswith("--"):
                return explained(f"No idea what {name!r} is!", words, str(task.name), tasks)
            continue
        argument = flags[name]
        if isinstance(argument, str) or not argument.takes_value or has_value:
            continue
        if not (argument.optional and left and left[0].startswith("-")):
            left = left[1:]
    return None


def _unknown(word: str, kind: str, near: str | None) -> str:
    return f"{word!r} is not a {kind}" + (f"; did you mean {near}?" if near else "")


def _extra(word: str, words: Sequence[str], flags: Sequence[str]) -> str | None:
    """Say why a word is not the value of the flag before it; None if there is no such flag."""
    inline = next((other for other in words if other.endswith(f"={word}")), "")
    before = [first for first, second in itertools.pairwise(words) if second == word]
    flag = inline.partition("=")[0] or (before[0] if before else "")
    names = [other.partition("=")[0] for other in words]
    if flag in flags and names.count(flag) > 1:
        return f"{flag} is given {names.count(flag)} times; give it once"
    if flag in flags:
        return f"{word!r} after {flag} is not its value: {flag} takes none, or has one already"
    if "--config" in flags and re.search(r"[./]", word):
        return f"{word!r} is not a task; did you mean --config {word}?"
    return None


def without_value(words: Sequence[str], task: ParserContext) -> str | None:
    """Return a flag of a list at the end, or before a flag, whose value Invoke does not miss."""
    for word, following in zip(words, (*words[1:], None), strict=True):
        argument = task.flags.get(word)
        if argument and argument.kind is list and (following is None or following in task.flags):
            return word
    return None
