"""Read the options that one version of `vllm serve` has, and a command line by them. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci.vllm.command_line import long_name
from ci.vllm.programs import own_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_FLAG = re.compile(r"--?[A-Za-z][\w.+-]*")
_LINE = re.compile(r"(?P<names>-[^=]*?)(?: =(?P<many>[?*+]?)(?P<values>\S+))?")
_NO_LIMIT = 1_000_000


@dataclass(frozen=True)
class Option:
    """An option of `vllm serve`.

    Attributes:
        least: number of values that it needs.
        most: number of values that it takes; 0 for a switch.
        values: `int`, `float` or `text`, or its choices, separated by `|`; empty for a switch.
    """

    least: int
    most: int
    values: str

    @property
    def choices(self) -> list[str]:
        """Return the values that it takes; empty if it takes any of a type."""
        return [] if self.values in {"", "int", "float", "text"} else self.values.split("|")


@dataclass(frozen=True)
class Given:
    """An option of a command line.

    Attributes:
        written: the option as written, without a value after `=`.
        name: its normal spelling; empty for the words before the first option.
        option: what it takes; None if this version has no such option.
        values: its values.
        inline: whether the value is after `=`.
        stray: the words after it that are not its values.
    """

    written: str
    name: str
    option: Option | None
    values: tuple[str, ...]
    inline: bool
    stray: tuple[str, ...]


def options_of(text: str) -> dict[str, Option]:
    """Parse the output of `ci/vllm/capture_flags.py`: each spelling → the option."""
    options: dict[str, Option] = {}
    for line in text.splitlines():
        if not (match := _LINE.fullmatch(line)):
            raise ValueError(f"not a line of captured flags: {line!r}")
        many, values = match["many"] or "", match["values"] or ""
        most = (_NO_LIMIT if many in {"+", "*"} else 1) if values else 0
        option = Option(1 if values and many in {"", "+"} else 0, most, values)
        options |= dict.fromkeys(match["names"].split(), option)
    return options


def arguments(argv: Sequence[str]) -> Sequence[str] | None:
    """Return what follows `vllm serve` or vLLM's module; None if another program is started."""
    words = own_words(argv)
    name = words[0].rpartition("/")[2] if words else ""
    if name == "vllm" and list(words[1:2]) == ["serve"]:
        return words[2:]
    if name.startswith("python") and list(words[1:2]) == ["-m"]:
        return words[3:] if "".join(words[2:3]).startswith("vllm.entrypoints.") else None
    return None


def given(words: Sequence[str], options: Mapping[str, Option]) -> Iterator[Given]:
    """Split a command line's arguments as vLLM's parser does.

    Args:
        words: as returned by `arguments`.
        options: spelling → option.
    """
    written, inline, own = "", False, []
    for word in [*words, "--"]:
        flag, equals, value = word.partition("=")
        if level := re.fullmatch(r"-O(\w+)", word):
            flag, equals, value = "-O", "=", level[1]
        if not _FLAG.fullmatch(flag) and word != "--":
            own.append(word)
            continue
        option = find(written, options)
        most = 1 if inline else option.most if option else _NO_LIMIT if written else 0
        name = _plain(written)
        yield Given(written, name, option, tuple(own[:most]), inline, tuple(own[most:]))
        written, inline, own = flag, bool(equals), [value] if equals else []


def rejoined(
    argv: Sequence[str], options: Mapping[str, Option]
) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """Join flags that a space splits, as in `--tensor -parallel-size 8`.

    Args:
        argv: the command line.
        options: spelling → option.

    Returns:
        The command line with the whole flags, and of each its first part and the whole.
    """
    words, splits = list(argv[:1]), []
    for word in argv[1:]:
        whole = _whole(words[-1], word.partition("=")[0], options)
        if whole:
            splits.append((words[-1], whole))
            words[-1] = whole + word[len(word.partition("=")[0]) :]
        else:
            words.append(word)
    return tuple(words), tuple(splits)


def _whole(first: str, rest: str, options: Mapping[str, Option]) -> str | None:
    """Return the flag that two words are the parts of; None if they are not."""
    if not re.fullmatch(r"-(-[\w-]*)?", first) or _plain(first) in options:
        return None
    if not re.fullmatch(r"[\w-]*[A-Za-z][\w-]*", rest) or rest.startswith("--"):
        return None
    joints = ("", "-") if first.strip("-") else ("", "-" * (2 - len(first)))
    return next((flag for joint in joints if _plain(flag := first + joint + rest) in options), None)


def apart(word: str) -> tuple[str, ...]:
    """Return what to write for one word with a flag and a space in it; () for other words."""
    match = re.fullmatch(r"(--?)(\s*)([A-Za-z][\w.-]*):?(?:\s+(.*))?", word.strip(), re.DOTALL)
    if match is None or not re.search(r"\s", word.partition("=")[0]):
        return ()
    dashes, space, name, rest = match.groups()
    if rest and not space and re.match(r"-[A-Za-z]", rest):
        return (f"--{name}{rest}",)
    return (f"{'--' if space else dashes}{name}", *([rest] if rest else []))


def any_of(versions: Iterable[Mapping[str, Option]]) -> Mapping[str, Option]:
    """Return every option of every version; its values are those that any version takes.

    Args:
        versions: the options of each, newest first.
    """
    merged: dict[str, Option] = {}
    for options in reversed(list(versions)):
        for name, option in options.items():
            merged[name] = _either(merged[name], option) if name in merged else option
    return merged


def _either(one: Option, other: Option) -> Option:
    if one.choices and other.choices:
        values = "|".join(dict.fromkeys([*one.choices, *other.choices]))
    else:
        # Early versions read some whole numbers with a parser of their own.
        newer = one.values == "text" and other.values == "int"
        values = other.values if newer or one.values == other.values else "text"
    return Option(min(one.least, other.least), max(one.most, other.most), values)


def find(written: str, options: Mapping[str, Option]) -> Option | None:
    """Return the option of a spelling; vLLM also accepts the beginning of a long one."""
    name = _plain(written)
    if name == "-O":  # of the optimization level since 0.12.0, of --compilation-config before
        return options.get("--optimization-level") or options.get(name)
    if name in options or not name.startswith("--"):
        return options.get(name)
    begun = {id(option): option for key, option in options.items() if key.startswith(name)}
    return next(iter(begun.values())) if len(begun) == 1 else None


def _plain(written: str) -> str:
    """Return the normal spelling of `--max_model_len`, `--x-config.key`, `--x-config.list+`."""
    return long_name(written.partition(".")[0])
