"""Read the rules about failures: configs/failures.yaml, and the operator's own file."""

from __future__ import annotations

import os
import re
from functools import cache, cached_property
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from ci.documents import config_file
from ci.documents.strict import Strict
from ci.documents.values import invalid, shaped
from ci.paths import CONFIGS, at_home_here

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FILE = CONFIGS / "failures.yaml"
OWN_FILE = "LAMPLIGHTER_FAILURES"
Side = Literal["environment", "configuration", "product", "tool"]
Rank = Literal["cause", "error", "peer", "general", "consequence"]
Reads = Literal["line", "lines", "frames"]
# Known for every log, besides the groups of a rule's own patterns.
FACTS = frozenset({"model", "port", "device", "advice", "flags"})
# `(a+)+` needs exponential time for some lines.
_REPEAT_IN_REPEAT = re.compile(
    r"(?<!\\)\((?:[^()\\]|\\.)*(?:[*+]|\{\d*,\d*\})(?:[^()\\]|\\.)*\)[*+{]"
)
# In `[^\n]` a line end is what does not match.
_NEGATED = re.compile(r"\[\^[^\]]*\]")
_PLACE = re.compile(r"\{(\w+)\}")


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise invalid(f"{value!r} is not a regular expression: {error}") from error
    if _REPEAT_IN_REPEAT.search(value):
        raise invalid(f"{value!r} repeats a group that repeats; a log line could make it hang")
    if re.search(value, ""):
        raise invalid(f"{value!r} matches an empty line; name some text of the log")
    return value


def _reads(pattern: str) -> Reads:
    if pattern.startswith('File "'):
        return "frames"
    return "lines" if r"\n" in _NEGATED.sub("", pattern) else "line"


class Rule(Strict):
    """One entry of `failures`: patterns, and what a line that matches means.

    `{name}` in `cause` and `next` is the group of that name of the pattern.
    """

    class_: Annotated[str, shaped(r"[a-z][a-z0-9_]*", "is not a class; write e.g. disk_full")] = (
        Field(alias="class")
    )
    side: Side
    patterns: list[Annotated[str, AfterValidator(_pattern)]] = Field(min_length=1)
    cause: str = Field(min_length=1)
    next: str = Field(min_length=1)
    rank: Rank = "cause"
    only_at_start: bool = False

    @model_validator(mode="after")
    def _names_groups(self) -> Rule:
        groups = {name for pattern in self.patterns for name in re.compile(pattern).groupindex}
        for name in _PLACE.findall(self.cause + self.next):
            if name not in groups | FACTS:
                raise invalid(f"{{{name}}} is not a group of its patterns; write (?P<{name}>…)")
        return self

    @cached_property
    def compiled(self) -> Sequence[tuple[re.Pattern[str], Reads]]:
        """The patterns, each with what it reads: a line, several, or a traceback's frames."""
        return [(re.compile(pattern, re.MULTILINE), _reads(pattern)) for pattern in self.patterns]

    def filled(self, text: str, words: dict[str, str]) -> str:
        """Put words into `cause` or `next`; a word that is not known leaves nothing behind."""
        return " ".join(_PLACE.sub(lambda place: words.get(place[1], ""), text).split()).rstrip(":")


class _Failures(Strict):
    failures: dict[str, Rule] = Field(description="it maps each rule's name to the rule")


def load(path: Path) -> dict[str, Rule]:
    """Read a file of rules.

    Raises:
        CaseError: the file is not valid; has all problems found.
        UserError: the file cannot be read.
    """
    return config_file.load(path, _Failures, {"failures.*": Rule}).failures


def rules() -> tuple[Rule, ...]:
    """Return the operator's rules and then the project's; raises as `load` does."""
    return _rules(os.environ.get(OWN_FILE, ""))


def own_rules() -> dict[str, Rule]:
    """Read the operator's file; empty without one. Raises as `load` does."""
    own_file = os.environ.get(OWN_FILE, "")
    return load(at_home_here(own_file)) if own_file else {}


@cache
def _rules(_: str) -> tuple[Rule, ...]:
    own = own_rules()
    return tuple(
        {**own, **{name: rule for name, rule in load(FILE).items() if name not in own}}.values()
    )
