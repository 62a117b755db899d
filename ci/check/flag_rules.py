"""Rules for the flags of `vllm serve`: those that a version lacks, and values that it refuses."""

from __future__ import annotations

import difflib
import math
import re
import textwrap
from typing import TYPE_CHECKING

from ci.catalog.vllm_flags import by_version, options_for
from ci.check.diagnostic import Remark
from ci.documents.nearest import nearest
from ci.record.secrets import hide_in_text
from ci.vllm.flags import REMOVED, REMOVED_SINCE
from ci.vllm.options import Option, arguments, find, given
from ci.vllm.version import is_before

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ci.check.diagnostic import Server, Severity, Subject
    from ci.vllm.options import Given

# A name as close as this is a slip of the keyboard, not the flag of a plugin.
_SLIP = 0.9
_MAX_SHOWN_CHARS = 60
# Flags that also take 4k and 4K, and what they take.
_LENGTHS = frozenset({"--max-model-len", "--max-num-batched-tokens"})
_LENGTH = re.compile(r"-?\d+|\d+(\.\d+)?[kKmMgGtT]|auto")
_RANGES = {
    "--gpu-memory-utilization": (0.01, 1),
    "--max-num-seqs": (1, math.inf),
    "--max-num-batched-tokens": (1, math.inf),
    "--max-model-len": (-1, math.inf),
    "--block-size": (1, math.inf),
}
_ALL_HELP = "`vllm serve --help=all` lists its flags"
_PLUGINS = "if a plugin or a vLLM of your own adds it, ignore this"


def split_flag(subject: Subject) -> Iterator[Remark]:
    """Report flags with a space in them, which are two words to vLLM."""
    for server in subject.servers:
        for first, whole in server.split:
            message = f"a space splits this flag after {first!r}; write {whole}"
            yield Remark(server.command_key, message, first)


def unknown_flag(subject: Subject) -> Iterator[Remark]:
    """Report flags that the case's version of vLLM lacks; without a version, that all lack."""
    for server, options in _of_vllm(subject):
        for flag in given(arguments(server.argv) or (), options):
            lacking = _lacking(flag, subject, options) if flag.name else None
            if lacking:
                message, severity = lacking
                yield Remark(server.command_key, message, flag.written, severity)


def _lacking(
    flag: Given, subject: Subject, options: Mapping[str, Option]
) -> tuple[str, Severity] | None:
    """Say why a version lacks a flag, and how sure that is; None if it has the flag."""
    version = subject.case.vllm if subject.case.vllm in by_version() else None
    versions = _versions_with(flag.name)
    if flag.option and (version or next(iter(by_version())) in versions):
        return None
    if flag.name in REMOVED:
        gone = f"vLLM removed {flag.written} and exits at once when it is given"
        before = is_before(subject.case.vllm, REMOVED_SINCE[flag.name])
        return None if before else (f"{gone}; {REMOVED[flag.name]}", _sure(version))
    near = _near(flag.name, options)
    guess = f"did you mean {near}?" if near else _ALL_HELP
    if versions:
        return _of_other_version(flag, versions, version, guess), _sure(version)
    which = f"vLLM {version}" if version else "vLLM"
    message = f"{which} has no {flag.written}; {guess}"
    if near and _is_slip(flag.name, near):
        return message, "error"
    if version and subject.case.device in {"cpu", "cuda"}:
        return message, "error"
    return f"{message}; {_PLUGINS}", "warning"


def _sure(version: str | None) -> Severity:
    return "error" if version else "warning"


def _of_other_version(flag: Given, versions: list[str], version: str | None, guess: str) -> str:
    """Say that a flag is older or newer than the case's version, or than the newest."""
    newest, oldest = versions[0], versions[-1]
    if is_before(version, oldest):
        return (
            f"{flag.written} is new in vLLM {oldest}, and the case has vllm: {version}; raise "
            "`vllm`, or remove the flag"
        )
    has = f"the case has vllm: {version}" if version else "newer versions exit at once with it"
    return f"{flag.written} was last in vLLM {newest}, and {has}; remove it; {guess}"


def flag_value(subject: Subject) -> Iterator[Remark]:
    """Report values that vLLM's parser refuses, missing ones, and words that belong to no flag."""
    for server, options in _of_vllm(subject):
        models = 1
        for flag in given(arguments(server.argv) or (), options):
            stray, models = flag.stray[models:], max(0, models - len(flag.stray))
            if flag.inline and flag.values == ("",):
                message = f"{flag.written}= has nothing after its '='; write the value there"
                yield Remark(server.command_key, message, flag.written)
            elif stray and not any(map(_has_own_rule, stray)):
                yield Remark(server.command_key, *_stray(flag, stray[0], options))
            elif refused := _refused(flag):
                message, value = refused
                severity: Severity = "warning" if _may_differ(flag, subject) else "error"
                yield Remark(server.command_key, message, flag.written, severity, then=value)


