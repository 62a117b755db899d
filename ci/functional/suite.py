"""The model of a functional suite's file. Pure."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from ci.documents.strict import Strict

Kind = Literal[
    "chat",
    "completions",
    "responses",
    "embeddings",
    "tokenize",
    "detokenize",
    "models",
    "health",
    "metrics",
    "version",
]
Scenario = Literal[
    "concurrent",
    "overlapping",
    "unbuffered",
    "hang_up",
    "unauthorized",
    "counted",
    "dead",
    "openai_client",
]


def _listed(value: Any) -> Any:  # noqa: ANN401 - any value of YAML
    """Return a value as a list of it, and a list as it is."""
    return value if value is None or isinstance(value, list) else [value]


def _plural(value: Any) -> Any:  # noqa: ANN401 - any value of YAML
    """Return `completions` for `completion`, as the field's runner does."""
    return "completions" if value == "completion" else value


class Range(Strict):
    """A number's bounds; both ends are allowed."""

    min: int | None = Field(default=None, description="smallest value")
    max: int | None = Field(default=None, description="largest value")


def _range(value: Any) -> Any:  # noqa: ANN401 - any value of YAML
    """Return a number as the range of this number alone."""
    exact = isinstance(value, int) and not isinstance(value, bool)
    return {"min": value, "max": value} if exact else value


def _schema(one: dict[str, Any], several: dict[str, Any]) -> WithJsonSchema:
    """Describe to editors what a value may be beside a list."""
    return WithJsonSchema({"anyOf": [one, several]})


_TEXT, _NUMBER, _MAP = {"type": "string"}, {"type": "integer"}, {"type": "object"}
_LISTED = BeforeValidator(_listed)
Texts = Annotated[list[str], _LISTED, _schema(_TEXT, {"type": "array", "items": _TEXT})]
Statuses = Annotated[list[int], _LISTED, _schema(_NUMBER, {"type": "array", "items": _NUMBER})]
Variants = Annotated[list[dict[str, Any]], _LISTED, _schema(_MAP, {"type": "array", "items": _MAP})]
Values = Annotated[list[Any], _LISTED, WithJsonSchema({})]
Number = Annotated[
    Range,
    BeforeValidator(_range),
    _schema(
        _NUMBER,
        {
            "type": "object",
            "properties": {"min": _NUMBER, "max": _NUMBER},
            "additionalProperties": False,
        },
    ),
]


class Call(Strict):
    """An expected tool call."""

    name: str = Field(description="the function's name")
    arguments: dict[str, Any] | None = Field(
        default=None, description="its arguments, as a mapping"
    )


class Expect(Strict):
    """What a reply has to be. Everything is optional; all that is there has to hold."""

    status: Statuses | None = Field(
        default=None, description="HTTP status; default: 200, with `expect_error` 400, 404 or 422"
    )
    error: str | None = Field(default=None, description="pattern that the error's message contains")
    text: Texts | None = Field(
        default=None,
        description="the whole text of the first choice; a list: one text for each choice",
    )
    text_starts: str | None = Field(default=None, description="how the text begins")
    text_contains: Texts | None = Field(default=None, description="what the text contains")
    text_lacks: Texts | None = Field(default=None, description="what the text does not contain")
    text_matches: str | None = Field(default=None, description="pattern of the whole text")
    parsed: Any = Field(default=None, description="the text is JSON and has this value")
    satisfies: Any = Field(
        default=None,
        description="JSON Schema that the text, as JSON, satisfies; `request`: the request's own; "
        "`object`: any object",
    )
    finish_reason: Texts | None = Field(
        default=None, description="of every choice; a list: one of them"
    )
    stop_reason: Any = Field(default=None, description="the stop string or token that ended it")
    tool_calls: list[Call] | None = Field(default=None, description="exactly these tool calls")
    completion_tokens: Number | None = Field(
        default=None, description="a number, or {min: …, max: …}"
    )
    prompt_tokens: Number | None = Field(default=None, description="a number, or {min: …, max: …}")
    cached_tokens: Number | None = Field(default=None, description="a number, or {min: …, max: …}")
    choices_differ: bool = Field(default=False, description="no two choices have the same text")
    prompt_is_tokenized: bool | None = Field(
        default=None,
        description="the prompt is what /tokenize makes of it; default: of every generation",
    )
    text_is_detokenized: bool = Field(
        default=False, description="the text is what /detokenize makes of the token ids"
    )
    same_as: Variants = Field(
        default=[], description="the same request with these parameters gives the same text"
    )
    differs_from: Variants = Field(
        default=[], description="the same request with these parameters gives another text"
    )
    repeats: int = Field(
        default=1, ge=1, description="the request, sent so often, gives the same text"
    )
    body: dict[str, Any] = Field(
        default={}, description="keys and values that the JSON body contains"
    )


