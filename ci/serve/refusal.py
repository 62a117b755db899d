"""Explain a server that is healthy and refuses every completion, or cannot be asked. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.serve.probe import ProbeResult

# A request that gets one of these gets it again, however long one waits.
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TOO_MANY = 429
FINAL = _REDIRECTS | {400, 401, 403, 404, 405, 406, 410, 413, 415, 422, _TOO_MANY, 501}
# Routers answer 404 for a moment, until their servers have registered.
FINAL_AFTER_S = 6.0
# What is wrong with a server's certificate → what to do.
_UNTRUSTED = {
    "dates": "make a new certificate, or correct the clock of the host",
    "name": "probes and tools ask a server by the address of its host; make a certificate with "
    "this address in subjectAltName",
    "authority": "name the file on the host with the certificates of its authority by "
    "--ssl-ca-certs in the case; without it, only the certificates in --ssl-certfile are trusted",
    "file": "give the absolute path of a PEM file on the host in --ssl-ca-certs or --ssl-certfile",
    "plain": "see that the server's script passes --ssl-certfile and --ssl-keyfile on, or remove "
    "them from the case",
}
_OTHER = "make a certificate for TLS servers whose chain `openssl verify` accepts"
_KEY = frozenset({401, 403})
_NOT_FOUND = 404
_NO_POST = 405


@dataclass(frozen=True)
class Refusals:
    """The same refusal, in a row.

    Attributes:
        status: its HTTP status; None if the latest reply is not a refusal.
        since: when it was first received, on the monotonic clock.
    """

    status: int | None = None
    since: float = 0.0

    def after(self, completion: ProbeResult | None, now: float) -> Refusals:
        """Return the refusals in a row after another reply."""
        status = completion.status if completion else None
        if status not in FINAL:
            return Refusals()
        return self if status == self.status else Refusals(status, now)

    def are_final(self, now: float) -> bool:
        """Return whether waiting is of no use."""
        return self.status is not None and now - self.since >= FINAL_AFTER_S


def explain(completion: ProbeResult, model: str, served: Sequence[str]) -> str:
    """Explain why completions are refused, and what to do.

    Args:
        completion: the refusal.
        model: the model's name in the request.
        served: the names that the server lists; empty if it lists none.
    """
    listed = ", ".join(served)
    if completion.status in _KEY:
        advice = (
            "the server asks for another API key; set VLLM_API_KEY in its environment in the case, "
            "or in an environment script of its host"
        )
    elif completion.status == _NOT_FOUND and served and model not in served:
        advice = (
            f"the case asks for the model {model!r}, but the server lists {listed}; correct "
            "'model' or --served-model-name in the case"
        )
    elif completion.status in {_NOT_FOUND, _NO_POST}:
        advice = (
            "the address has no /v1/completions; see that the port is that of an OpenAI API, and "
            "that the model generates text"
        )
    elif completion.status in _REDIRECTS:
        advice = (
            "a redirect is not followed; see that the server's own port and scheme are asked, not "
            "those of a gateway before it"
        )
    elif completion.status == _TOO_MANY:
        advice = (
            "the server, or a gateway before it, limits requests even while nothing is measured; "
            "lift that limit"
        )
    else:
        advice = "the server does not accept the request; see its message and its log"
    return f"{completion.error}; {advice}"


def unaskable(error: str, untrusted: str) -> str:
    """Say why no tool can ask a server over TLS, and what to do; empty if nothing is wrong.

    Args:
        error: why there is no reply.
        untrusted: what is wrong, as `ci/remote/requests/http.py` names it.
    """
    return f"cannot be asked: {error}; {_UNTRUSTED.get(untrusted, _OTHER)}" if untrusted else ""
