"""Define the result of a conversion, and write its YAML. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from ci.documents.source import Source, read
from ci.errors import CaseError, Problem, UserError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# What `tool: vllm_bench` sends: INPUT_TOKENS of ci/tools/vllm_bench.py.
_PROMPT_TOKENS = 128
_REQUESTS = {"vllm": "vllm_api_general_stream", "openai": "vllm_api_general_stream"}


@dataclass(frozen=True)
class Converted:
    """A case file's text, and what of the original it lacks, one line for each."""

    text: str
    lost: tuple[str, ...]


@dataclass(frozen=True)
class Load:
    """One performance benchmark: lengths in tokens, number and concurrency of requests."""

    name: str
    prompt: int
    output: int
    prompts: int
    concurrency: int
    rate: float = 0
    backend: str = "vllm"
    more: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """Write the benchmark, without indentation."""
        yield f"{self.name}:"
        yield "  case_type: performance"
        yield "  tool: vllm_bench"
        yield f"  dataset_path: random-in{self.prompt}"
        yield f"  request_conf: {_REQUESTS.get(self.backend, 'vllm_api_stream_chat')}"
        yield f"  num_prompts: {self.prompts}"
        yield f"  max_out_len: {self.output}"
        yield f"  batch_size: {self.concurrency}"
        if self.rate:
            yield f"  request_rate: {self.rate:g}"
        yield from (f"  {line}" for line in self.more)

    def lost(self) -> Iterator[str]:
        """Say what a night does otherwise."""
        if self.prompt != _PROMPT_TOKENS:
            yield f"prompts of {self.prompt} tokens: vllm_bench sends {_PROMPT_TOKENS} tokens"


def document(data: bytes, file: str) -> dict[str, Any]:
    """Read a file of another tool as a mapping, or a list as `tests`.

    Raises:
        UserError: it is neither YAML nor JSON.
    """
    try:
        value: object = json.loads(data)
    except (ValueError, RecursionError) as error:
        if data.lstrip()[:1] in {b"{", b"["}:
            raise _broken(error, file) from None
        source: Source = read(data, file)
        value = source.value
    value = {"tests": value} if isinstance(value, list) else value
    if not isinstance(value, dict):
        raise UserError(f"{file}: expected a mapping of keys to values")
    return value


def _broken(error: Exception, file: str) -> CaseError:
    at = (error.lineno, error.colno) if isinstance(error, json.JSONDecodeError) else (1, 1)
    message = f"not valid JSON: {error.args[0] if error.args else error}; correct it there"
    return CaseError((Problem(file, *at, "", message),))


def scalar(value: object) -> str:
    """Write a value in one line of YAML."""
    text = yaml.safe_dump(value, default_flow_style=True, width=1 << 20, allow_unicode=True)
    return text.strip().removesuffix("...").strip()


def arguments(
    parameters: Mapping[str, Any], without: Sequence[str] = ()
) -> Iterator[tuple[str, ...]]:
    """Write parameters of an engine as flags, each with its values.

    Args:
        parameters: name, with `_` or `-`, → value; "", true and null make a flag alone.
        without: names to leave out, with `-`.
    """
    for key, value in parameters.items():
        name = str(key).replace("_", "-")
        if name in without:
            continue
        if isinstance(value, bool):
            yield (f"--{name}" if value else _off(name),)
        elif value in ("", None):
            yield (f"--{name}",)
        elif isinstance(value, dict):
            yield f"--{name}", json.dumps(value)
        elif isinstance(value, list):
            yield f"--{name}", *map(str, value)
        else:
            yield f"--{name}", str(value)


def _off(name: str) -> str:
    return f"--{name.removeprefix('no-')}" if name.startswith("no-") else f"--no-{name}"


def head(file: str, lost: Sequence[str]) -> str:
    """Write the comment at the top of a converted case."""
    lines = [f"Converted from {file} by `inv case.import`. Check it with `inv check`."]
    if lost:
        lines += ["What the conversion lost:", *(f"- {line}" for line in lost)]
    return "".join(f"# {' '.join(line.split())}\n" for line in lines)
