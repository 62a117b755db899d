"""Find out what a run served: the model and its quantization. Reads the run's plan.json."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ci.documents.json_text import read_json
from ci.history.conditions import short_name
from ci.history.hosts import mapping
from ci.history.surroundings import MAX_BYTES, PLAN, options_in
from ci.record.below import read_below

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_FLAGS = ("--quantization", "-q")
# In the names of weights, e.g. `Qwen3-235B-W8A8`, `DeepSeek-R1-0528-w4a8`, `Qwen3-8B-AWQ`.
_IN_NAME = re.compile(
    r"(?<![A-Za-z0-9])"
    r"(w\d{1,2}a\d{1,2}(?:c\d{1,2}|kv\d{1,2})?|fp8|mxfp[48]|nvfp4|int[48]|awq|gptq|gguf|bnb|4bit|8bit)"
    r"(?![A-Za-z0-9])",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Served:
    """What a run served.

    Attributes:
        model: name of the model, without folders of the machine; empty if unknown.
        quantization: in lower case; empty if neither a flag nor the model's name tells of one.
        vllm: the version of vLLM that was asked for; empty for the hosts' own.
    """

    model: str = ""
    quantization: str = ""
    vllm: str = ""


def served_in(folder: Path) -> Served:
    """Read from a run's plan what it served; nothing is known if the plan cannot be read."""
    try:
        plan = mapping(read_json(read_below(folder, PLAN, MAX_BYTES).decode("utf-8")))
    except (OSError, ValueError):
        return Served()
    return served_of(plan)


def served_of(plan: Mapping[str, Any]) -> Served:
    """Return what a plan serves."""
    case = mapping(plan.get("case"))
    model, vllm = case.get("model"), case.get("vllm")
    model = short_name(model) if isinstance(model, str) else ""
    if not isinstance(vllm, str):  # of the command line, it is in the plan's environments
        prepared = plan.get("preparations")
        listed = map(mapping, prepared if isinstance(prepared, list) else ())
        versions = (each.get("vllm") for each in listed)
        vllm = next((each for each in versions if each and isinstance(each, str)), "")
    servers = plan.get("servers")
    for server in servers if isinstance(servers, list) else ():
        argv = mapping(server).get("argv")
        options = options_in([str(word) for word in argv]) if isinstance(argv, list) else {}
        for flag in _FLAGS:
            if options.get(flag):
                return Served(model, _method(options[flag], model), vllm)
    return Served(model, _in_name(model), vllm)


def _method(flag: str, model: str) -> str:
    """Return a quantization; `ascend` is a method with many widths, which the name tells."""
    named = _in_name(model)
    return named if flag.lower() == "ascend" and named else flag.lower()


def _in_name(model: str) -> str:
    found = _IN_NAME.search(model)
    return found[1].lower() if found else ""
