"""Sign requests to robots that check signatures. Pure."""

from __future__ import annotations

import hmac
from base64 import b64encode
from hashlib import sha256
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit


def feishu_sign(secret: str, now_s: int) -> str:
    """Return the signature of a request to Feishu.

    It is the HMAC-SHA256 of nothing, with the time in seconds, a line break and the secret as key,
    in base64: https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot, "signature
    verification".
    """
    key = f"{now_s}\n{secret}".encode()
    return b64encode(hmac.new(key, b"", sha256).digest()).decode()


def dingtalk_url(url: str, secret: str, now_ms: int) -> str:
    """Return the URL of DingTalk with the time in milliseconds and the signature of a request.

    It is the HMAC-SHA256 of the time, a line break and the secret, with the secret as key, in
    base64: https://open.dingtalk.com/document/robots/customize-robot-security-settings.
    """
    text = f"{now_ms}\n{secret}".encode()
    sign = b64encode(hmac.new(secret.encode(), text, sha256).digest()).decode()
    parts = urlsplit(url)
    query = [*parse_qsl(parts.query, keep_blank_values=True)]
    query += [("timestamp", str(now_ms)), ("sign", sign)]
    return urlunsplit(parts._replace(query=urlencode(query)))
