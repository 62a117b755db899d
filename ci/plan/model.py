"""The Plan: every process, where it runs and with what, the endpoint and the evaluations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci.case.model import Benchmark, Case


@dataclass(frozen=True)
class Process:
    """One server process. `node` is the index in the case's deployment, `host` where it runs."""

    name: str
    node: int
    host: str
    role: Literal["prefill", "decode", "mixed"]
    headless: bool
    argv: tuple[str, ...]
    env: Mapping[str, str]
    port: int
    health_url: str | None


@dataclass(frozen=True)
class Endpoint:
    """Where the evaluations send their requests, and the model name that they ask for."""

    host: str
    port: int
    model: str

    @property
    def url(self) -> str:
        """Base URL without a path."""
        return f"http://{self.host}:{self.port}"


@dataclass(frozen=True)
class Preparation:
    """Something that has to exist on a host first: an environment or a model folder.

    Attributes:
        kind: which recipe makes it: `environment` or `model`.
        path: the folder that it makes; complete when it holds `.lamplighter.json` whose
            `fingerprint` is this one.
        spec: the recipe's JSON input.
    """

    name: str
    host: str
    kind: Literal["environment", "model"]
    path: str
    fingerprint: str
    spec: Mapping[str, object]


@dataclass(frozen=True)
class Dataset:
    """A benchmark's questions. `path` is the folder on the controller, None where not found."""

    name: str
    path: str | None
    form: str
    items: int


@dataclass(frozen=True)
class Evaluation:
    """One benchmark of the case and how it is run.

    Attributes:
        benchmark: the case's entry.
        dataset: what it asks.
        host: where its tool runs.
        bin: folder of the tool's executables; empty leaves them to the host's PATH.
        tokenizer: the served model's tokenizer: a folder, or a name.
        argv: the tool's command line, `<run>` standing for the run's own folder.
    """

    benchmark: Benchmark
    dataset: Dataset
    host: str
    bin: str
    tokenizer: str
    argv: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """Everything a night will do, in order. Deterministic: the same input gives the same plan."""

    case: Case
    hosts: tuple[str, ...]
    workspace: str
    preparations: tuple[Preparation, ...]
    processes: tuple[Process, ...]
    endpoint: Endpoint
    evaluations: tuple[Evaluation, ...]
