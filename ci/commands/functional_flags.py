"""The flags of `inv functional`. Imports what `flags` imports."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from ci.commands.command import flag

if TYPE_CHECKING:
    from ci.commands.functional import FunctionalRequest


@dataclass(frozen=True)
class Functional:
    """The flags that choose an endpoint, cases and outputs."""

    base_url: str = flag("the endpoint, with or without /v1, e.g. http://10.0.0.1:8000")
    model: str = flag("name of the served model; default: the first that the endpoint lists")
    suite: str = flag(
        "suite: a path, or a name in configs/functional; default: "
        "$LAMPLIGHTER_FUNCTIONAL_CONFIG, else openai.yaml"
    )
    filter: str = flag("only cases whose name matches this pattern, or that have this tag")
    probe: bool = flag(
        "find out by requests what the server supports, beside what is declared", default=False
    )
    capabilities: str = flag(
        "what the server supports, with commas, beside the suite's own; also "
        "$LAMPLIGHTER_CAPABILITIES"
    )
    api_key_env: str = flag("environment variable that has the API key")
    ca_file: str = flag("PEM file of the authorities to trust for https")
    compare_with: str = flag(
        "another endpoint, such as a server behind a router: it has to give the same answers"
    )
    dead_base_url: str = flag("an endpoint whose server is dead: its /health must not say 200")
    known: str = flag(
        "file of known deviations, or none; default: that of the served vLLM version in "
        "configs/functional/known"
    )
    fail_fast: bool = flag("stop after the first failed case", default=False)
    repeat: int = flag("run every case so often", 1)
    parallel: int = flag("how many cases run at once", 8)
    timeout: int = flag("seconds for one request", 120)
    output: str = flag("file for the results as JSON")
    junit: str = flag("file for the results as JUnit XML")
    curl: str = flag("print the requests of this case as curl commands; run nothing")
    list: bool = flag("list the cases; run nothing", default=False)
    json: bool = flag("print it as JSON", default=False)

    def request(self) -> FunctionalRequest:
        """Return the request that these flags make."""
        from ci.commands.functional import FunctionalRequest  # noqa: PLC0415 - after listing

        return FunctionalRequest(**{item.name: getattr(self, item.name) for item in fields(self)})
