"""Decide by its name whether the value of a variable, flag, header or key is secret. Pure."""

from __future__ import annotations

import re

_WORDS = frozenset(
    (
        *("accesskeyid", "apikey", "apikeys", "auth", "authentication", "authorization", "bearer"),
        *("cookie", "cookies", "cred", "credential", "credentials", "creds", "dsn", "jwt", "key"),
        *("keys", "otp", "pass", "passcode", "passphrase", "passwd", "password", "passwords"),
        *("pat", "psw", "pwd", "sas", "secret", "secrets", "sessionid", "sig", "signature"),
        *("token", "tokens", "webhook"),
    )
)
_ENDINGS = ("auth", "key", "pass", "passwd", "password", "pwd", "secret", "token")
# Words with such an ending that announce none.
_OTHER_WORDS = frozenset(
    ("askpass", "bypass", "compass", "hotkey", "monkey", "oldpwd", "surpass", "trespass")
)
# Every name that `looks_secret` accepts has one of these in it, in whatever case.
STEMS = (
    *("auth", "bearer", "cookie", "cred", "dsn", "jwt", "key", "otp", "pass", "pat", "psw", "pwd"),
    *("sas", "secret", "sessionid", "sig", "token", "webhook"),
)
# `HF_TOKEN_PATH` is a location, `KEY_LENGTH` a number, `KeyError` an exception.
_HARMLESS_ENDINGS = frozenset(
    (
        *("addr", "address", "count", "dir", "directory", "dtype", "error", "file", "host", "ip"),
        *("length", "limit", "name", "path", "port", "rate", "size", "sock", "socket", "type"),
        *("user",),
    )
)
_COUNTED = frozenset({"keys", "sig", "token", "tokens"})
_COUNT = re.compile(r"[0-9]{1,7}(?:\.[0-9]+)?")
_PARTS = re.compile(r"[^A-Za-z0-9]+|(?<=[a-z])(?=[A-Z])")
_VERSION = re.compile(r"v?[0-9]+$")


def looks_secret(name: str, value: str = "") -> bool:
    """Return whether the name of a variable, flag, header or key announces a secret.

    Args:
        name: e.g. `HF_TOKEN`, `--api-key`, `apiKey`, `token2`.
        value: its value; a small number under `max_tokens` is a count.
    """
    words = [_VERSION.sub("", part.lower()) for part in _PARTS.split(name) if part]
    if name == "PWD" or not words or words[-1] in _HARMLESS_ENDINGS:
        return False
    secret = {word for word in words if word in _WORDS or word.endswith(_ENDINGS)} - _OTHER_WORDS
    return bool(secret) and not (secret <= _COUNTED and _COUNT.fullmatch(value))
