"""Define the keys and types of a `single_node` file. Pure."""

from __future__ import annotations

import shlex
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from ci.case.benchmark import Entry
from ci.case.env_script import EnvScripts
from ci.case.judging import Judging
from ci.case.kv_pool import KvPool
from ci.case.metric_entry import Metrics
from ci.case.model import Device
from ci.case.options import Json, Texts, as_json
from ci.case.requirements import Requirements
from ci.case.shell import of_words, refuse_operators, understand
from ci.case.telemetry import TelemetryKey
from ci.documents.messages import describe
from ci.documents.strict import Strict
from ci.documents.values import BenchmarkName, Env, Tag, Text, Version, invalid, shaped

# vllm-ascend's runner chooses any free port; here it is the first free one from these numbers.
PORTS = {"SERVER_PORT": 8000, "ENCODE_PORT": 8001, "PD_PORT": 8002, "PROXY_PORT": 8003}


Kind = Literal[
    "completion",
    "chat_completion",
    "image",
    "messages",
    "check_rank0_process_count",
    "benchmark_comparisons",
]
Metric = Literal["TTFT", "TPOT", "ITL", "E2EL", "Output Token Throughput", "Request Throughput"]


def _arguments(value: object) -> object:
    """Check for one mapping, or a list of mappings."""
    for item in value if isinstance(value, list) else [value]:
        if not isinstance(item, dict):
            raise invalid(f"expected a mapping of keys to values, found {describe(item)}")
        as_json(item)
    return value


# One mapping for all prompts; or a list with one for each, for `chat_completion` and `messages`.
Arguments = Annotated[Any, AfterValidator(_arguments)]


class MmRequest(Strict):
    """A chat about pictures, as vllm-ascend's `tools/send_mm_request.py` reads it."""

    images: list[str | None] | None = None
    image_path: str | None = None
    text_prompt: str = "What is the content of this image?"
    messages: list[Json] | None = None
    api_args: Json | None = None


class ExpectedAnswer(Strict):
    """What one answer has to be."""

    status_code: int = Field(default=200, ge=100, le=599)
    assert_not_empty: bool = True
    content_contains: Texts | None = None
    min_length: int | None = Field(default=None, ge=0)
    max_length: int | None = Field(default=None, ge=0)
    prompt_tokens: int | None = Field(default=None, ge=0)
    completion_tokens: int | None = Field(default=None, ge=0)
    max_model_len: int | None = Field(default=None, gt=0)


class ExpectedResponse(ExpectedAnswer):
    """The value of `expected_response`."""

    per_prompt: list[ExpectedAnswer] | None = None


class ComparisonEntry(Strict):
    """One entry of `benchmark_comparisons_args`."""

    metric: Metric = "TTFT"
    baseline: str = Field(description="it names the benchmark to compare with")
    target: str = Field(description="it names the benchmark to compare")
    # Outside of it no figure of a sound night fails, or none passes.
    ratio: float = Field(default=1.0, ge=0.01, le=100)
    operator: Literal["<", "<=", ">", ">="] = "<"


# As in vllm-ascend's own runner.
READY_S = 2800.0


def _words(value: object) -> object:
    try:
        return shlex.split(value) if isinstance(value, str) else value
    except ValueError as error:
        raise invalid(f"not a command line: {str(error).lower()}; close every quote") from error


def _without_open_ports(value: object) -> object:
    """Drop ports without a value: they are chosen like ports that are not in the file."""
    if not isinstance(value, dict):
        return value
    return {key: item for key, item in value.items() if item is not None or key not in PORTS}


_WORDS = WithJsonSchema(
    {
        "anyOf": [
            {"type": "string"},
            {"type": "array", "items": {"type": ["string", "number", "boolean"]}},
        ]
    }
)
Words = Annotated[list[Text], BeforeValidator(_words), _WORDS]


Envs = Annotated[Env, BeforeValidator(_without_open_ports)]


# The name of the case in the file, and of its runs.
Name = Annotated[
    str,
    Field(max_length=150),
    shaped(r"(?s).*[^\W_].*", "cannot name a case; use letters, digits, '-', '_'"),
]


def _server_words(value: object) -> object:
    """Understand a whole command line; arguments alone stay what they are."""
    words = value if isinstance(value, list) else []
    text = of_words(words) if all(isinstance(word, str) for word in words) and words else value
    if not isinstance(text, str):
        return value
    try:
        if text.lstrip()[:1] in {"", "-", "$"}:
            refuse_operators(text)
            return _words(value)
        started = understand(text)
    except ValueError as error:
        raise invalid(str(error)) from error
    sourced = [word for script in started.env_script for word in ("source", script, "&&")]
    return [*sourced, *started.argv]


ServerWords = Annotated[list[Text], BeforeValidator(_server_words), _WORDS]


class TestCase(Strict):
    """One entry of `test_cases`."""

    __test__ = False  # otherwise pytest collects the class

    name: Name = Field(description="it names the case")
    model: str = Field(min_length=1, description="it is the model that is served")
    vllm: Version | None = None
    functional: str | None = Field(default=None, min_length=1)
    telemetry: TelemetryKey | None = None
    startup: Metrics | None = None
    judge: Judging | None = None
    device: Device | None = None
    ready_timeout_s: float = Field(default=READY_S, gt=0)
    envs: Envs | None = None
    tags: list[Tag] | None = None
    special_dependencies: Requirements | None = None
    service_mode: Literal["openai", "epd"] = "openai"
    env_script: EnvScripts | None = None
    server_cmd: ServerWords | None = None
    server_cmd_extra: Words | None = None
    epd_server_cmds: list[Words] | None = None
    epd_proxy_args: Words | None = None
    kv_pool: KvPool | None = None
    test_content: list[Kind] | None = None
    prompts: Texts | None = None
    api_keyword_args: Arguments | None = None
    mm_request: MmRequest | None = None
    expected_response: ExpectedResponse | None = None
    benchmarks: dict[BenchmarkName, Entry] | None = None
    benchmark_comparisons_args: list[ComparisonEntry] | None = None


class SingleNode(Strict):
    """A case file of this dialect."""

    test_cases: list[TestCase] = Field(min_length=1, description="it lists the test cases")
