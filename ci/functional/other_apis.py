"""Assert replies of the APIs that generate no text. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ci.functional.rules import is_time

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci.functional.proof import Proof

NORM_TOLERANCE = 0.02


def models_rules(body: Any, model: str, proof: Proof, *, vllm: bool) -> None:  # noqa: ANN401
    """Assert that /v1/models lists the served model, in OpenAI's shape.

    Args:
        body: the reply.
        model: the served model's name.
        proof: receives the assertions.
        vllm: whether the server is vLLM, which says its context length.
    """
    proof.equal("object", body.get("object"), "list")
    ids = [entry.get("id") for entry in body["data"]]
    proof.that("the served model is listed", model in ids, model, ids)
    proof.equal("each model is listed once", len(set(ids)), len(ids))
    for entry in body["data"]:
        proof.equal("object of a model", entry.get("object"), "model")
        created = entry.get("created")
        proof.that("created is a time in seconds", is_time(created), "whole seconds", created)
        owner = entry.get("owned_by")
        proof.that("owned_by", isinstance(owner, str) and owner, "some text", owner)
        window = entry.get("max_model_len")
        natural = (window is None and not vllm) or (isinstance(window, int) and window > 0)
        proof.that("max_model_len", natural, "a number over 0", window)


def tokenize_rules(body: Any, window: int | None, proof: Proof) -> None:  # noqa: ANN401
    """Assert that the count is the number of tokens."""
    tokens = body["tokens"]
    whole = all(isinstance(token, int) and token >= 0 for token in tokens)
    proof.that("tokens are ids", tokens and whole, "numbers from 0", tokens)
    proof.equal("count", body.get("count"), len(tokens))
    if window is not None:
        proof.equal("max_model_len", body.get("max_model_len"), window)
    texts = body.get("token_strs")
    if texts is not None:
        proof.equal("token_strs: one for each token", len(texts), len(tokens))


def embeddings_rules(
    request: Mapping[str, Any],
    body: Any,  # noqa: ANN401
    proof: Proof,
) -> list[list[float]]:
    """Assert the shape of embeddings; return the vectors.

    Args:
        request: its `input` and `encoding_format`.
        body: the reply.
        proof: receives the assertions.
    """
    proof.equal("object", body.get("object"), "list")
    proof.equal("model", body.get("model"), request.get("model"))
    given = request["input"]
    several = isinstance(given, list) and given and not isinstance(given[0], int)
    count = len(given) if several else 1
    data = body["data"]
    proof.equal("index", [entry.get("index") for entry in data], list(range(count)))
    vectors = []
    for entry in data:
        proof.equal("object of an embedding", entry.get("object"), "embedding")
        vector = _floats(entry["embedding"], request.get("encoding_format"), proof)
        finite = vector and all(math.isfinite(value) for value in vector)
        if not proof.that("embedding", finite, "finite numbers", vector[:3]):
            continue
        # vLLM normalises; a part of a vector, or a mix of two, has another length.
        norm = math.sqrt(sum(value * value for value in vector))
        proof.that("norm", abs(norm - 1) < NORM_TOLERANCE, 1.0, norm)
        vectors.append(vector)
    proof.equal("all have one width", len({len(vector) for vector in vectors}), 1)
    if several:
        distinct = len({tuple(vector) for vector in vectors})
        proof.equal("each input has its own vector", distinct, len({str(each) for each in given}))
    usage = body["usage"]
    prompt = usage["prompt_tokens"]
    proof.that("usage.prompt_tokens", isinstance(prompt, int) and prompt > 0, "over 0", prompt)
    proof.equal("usage.total_tokens", usage.get("total_tokens"), prompt)
    return vectors


def _floats(value: Any, form: object, proof: Proof) -> list[float]:  # noqa: ANN401 - JSON
    if form != "base64":
        numbers = isinstance(value, list) and all(
            isinstance(item, (int, float)) and not isinstance(item, bool) for item in value
        )
        return value if proof.that("embedding", numbers, "a list of numbers", value) else []
    if not proof.that("embedding", isinstance(value, str), "text in base64", value):
        return []
    import array  # noqa: PLC0415 - seldom needed
    import base64  # noqa: PLC0415

    data = base64.b64decode(value, validate=True)
    return list(array.array("f", data))


def cosine(first: list[float], second: list[float]) -> float:
    """Return the cosine of the angle between two vectors of length 1."""
    return sum(a * b for a, b in zip(first, second, strict=True))


def metrics_rules(text: str, proof: Proof) -> dict[str, float]:
    """Assert that /metrics can be read and has vLLM's series; return the counters' sums.

    Returns:
        Name of each counter and gauge of vLLM → sum over all labels.
    """
    from prometheus_client.parser import text_string_to_metric_families  # noqa: PLC0415

    sums: dict[str, float] = {}
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name.startswith("vllm:"):
                    sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
                    reason = sample.labels.get("finished_reason")
                    if reason:
                        key = f"{sample.name}/{reason}"
                        sums[key] = sums.get(key, 0.0) + sample.value
    except ValueError as error:
        proof.that("metrics can be read", False, "Prometheus text", str(error))  # noqa: FBT003
        return {}
    for name in (
        "vllm:num_requests_running",
        "vllm:num_requests_waiting",
        "vllm:prompt_tokens_total",
        "vllm:generation_tokens_total",
        "vllm:request_success_total",
    ):
        proof.that(f"metrics: {name}", name in sums, "a series", sorted(sums)[:5])
    # A sum of durations may fall below 0 where two clocks differ; a count may not.
    counts = {name: value for name, value in sums.items() if not name.endswith("_sum")}
    negative = [name for name, value in counts.items() if not value >= 0]
    proof.that("metrics: no value below 0", not negative, "none", negative)
    return sums
