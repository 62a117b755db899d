"""Read the answers of services: delivered, worth another try, or refused. Pure.

Feishu, WeCom and DingTalk answer with HTTP 200 also when they refuse; a code in the body tells.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from ci.connect.printed import one_line
from ci.notify.message import short

if TYPE_CHECKING:
    from ci.suite.notifying import Service

MOST_CHARS = 200
MAX_ANSWER_BYTES = 64 << 10
# Codes that soon may be others. Feishu: 11232, "frequency limited", of 100 a minute and 5 a second.
# WeCom: -1, "system busy", https://developer.work.weixin.qq.com/document/path/90313.
_SOON = {"feishu": {11232}, "wecom": {-1}, "dingtalk": {-1}}
# 20 messages a minute are the limit; DingTalk then takes none for ten minutes, so that trying again
# at once makes it worse.
_TOO_MANY = {"wecom": {45009}, "dingtalk": {130101}}
# What an operator may do about a code.
_ADVICE = {
    ("feishu", 19021): "check the sign secret, and this machine's clock",
    ("feishu", 19022): "add this machine to the bot's list of addresses",
    ("feishu", 19024): "add a word of the message to the bot's keywords, e.g. the name of a case",
    ("dingtalk", 310000): "check the robot's security settings: sign secret, keywords, addresses",
    ("wecom", 93000): "the URL of the webhook is not valid; make the robot again",
}
_STATUS_ADVICE = {
    400: "",
    401: "check the URL of the webhook",
    403: "check the URL of the webhook, and whether it may post there",
    404: "check the URL of the webhook",
    410: "the channel was archived; choose another",
}


@dataclass(frozen=True)
class Answer:
    """What an answer means.

    Attributes:
        delivered: the service took the message.
        again: another try may succeed.
        reason: why it was not delivered, in one line.
        after_s: not before so many seconds, if the service says so.
    """

    delivered: bool
    again: bool = False
    reason: str = ""
    after_s: float | None = None


def answer_of(
    service: Service, status: int, retry_after: str | None, body: bytes, now: datetime
) -> Answer:
    """Read an answer.

    Args:
        service: who answered.
        status: of HTTP.
        retry_after: the header `Retry-After`; None if there is none.
        body: at most `MAX_ANSWER_BYTES` of it.
        now: for a `Retry-After` that is a date.
    """
    after_s = _seconds(retry_after, now)
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Answer(delivered=False, again=True, reason=f"HTTP {status}", after_s=after_s)
    if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        advice = _STATUS_ADVICE.get(status, "")
        words = _words(body)
        moved = "it leads elsewhere; name the new URL" if status < HTTPStatus.BAD_REQUEST else ""
        told = "; ".join(filter(None, (f"HTTP {status}", words, advice, moved)))
        return Answer(delivered=False, reason=told)
    if service in {"slack", "json"}:
        return Answer(delivered=True)
    return _by_code(service, body)


def _by_code(service: Service, body: bytes) -> Answer:
    """Read the code in a body: `code` of Feishu, `errcode` of WeCom and DingTalk."""
    try:
        tree = json.loads(body)
    except (ValueError, RecursionError):
        tree = None
    keys = ("code", "StatusCode") if service == "feishu" else ("errcode",)
    found = [tree[key] for key in keys if key in tree] if isinstance(tree, dict) else []
    if not found or isinstance(found[0], bool) or not isinstance(found[0], int):
        # A sign-in page of a proxy, for instance, also answers with HTTP 200.
        return Answer(delivered=False, reason=f"it did not answer as {service} does")
    code = found[0]
    if code == 0:
        return Answer(delivered=True)
    text = _message(tree)
    if code in _TOO_MANY.get(service, ()):
        return Answer(delivered=False, reason=f"{code}: too many messages a minute")
    advice = _ADVICE.get((service, code), "")
    told = "; ".join(filter(None, (f"{code}: {text}" if text else str(code), advice)))
    return Answer(delivered=False, again=code in _SOON.get(service, ()), reason=told)


def _message(tree: Any) -> str:  # noqa: ANN401 - JSON
    text = tree.get("msg") or tree.get("errmsg") or tree.get("StatusMessage") or ""
    return short(one_line(str(text)), MOST_CHARS)


def _words(body: bytes) -> str:
    """Return a short answer in one line, as Slack's `invalid_payload`; empty for a page."""
    text = one_line(body[: 4 * MOST_CHARS].decode("utf-8", "replace"))
    return "" if text.startswith("<") else short(text, MOST_CHARS)


def _seconds(retry_after: str | None, now: datetime) -> float | None:
    """Read `Retry-After`: seconds or a date, RFC 9110, 10.2.3; None if it is neither."""
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    aware = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (aware - now).total_seconds())
