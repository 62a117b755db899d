"""Assert that a request was refused as OpenAI's API refuses: status and shape. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ci.functional.proof import Proof
    from ci.functional.reply import Reply
    from ci.functional.suite import Expect

# The request is wrong, its model is unknown, or a value has the wrong type.
REFUSED = (400, 404, 422)
JSON = "application/json"


def error_rules(expect: Expect, reply: Reply, proof: Proof) -> None:
    """Assert the rules of an error.

    Args:
        expect: the case's expectations; its `status` replaces 400, 404 or 422.
        reply: the reply.
        proof: receives the assertions.
    """
    allowed = tuple(expect.status or REFUSED)
    if not proof.one_of("status", reply.status, allowed, allowed):
        return
    if not proof.equal("content-type", reply.content_type, JSON):
        return
    try:
        body = reply.parsed()
    except ValueError:
        proof.that("the error is JSON", False, "JSON", reply.body.decode("utf-8", "replace"))  # noqa: FBT003
        return
    error = body.get("error") if isinstance(body, dict) else None
    if not proof.that("the error is in `error`", isinstance(error, dict), '{"error": {…}}', body):
        return
    assert isinstance(error, dict)  # noqa: S101 - for the type checker
    for key in ("message", "type"):
        text = error.get(key)
        proof.that(f"error.{key}", isinstance(text, str) and text.strip(), "some text", text)
    keys = {"param", "code"} - error.keys()
    proof.that("error.param and error.code are there", not keys, "both", sorted(error))
    code = error.get("code")
    if isinstance(code, int):
        proof.equal("error.code is the status", code, reply.status)
    else:
        texts = code is None or isinstance(code, str)
        proof.that("error.code", texts, "a number, text or null", code)
    if expect.error:
        message = str(error.get("message"))
        proof.that("error.message", re.search(expect.error, message), expect.error, message)
