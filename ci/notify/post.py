"""Post a payload to a webhook. Its URL and its secrets stand in no message of an error."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ci.errors import UserError
from ci.notify.answer import MAX_ANSWER_BYTES, Answer, answer_of
from ci.notify.payload import body_of
from ci.notify.sign import dingtalk_url, feishu_sign
from ci.notify.tries import Clock, tried

if TYPE_CHECKING:
    from collections.abc import Mapping

    import requests

    from ci.suite.notifying import Service

CONNECT_S = 10.0
READ_S = 15.0
_WAY = "check host and port of its URL, and that this machine reaches them"
_HEADERS = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "lamplighter"}


def require_url(url: str, variable: str) -> None:
    """Refuse a value that is no URL of a webhook, without repeating it.

    Raises:
        UserError: with the name of the variable.
    """
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or any(char.isspace() or not char.isprintable() for char in url):
        raise UserError(f"${variable} is not the http or https URL of a webhook; copy it again")


def post(  # noqa: PLR0913 - each is a part of a request
    service: Service,
    url: str,
    made: Mapping[str, Any],
    *,
    sign_secret: str = "",
    clock: Clock | None = None,
    now_s: float | None = None,
) -> str:
    """Post a payload; return why it was not delivered, or an empty text.

    What times out after it was sent is not sent again: it may have arrived.

    Args:
        service: the receiver.
        url: of the webhook.
        made: the payload.
        sign_secret: for a signature of Feishu or DingTalk; empty for none.
        clock: for the tries.
        now_s: seconds since 1970, for signatures; None for now.
    """
    import requests  # noqa: PLC0415 - takes 0.1 s, which only a delivery needs

    with requests.Session() as session:

        def attempt(left_s: float) -> Answer:
            at_s = time.time() if now_s is None else now_s
            signed, target = _signed(service, url, made, sign_secret, at_s)
            return _attempt(session, service, target, body_of(signed), left_s)

        return tried(attempt, clock or Clock())


def _signed(
    service: Service, url: str, made: Mapping[str, Any], secret: str, now_s: float
) -> tuple[Mapping[str, Any], str]:
    if not secret:
        return made, url
    if service == "dingtalk":
        return made, dingtalk_url(url, secret, int(now_s * 1000))
    stamp = int(now_s)
    return {"timestamp": str(stamp), "sign": feishu_sign(secret, stamp), **made}, url


def _attempt(  # noqa: PLR0911 - one for each way in which it fails
    session: requests.Session, service: Service, url: str, body: bytes, left_s: float
) -> Answer:
    import requests  # noqa: PLC0415

    try:
        with session.post(
            url,
            data=body,
            headers=_HEADERS,
            timeout=(min(CONNECT_S, left_s), min(READ_S, left_s)),
            # Elsewhere it may be somebody else who reads it.
            allow_redirects=False,
            stream=True,
        ) as response:
            content = response.raw.read(MAX_ANSWER_BYTES, decode_content=True)
            return answer_of(
                service,
                response.status_code,
                response.headers.get("Retry-After"),
                content,
                datetime.now(UTC),
            )
    # Messages of these errors have the URL.
    except requests.exceptions.SSLError:
        reason = "its certificate is not trusted; see REQUESTS_CA_BUNDLE for an authority of yours"
        return Answer(delivered=False, reason=reason)
    except requests.exceptions.ProxyError:
        reason = "the proxy did not let it through; check HTTPS_PROXY and NO_PROXY"
        return Answer(delivered=False, again=True, reason=reason)
    except requests.exceptions.ConnectTimeout:
        return Answer(delivered=False, again=True, reason=f"no connection in time; {_WAY}")
    except requests.exceptions.ConnectionError:
        reason = f"no connection, or it was closed; {_WAY}"
        return Answer(delivered=False, again=True, reason=reason)
    except requests.exceptions.Timeout:
        return Answer(delivered=False, reason="no answer in time; it may have arrived")
    except Exception as error:  # noqa: BLE001 - urllib3's own while the answer is read, or a bad URL
        return Answer(delivered=False, reason=f"{type(error).__name__} while it was sent")
