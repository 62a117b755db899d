"""Convert vLLM's serving-tests.json to a file with test cases. Pure.

Each entry starts a server and sends it `vllm bench serve` for every request rate and concurrency:
https://github.com/vllm-project/vllm/tree/main/.buildkite/performance-benchmarks
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ci.case.convert.converted import Converted, Load, arguments, head, scalar
from ci.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Options of `vllm bench serve` that the case has a key or a default for.
_READ = {
    *("model", "backend", "dataset-name", "dataset-path", "num-prompts", "ignore-eos"),
    *("temperature", "top-p", "top-k", "random-input-len", "random-output-len"),
    *("input-len", "output-len", "sharegpt-output-len", "max-concurrency", "request-rate"),
    *("random-prefix-len", "random-range-ratio", "burstiness", "endpoint"),
    *("prefix-repetition-prefix-len", "prefix-repetition-suffix-len"),
    *("prefix-repetition-num-prefixes", "prefix-repetition-output-len"),
}
# Of each kind of dataset: option → key of a benchmark.
_LENGTHS = {
    "random": {"random-prefix-len": "prefix_len", "random-range-ratio": "range_ratio"},
    "sharegpt": {},
    "prefix_repetition": {
        "prefix-repetition-prefix-len": "prefix_len",
        "prefix-repetition-num-prefixes": "num_prefixes",
    },
}
_SAMPLING = {"temperature": "temperature", "top-p": "top_p", "top-k": "top_k"}
_TEXT = {"vllm", "openai", "openai-chat"}
_PORTS = ("host", "port", "model")
# Defaults of `vllm bench serve`.
_PROMPTS, _INPUT, _OUTPUT = 1000, 1024, 128


def convert(document: Mapping[str, Any], file: str) -> Converted:
    """Convert a file.

    Args:
        document: its content; `tests` and, in later files, `defaults`.
        file: its path.

    Raises:
        UserError: no entry of it serves text.
    """
    defaults = _mapping(document.get("defaults"))
    lost: dict[str, None] = {}
    cases: list[str] = []
    for position, test in enumerate(document.get("tests") or []):
        if "test_name" not in _mapping(test):
            lost[f"entry {position} of tests: not converted, it has no test_name"] = None
            continue
        merged = _merged(defaults, _mapping(test))
        lines, losses = _case(merged)
        cases += lines
        lost |= dict.fromkeys(losses)
    if not cases:
        raise UserError(f"{file}: no entry of it serves text: {'; '.join(lost)}")
    text = head(file, [*lost]) + "test_cases:\n" + "".join(f"{line}\n" for line in cases)
    return Converted(text, tuple(lost))


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _merged(defaults: Mapping[str, Any], test: Mapping[str, Any]) -> dict[str, Any]:
    """Merge an entry into the defaults; parameters by name, in whichever spelling."""
    merged = {**defaults, **test}
    for key in ("server_parameters", "client_parameters", "server_environment_variables"):
        both = [_mapping(defaults.get(key)), _mapping(test.get(key))]
        plain = (lambda name: name) if "environment" in key else _dashed
        merged[key] = {plain(name): value for each in both for name, value in each.items()}
    return merged


def _dashed(name: str) -> str:
    return str(name).replace("_", "-")


def _case(test: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return the lines of a test case, and what is lost; no lines if it serves no text."""
    name = str(test.get("test_name", "serving"))
    server, client = test["server_parameters"], test["client_parameters"]
    if client.get("backend", "vllm") not in _TEXT:
        return [], [f"{name}: not converted, its requests are of {client['backend']}"]
    lost = [f"{name}: --{key}" for key in client if key not in _READ]
    lost += [f"{name}: --{key} of the server" for key in ("host", "port") if key in server]
    loads = list(_loads(test, client))
    lost += _lost_prompts(name, client)
    env = {"SERVER_PORT": "DEFAULT_PORT", **test["server_environment_variables"]}
    words = [("--port", "$SERVER_PORT"), *arguments(server, _PORTS)]
    lines = [
        f"  - name: {scalar(name)}",
        f"    model: {scalar(str(server.get('model', client.get('model', 'MODEL'))))}",
        "    # vllm: 0.32.0  # the hosts' own vLLM, unless this names a version to install",
        "    envs:",
        *(f"      {scalar(str(key))}: {scalar(str(value))}" for key, value in env.items()),
        "    server_cmd:",
        *(f"      - {scalar(word)}" for flag in words for word in flag),
        "    # No baselines yet: add `baseline` and `threshold` after a few good nights.",
        "    benchmarks:",
        *(f"      {line}" for load in loads for line in load.lines()),
    ]
    return lines, lost


def _kind(client: Mapping[str, Any]) -> str:
    kind = str(client.get("dataset-name", "random")).replace("-", "_")
    return kind if kind in _LENGTHS else "random"


def _lost_prompts(name: str, client: Mapping[str, Any]) -> Iterator[str]:
    kind = client.get("dataset-name", "random")
    if str(kind).replace("-", "_") not in _LENGTHS:
        yield f"{name}: prompts of {kind}: vllm_bench sends random prompts"
    elif kind == "sharegpt":
        file = client.get("dataset-path", "the dataset's file")
        yield f"{name}: {file}: put it into a folder sharegpt in LAMPLIGHTER_DATASETS"
        if not any(client.get(key) for key in ("sharegpt-output-len", "output-len")):
            yield f"{name}: answers as long as those of the dataset: max_out_len has {_OUTPUT}"


def _loads(test: Mapping[str, Any], client: Mapping[str, Any]) -> Iterator[Load]:
    prompts = int(client.get("num-prompts", _PROMPTS))
    kind = _kind(client)
    lengths = (f"{kind}-output-len".replace("_", "-"), "output-len")
    output = next((int(client[key]) for key in lengths if client.get(key)), _OUTPUT)
    inputs = ("random-input-len", "prefix-repetition-suffix-len", "input-len")
    prompt = next((int(client[key]) for key in inputs if client.get(key)), _INPUT)
    more = [f"{key}: {client[name]}" for name, key in _LENGTHS[kind].items() if client.get(name)]
    more += [f"{key}: {client[name]}" for name, key in _SAMPLING.items() if name in client]
    more += ["ignore_eos: true"] if "ignore-eos" in client else []
    limits = test.get("max_concurrency_list") or [client.get("max-concurrency") or prompts]
    for rate in test.get("qps_list") or [client.get("request-rate", "inf")]:
        for limit in limits:
            name = re.sub(r"[^\w.+-]", "-", f"qps-{rate}-concurrency-{limit}")
            number = 0.0 if str(rate) == "inf" else float(rate)
            backend = str(client.get("backend", "vllm"))
            burst = client.get("burstiness")
            own = [*more, *([f"burstiness: {burst}"] if burst and number else [])]
            conf = kind if kind != "random" else ""
            yield Load(name, prompt, output, prompts, int(limit), number, backend, conf, tuple(own))