class SuiteEntry(Strict):
    """What cases, matrices and negative entries have in common."""

    description: str = Field(default="", description="what the case proves")
    tags: list[str] = Field(default=[], description="words to choose cases by")
    messages: list[dict[str, Any]] | None = Field(default=None, description="of a chat")
    prompt: Any = Field(default=None, description="of a completion")
    input: Any = Field(default=None, description="of a response or of embeddings")
    required_capabilities: list[str] = Field(
        default=[], description="what the server has to support; see `capabilities`"
    )
    skip_if_unsupported: bool = Field(
        default=True,
        description="skip the case if a required capability is not declared, and count it apart",
    )
    expect_error: bool = Field(default=False, description="the request has to be refused")
    expect: Expect = Field(default=Expect(), description="what the reply has to be")
    force: str | None = Field(
        default=None,
        description="text that the server has to generate: sets `structured_outputs.choice`, and "
        "expects this text",
    )
    stream: Literal["both", True, False] | None = Field(
        default=None, description="ask for a body, a stream, or both, which then have to agree"
    )
    scenario: Scenario | None = Field(
        default=None, description="several requests that belong together"
    )
    count: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        default=None, description="how many requests the scenario sends"
    )
    alone: bool = Field(default=False, description="run while no other case runs")
    method: str | None = Field(default=None, description="HTTP method; default: that of the type")
    path: str | None = Field(
        default=None, description="path from the root; default: that of the type"
    )
    raw: str | None = Field(default=None, description="bytes of the body, sent as they are")
    key: Literal["right", "none", "wrong"] = Field(
        default="right", description="which API key goes with the request"
    )
    headers: dict[str, str] = Field(default={}, description="further HTTP headers")


class CaseEntry(SuiteEntry):
    """One case."""

    id: str = Field(min_length=1, description="name of the case, unique in the file")
    type: Annotated[Kind, BeforeValidator(_plural)] = Field(description="which API")
    params: dict[str, Any] = Field(default={}, description="further keys of the request's body")


class MatrixEntry(SuiteEntry):
    """One case for each combination of parameters."""

    id_prefix: str = Field(min_length=1, description="beginning of the cases' names")
    params: dict[str, Any] = Field(default={}, description="keys of the body that all cases have")
    params_grid: dict[str, Values] = Field(
        min_length=1, description="parameter → its values; every combination is a case"
    )


class NegativeEntry(SuiteEntry):
    """One case for each set of parameters; each has to be refused."""

    id_prefix: str = Field(min_length=1, description="beginning of the cases' names")
    params: dict[str, Any] = Field(default={}, description="keys of the body that all cases have")
    params_list: list[dict[str, Any]] = Field(
        min_length=1, description="each entry is one case: further keys of the body"
    )
    expect_error: bool = Field(default=True, description="the request has to be refused")


class Metrics(Strict):
    """What is pushed of the functional cases."""

    per_case: bool = Field(default=False, description="push one value per case")


class SuiteFile(Strict):
    """A functional suite."""

    enabled: bool = Field(default=True, description="false: run nothing of this file")
    suite: bool = Field(default=True, description="false: run no case, only the smoke test")
    functional_metrics: Metrics = Field(
        default=Metrics(), description="what is pushed of the cases"
    )
    capabilities: list[str] = Field(default=[], description="what the server supports")
    defaults: dict[Literal["params", "stream"], Any] = Field(
        default={}, description="`params` and `stream` of every case that does not set them"
    )
    cases: list[CaseEntry] = Field(default=[], description="single cases")
    matrices: dict[Kind, list[MatrixEntry]] = Field(
        default={}, description="type → entries whose `params_grid` is multiplied out"
    )
    negative: dict[Kind, list[NegativeEntry]] = Field(
        default={}, description="type → entries that have to be refused"
    )


# The first pattern that matches counts, and `*` matches dots too: the inner ones come first.
SECTIONS: dict[str, type[Strict]] = {
    "": SuiteFile,
    "cases.*.expect.tool_calls.*": Call,
    "cases.*.expect.*_tokens": Range,
    "cases.*.expect": Expect,
    "matrices.*.*.expect": Expect,
    "negative.*.*.expect": Expect,
    "functional_metrics": Metrics,
    "defaults": SuiteFile,
    "cases.*": CaseEntry,
    "matrices.*.*": MatrixEntry,
    "negative.*.*": NegativeEntry,
}
