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

_WITH_LENGTHS = ("", "prefix_repetition")
_REQUESTS = {"vllm": "vllm_api_general_stream", "openai": "vllm_api_general_stream"}


@dataclass(frozen=True)
class Converted:
    """A case file's text, and what of the original it lacks, one line for each."""

    text: str
    lost: tuple[str, ...]


@dataclass(frozen=True)
class Load:
    """One performance benchmark: lengths in tokens, number and concurrency of requests.

    Attributes:
        kind: a dataset_conf of vllm_bench; random for an empty one.
        more: further lines of the benchmark.
    """

    name: str
    prompt: int
    output: int
    prompts: int
    concurrency: int
    rate: float = 0
    backend: str = "vllm"
    kind: str = ""
    more: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """Write the benchmark, without indentation."""
        yield f"{self.name}:"
        yield "  case_type: performance"
        yield "  tool: vllm_bench"
        yield f"  dataset_path: {self.kind or 'random'}"
        yield from [f"  dataset_conf: {self.kind}"] if self.kind else []
        yield from [f"  input_len: {self.prompt}"] if self.kind in _WITH_LENGTHS else []
        yield f"  request_conf: {_REQUESTS.get(self.backend, 'vllm_api_stream_chat')}"
        yield f"  num_prompts: {self.prompts}"
        yield f"  max_out_len: {self.output}"
        yield f"  batch_size: {self.concurrency}"
        if self.rate:
            yield f"  request_rate: {self.rate:g}"
        yield from (f"  {line}" for line in self.more)


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
    text = yaml.safe_dump(
        value, default_flow_style=True, width=1 << 20, allow_unicode=True, sort_keys=False
    )
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
        first, dot, rest = str(key).partition(".")
        name = first.replace("_", "-") + dot + rest  # the rest is a key of JSON
        if name in without:
            continue
        if dot and isinstance(value, bool):
            yield f"--{name}", json.dumps(value)
        elif isinstance(value, bool):
            yield (f"--{name}" if value else _off(name),)
        elif value in ("", None):
            yield (f"--{name}",)
        elif isinstance(value, dict):
            yield f"--{name}", json.dumps(value)
        elif isinstance(value, list):
            yield f"--{name}", *map(str, value)
        else:
            yield f"--{name}", _unquoted(str(value))


def _unquoted(text: str) -> str:
    """Remove the quotes that are only for a shell: `'{"image": 3}'`."""
    inner = text[1:-1]
    return inner if text[:1] == text[-1:] == "'" and "'" not in inner else text


def _off(name: str) -> str:
    return f"--{name.removeprefix('no-')}" if name.startswith("no-") else f"--no-{name}"


def head(file: str, lost: Sequence[str]) -> str:
    """Write the comment at the top of a converted case."""
    lines = [f"Converted from {file} by `inv case.import`. Check it with `inv check`."]
    if lost:
        lines += ["What the conversion lost:", *(f"- {line}" for line in lost)]
    return "".join(f"# {' '.join(line.split())}\n" for line in lines)