def _stray(flag: Given, word: str, options: Mapping[str, Option]) -> tuple[str, str]:
    """Say what is wrong with a word that belongs to no flag, and which word to point at."""
    meant = "--" + word.strip("-:;,")
    if meant in options and meant != word:
        return f"{_shown(word)!r} is not a flag; did you mean {meant}?", word
    return _extra(flag, _shown(word)), flag.written or word


def _extra(flag: Given, word: str) -> str:
    if flag.option and not flag.option.most:
        off = f"--no-{flag.name.removeprefix('--')}"
        return (
            f"{flag.written} takes no value, but {word!r} follows it; remove it, or write {off} "
            "to turn it off"
        )
    after = f"after the value of {flag.written}" if flag.written else "after the model"
    return f"{word!r} {after} belongs to no flag; remove it, or put the whole value in quotes"


def _has_own_rule(word: str) -> bool:
    r"""Return whether another rule reports the word: a typographic dash, `--x 1`, `\ --x`."""
    odd = not word[:1].isascii() or word.lstrip().startswith(("-", "{", "}}"))
    return odd and not re.fullmatch(r"-+[A-Za-z][\w-]*[:;,]?", word)


def _refused(flag: Given) -> tuple[str, str] | None:
    """Say why vLLM's parser refuses an option's values, and which; None if it takes them."""
    option = flag.option
    if option is None or (not option.most and not flag.inline):
        return None
    if not option.most:
        return f"{flag.written} takes no value; write {flag.written} alone", ""
    if len(flag.values) < option.least:
        return f"{flag.written} has no value; write one after it", ""
    values = [value for value in flag.values if not re.search(r"\$|^\{\{", value)]
    wrong = [value for value in values if not _fits(value, option)]
    if not wrong:
        return _out_of_range(flag, values)
    value = _shown(wrong[0])
    if not option.choices:
        kind = "a whole number" if option.values == "int" else "a number"
        return f"{flag.written}: expected {kind}, found {value!r}{_meant(wrong[0])}", wrong[0]
    close = nearest(wrong[0], option.choices)
    guess = f"did you mean {close!r}?" if close else f"choose one of {', '.join(option.choices)}"
    return f"{flag.written} has no {value!r}; {guess}", wrong[0]


def _meant(value: str) -> str:
    """Return the advice for a number with a comma or another character after it."""
    value = value.strip().rstrip(",;")
    if re.fullmatch(r"0,[0-9]+", value):
        return f"; write {value.replace(',', '.')}"
    whole = re.fullmatch(r"[0-9]{1,3}(,[0-9]{3})+|[0-9]+(\.[0-9]+)?", value)
    return f"; write {value.replace(',', '')}" if whole else ""


def _out_of_range(flag: Given, values: list[str]) -> tuple[str, str] | None:
    """Say why vLLM refuses a number, or a text that has to be one, and which."""
    for value in values:
        if flag.name in _LENGTHS and not _LENGTH.fullmatch(value):
            message = f"expected a whole number such as 4096 or 4k, found {value!r}"
            return f"{flag.written}: {message}{_meant(value)}", value
        least, most = _RANGES.get(flag.name, (-math.inf, math.inf))
        if (number := _number(value)) is not None and not least <= number <= most:
            bounds = f"{least:g} to {most:g}" if most < math.inf else f"at least {least:g}"
            return f"{flag.written} {_shown(value)} is out of range; it has to be {bounds}", value
    return None


def _number(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None


def _shown(text: str) -> str:
    return textwrap.shorten(hide_in_text(text), _MAX_SHOWN_CHARS)


def _fits(value: str, option: Option) -> bool:
    if option.choices:
        return value in option.choices
    kinds = {"int": int, "float": float}
    try:
        kinds.get(option.values, str)(value)
    except ValueError:
        return value.isdecimal()  # longer than Python converts; planning refuses it
    return True


def _may_differ(flag: Given, subject: Subject) -> bool:
    """Return whether the hosts' vLLM may accept the value: an unknown version, or a plugin's."""
    has_choices = bool(flag.option and flag.option.choices)
    known = subject.case.vllm in by_version() and subject.case.device in {"cpu", "cuda"}
    return has_choices and not known


def _of_vllm(subject: Subject) -> Iterator[tuple[Server, Mapping[str, Option]]]:
    """Return the servers that vLLM serves, with the options of the case's version."""
    options = options_for(subject.case.vllm)
    for server in subject.servers:
        if arguments(server.argv) is not None:
            yield server, options


def _versions_with(name: str) -> list[str]:
    """Return the versions that have an option, newest first."""
    return [version for version, options in by_version().items() if find(name, options)]


def _near(name: str, options: Mapping[str, Option]) -> str | None:
    own = {name, f"--no-{name.removeprefix('--')}"}
    others = [known for known in options if known.startswith("--") and known not in own]
    return nearest(name, others)


def _is_slip(name: str, near: str) -> bool:
    if sorted(name) == sorted(near):
        return True
    return difflib.SequenceMatcher(None, name, near).ratio() >= _SLIP
