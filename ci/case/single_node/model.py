"""What a `single_node` file may hold: its models, key by key. Pure."""

from __future__ import annotations

import shlex
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from ci.case.benchmark import Entry
from ci.case.kv_pool import KvPool
from ci.case.model import Device
from ci.case.options import Json, Texts, as_json
from ci.documents.strict import Strict
from ci.documents.values import BenchmarkName, Text, Version, defect, shaped
from ci.documents.wording import found

# Where the field's runner takes any port that is free, these are taken, or the next ones.
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
    """Check that these are one mapping, or a list of them."""
    for one in value if isinstance(value, list) else [value]:
        if not isinstance(one, dict):
            raise defect(f"expected a mapping of keys to values, found {found(one)}")
        as_json(one)
    return value


# One for all prompts, or a list of one for each, which `messages` alone knows.
Arguments = Annotated[Any, AfterValidator(_arguments)]


class ComparisonEntry(Strict):
    """One entry of `benchmark_comparisons_args`."""

    metric: Metric = "TTFT"
    baseline: str = Field(description="it names the benchmark to compare with")
    target: str = Field(description="it names the benchmark to compare")
    # Outside of it no figure of a sound night fails, or none passes.
    ratio: float = Field(default=1.0, ge=0.01, le=100)
    operator: Literal["<", "<=", ">", ">="] = "<"


# The field's own runner waits so long.
READY_S = 2800.0


def _words(value: object) -> object:
    try:
        return shlex.split(value) if isinstance(value, str) else value
    except ValueError as error:
        raise defect(f"not a command line: {str(error).lower()}; close every quote") from error


def _without_open_ports(value: object) -> object:
    """Leave out ports without a value: they are chosen like those that are not there."""
    if not isinstance(value, dict):
        return value
    return {key: one for key, one in value.items() if one is not None or key not in PORTS}


Words = Annotated[
    list[Text],
    BeforeValidator(_words),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {"type": "array", "items": {"type": ["string", "number", "boolean"]}},
            ]
        }
    ),
]


# Not only what a shell could set: files of the field have `VLLM-ASCEND_…`, which starts as it is.
EnvName = Annotated[str, shaped(r"[^\s=\x00]+", "cannot name an environment variable")]


Envs = Annotated[dict[EnvName, Text], BeforeValidator(_without_open_ports)]


# It names the case among those of the file, and its runs.
Name = Annotated[
    str,
    Field(max_length=150),
    shaped(r"(?s).*[^\W_].*", "cannot name a case; use letters, digits, '-', '_'"),
]


class TestCase(Strict):
    """One entry of `test_cases`."""

    __test__ = False  # or pytest takes it for tests

    name: Name = Field(description="it names the case")
    model: str = Field(min_length=1, description="it is the model that is served")
    vllm: Version | None = None
    device: Device | None = None
    ready_timeout_s: float = Field(default=READY_S, gt=0)
    envs: Envs | None = None
    special_dependencies: dict[str, Text] | None = None
    service_mode: Literal["openai", "epd"] = "openai"
    server_cmd: Words | None = None
    server_cmd_extra: Words | None = None
    epd_server_cmds: list[Words] | None = None
    epd_proxy_args: Words | None = None
    kv_pool: KvPool | None = None
    test_content: list[Kind] | None = None
    prompts: Texts | None = None
    api_keyword_args: Arguments | None = None
    mm_request: Json | None = None
    expected_response: Json | None = None
    benchmarks: dict[BenchmarkName, Entry | None] | None = None
    benchmark_comparisons_args: list[ComparisonEntry] | None = None


class SingleNode(Strict):
    """A case file of this dialect."""

    test_cases: list[TestCase] = Field(min_length=1, description="it lists the test cases")
