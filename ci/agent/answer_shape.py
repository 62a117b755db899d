"""The shape of a host's answers and events, checked before anything reads them. Pure.

Nothing else checks them, so fields that are not listed here are not read.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from ci.agent.facts_shape import Facts, Flag, Machine, Text, Whole
from ci.remote.names import is_name

# A host keeps the state of runs until `inv down`; no night leaves more rows than this.
MAX_ROWS = 20_000
MAX_WHY_CHARS = 200


def _named(text: str) -> str:
    if not is_name(text):
        raise ValueError(f"expected the name of a run or a process, got {text[:100]!r}")
    return text


Name = Annotated[Text, AfterValidator(_named)]


class _Loose(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _Http(_Loose):
    status: Whole | None
    error: Text
    body: Annotated[str, Field(strict=True)]
    untrusted: Text = ""


class _State(_Loose):
    state: Text
    exit_code: Annotated[int, Field(strict=True)] | None = None
    signal: Whole | None = None
    started_at: Text | None = None
    ended_at: Text | None = None
    pid: Whole | None = None
    survivors: list[Whole] = []
    killed: Whole = 0
    escalated: Flag = False
    complete: Flag = False


class _Row(_State):
    run: Name
    process: Name
    owner: Text | None = None
    alive: Flag
    folder: Text


class _Holder(_Loose):
    run: Text | None = None
    owner: Text | None = None
    process: Text | None = None
    pid: Whole | None = None
    since: Text | None = None


class _Runs(_Loose):
    holder: _Holder | None
    processes: Annotated[list[_Row], Field(max_length=MAX_ROWS)]


class _Digest(_Loose):
    size: Whole | None
    sha256: Text


class _Sizes(_Loose):
    free: Whole
    files: list[tuple[Whole | None, Whole | None]]


class _Program(_Loose):
    path: Text
    machine: Machine
    system: Text


class _Opened(_Loose):
    ports: list[Annotated[Whole, Field(le=65535)]]
    greeting: Text


class _Memory(_Loose):
    kills: dict[Text, int | None]
    killed: list[Text] | None
    available: Whole | None
    total: Whole | None


class _Sourced(_Loose):
    env: dict[Text, Annotated[str, Field(strict=True)] | None] | None = None
    script: Text = ""
    problem: Text = ""
    output: Text = ""


class _Reached(_Loose):
    outcome: Literal["ok", "refused", "timed_out", "unreachable", "other"]
    detail: Text


class _Refused(_Loose):
    kind: Text = ""
    error: Text = ""
    holder: _Holder | None = None


class _StateEvent(_Loose):
    folder: Text
    state: _State


class _CheckEvent(_Loose):
    check: Whole
    reply: _Http


class _LogEvent(_Loose):
    follow: Whole
    end: Flag = False


_SHAPES: dict[str, Any] = {
    "accepts": Flag,
    "commit_upload": Text,
    "digest": _Digest,
    "event check": _CheckEvent,
    "event log": _LogEvent,
    "event state": _StateEvent,
    "facts": Facts,
    "forget": Text | None,
    "http": _Http,
    "make_folder": Text,
    "memory": _Memory,
    "open_ports": _Opened,
    "packages": dict[Text, list[Text] | None],
    "program": _Program,
    "reach": list[_Reached],
    "refused": _Refused,
    "runs": _Runs,
    "source": _Sourced,
    "start": _State,
    "stat_files": _Sizes,
    "stop": _State,
    "truncate_part": Text,
}


@cache
def _adapter(name: str) -> TypeAdapter[Any]:
    return TypeAdapter(_SHAPES[name])


def nonsense_in(name: str, value: object) -> str:
    """Return what is malformed in an answer; empty if it is correct.

    Args:
        name: the request, `event` and its kind, or `refused`.
        value: the answer, or the event.
    """
    if name not in _SHAPES:
        return ""
    try:
        _adapter(name).validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"])) or "all of it"
        return f"{field}: {first['msg']}"[:MAX_WHY_CHARS]
    return ""
