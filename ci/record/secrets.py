"""Find secrets by the names they stand under, and hide them in texts. Pure.

A value is secret if the name of its variable, flag, header or key looks so, or if it is the
password of a URL. Texts such as foreign logs are searched for the same forms.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "***"
# A shorter value (`1`, `true`) is still hidden under its name, but replacing it in every other text
# would make reports unreadable.
MIN_SECRET_CHARS = 8
# Values that are also words of the record itself.
_RECORD_WORDS = ("accuracy", "performance")

_WORDS = frozenset(
    (
        *("apikey", "apikeys", "auth", "authorization", "bearer", "cookie", "cookies", "cred"),
        *("credential", "credentials", "creds", "dsn", "key", "keys", "pass", "passphrase"),
        *("passwd", "password", "passwords", "pat", "secret", "secrets", "token", "tokens"),
    )
)
_ENDINGS = ("token", "key", "secret", "password", "passwd")
# `HF_TOKEN_PATH` is a location, `KEY_LENGTH` a number, `KeyError` an exception.
_HARMLESS_ENDINGS = frozenset(
    (
        *("count", "dir", "directory", "error", "file", "length", "limit", "name", "path", "size"),
        *("addr", "address", "host", "ip", "port", "sock", "socket", "type", "user"),
    )
)
_COUNTED = frozenset({"token", "tokens"})
_COUNT = re.compile(r"[0-9]{1,7}(?:\.[0-9]+)?")
_PARTS = re.compile(r"[^A-Za-z0-9]+|(?<=[a-z])(?=[A-Z])")

_HEADER = re.compile(r"([A-Za-z][A-Za-z0-9-]*)(\s*:\s*)(.+)", re.DOTALL)
_URL = re.compile(r"(\b[A-Za-z][A-Za-z0-9+.-]*://[^/\s:@'\"]*:)([^/\s@'\"]+)(?=@)")
_SCHEME = re.compile(r"\b(bearer|basic)( +)([A-Za-z0-9._~+/=-]{8,})", re.IGNORECASE)
_FLAG = re.compile(r"(--[A-Za-z][\w-]*)(\s+)(?!-)(['\"]?)([^\s'\"]+)")
_NAME = r"""(?P<before>(?P<quote>["']?)(?P<name>[A-Za-z][\w.-]*)(?P=quote)%s)"""
_VALUE = r"""(?P<value>[^\s"',;&}\])]+)"""
# `name=value`, `"name": "value"` and `'name': ['value'`; a bare `name: value` is a sentence.
_NAMED = re.compile(
    _NAME % r"""(?:\s*=\s*|\s*:\s*(?=\[?\s*["']))""" + r"""(?P<open>\[?\s*["']?)""" + _VALUE
)
_QUOTED = re.compile(_NAME % r"\s*[=:]\s*" + r"""(?P<open>\[?\s*["'])""" + _VALUE)


def looks_secret(name: str, value: str = "") -> bool:
    """Return whether the name of a variable, flag, header or key announces a secret.

    Args:
        name: e.g. `HF_TOKEN`, `--api-key`, `apiKey`.
        value: its value; a small number under `max_tokens` is a count.
    """
    parts = [part.lower() for part in _PARTS.split(name) if part]
    if not parts or parts[-1] in _HARMLESS_ENDINGS:
        return False
    secret = {part for part in parts if part in _WORDS or part.endswith(_ENDINGS)}
    return bool(secret) and not (secret <= _COUNTED and _COUNT.fullmatch(value))


def hide_in_text(text: str) -> str:
    """Hide what looks like a secret in a text of unknown form: a log or a message."""
    text = _URL.sub(rf"\1{HIDDEN}", text)
    text = _SCHEME.sub(rf"\1\2{HIDDEN}", text)
    text = _FLAG.sub(_hide_flag, text)
    return _NAMED.sub(_hide_named, text)


def _hide_flag(match: re.Match[str]) -> str:
    flag, space, quote, value = match.groups()
    return f"{flag}{space}{quote}{HIDDEN}" if looks_secret(flag, value) else match[0]


def _hide_named(match: re.Match[str]) -> str:
    secret = looks_secret(match["name"], match["value"])
    return f"{match['before']}{match['open']}{HIDDEN}" if secret else match[0]


def hide_in_argv(argv: list[object]) -> list[object]:
    """Hide the secrets of a command line.

    They are the values of secret flags (`--api-key A B`, `--api-key=A`), of assignments
    (`HF_TOKEN=A`), of headers, the passwords of URLs, and secret keys in JSON.
    """
    shown: list[object] = []
    before = ""
    for word in argv:
        if not isinstance(word, str):
            shown.append(word)
            continue
        flag, equals, value = word.partition("=")
        if word.startswith("-"):
            before = "" if equals else flag
        if not word.startswith("-") and looks_secret(before, word):
            shown.append(HIDDEN)
        elif equals and re.fullmatch(r"[\w.-]+", flag) and looks_secret(flag, value):
            shown.append(f"{flag}={HIDDEN}")
        else:
            shown.append(_hide_in_word(word))
    return shown


def _hide_in_word(word: str) -> str:
    header = _HEADER.fullmatch(word)
    if header and looks_secret(header[1], header[3]):
        return f"{header[1]}{header[2]}{HIDDEN}"
    before, equals, text = word.partition("=") if word.startswith("-") else ("", "", word)
    return before + equals + _hide_in_json(text)


def _hide_in_json(text: str) -> str:
    """Hide the secrets of a JSON text; of another text, the passwords of URLs."""
    if text.lstrip()[:1] in {"{", "["}:
        try:
            tree = json.loads(text)
        except (ValueError, RecursionError):
            return hide_in_text(text)
        hidden = hide_in_keys(tree)
        return text if hidden == tree else json.dumps(hidden, ensure_ascii=False)
    return _SCHEME.sub(rf"\1\2{HIDDEN}", _URL.sub(rf"\1{HIDDEN}", text))


def hide_in_keys(tree: Any) -> Any:  # noqa: ANN401 - JSON
    """Hide the values of secret keys anywhere in JSON, e.g. in the configuration of a KV store."""
    if isinstance(tree, Mapping):
        return {
            key: HIDDEN
            if isinstance(value, str | int) and looks_secret(str(key), str(value))
            else hide_in_keys(value)
            for key, value in tree.items()
        }
    if isinstance(tree, list):
        return [hide_in_keys(value) for value in tree]
    return _hide_in_word(tree) if isinstance(tree, str) else tree


def hide_in_files(files: Mapping[str, str]) -> dict[str, str]:
    """Hide the secrets in files, path → content."""
    return {path: _hide_in_file(path, content) for path, content in files.items()}


def _hide_in_file(path: str, content: str) -> str:
    if content.lstrip()[:1] in {"{", "["}:
        return _hide_in_json(content)
    if path.endswith(".py"):  # `tokens = count()` is code, `api_key="x"` a secret
        return _QUOTED.sub(_hide_named, content)
    return hide_in_text(content)


def hide_in_env(env: Mapping[str, str]) -> dict[str, str]:
    """Hide the secrets of an environment: values of secret names, JSON, and passwords of URLs."""
    return {
        name: HIDDEN if looks_secret(name, str(value)) else _hide_in_word(str(value))
        for name, value in env.items()
    }


def secrets_of(env: Mapping[str, str]) -> frozenset[str]:
    """Return the secrets of an environment that can be searched for in other texts."""
    named = {str(value) for name, value in env.items() if looks_secret(name, str(value))}
    return _searchable({*named, *(each for value in env.values() for each in _within(str(value)))})


def secrets_within(tree: object) -> frozenset[str]:
    """Return the secrets in every `env` mapping and command line anywhere in plain JSON."""
    if isinstance(tree, Mapping):
        env = tree.get("env")
        own = secrets_of(env) if isinstance(env, Mapping) else frozenset[str]()
        return own.union(*map(secrets_within, tree.values()))
    if isinstance(tree, list):
        behind = [
            word.partition("=")[2] if shown.endswith(f"={HIDDEN}") else word
            for word, shown in zip(tree, hide_in_argv(tree), strict=True)
            if isinstance(word, str) and isinstance(shown, str) and shown in {HIDDEN, _flag(word)}
        ]
        within = [each for word in tree if isinstance(word, str) for each in _within(word)]
        return _searchable({*behind, *within}).union(*map(secrets_within, tree))
    return _searchable(set(_within(tree))) if isinstance(tree, str) else frozenset()


def _flag(word: str) -> str:
    return f"{word.partition('=')[0]}={HIDDEN}"


def _within(text: str) -> list[str]:
    """Return the secrets inside one text: a header, JSON, or the password of a URL."""
    header = _HEADER.fullmatch(text)
    if header and looks_secret(header[1], header[3]):
        return [header[3], header[3].rpartition(" ")[2]]
    urls = [match[2] for match in _URL.finditer(text)]
    body = text.partition("=")[2] if text.startswith("-") else text
    try:
        tree = json.loads(body) if body.lstrip()[:1] in {"{", "["} else None
    except (ValueError, RecursionError):
        tree = None
    return [*urls, *_in_keys(tree)]


def _in_keys(tree: object) -> list[str]:
    if isinstance(tree, Mapping):
        own = [
            str(value)
            for key, value in tree.items()
            if isinstance(value, str | int) and looks_secret(str(key), str(value))
        ]
        return [*own, *(each for value in tree.values() for each in _in_keys(value))]
    if isinstance(tree, list):
        return [each for value in tree for each in _in_keys(value)]
    return _within(tree) if isinstance(tree, str) else []


def _searchable(values: set[str]) -> frozenset[str]:
    """Keep values that are long enough and no words of the record; add the lines of long ones."""
    lines = {line for value in values for line in value.splitlines()}
    return frozenset(
        value
        for value in values | lines
        if len(value) >= MIN_SECRET_CHARS and not any(value in word for word in _RECORD_WORDS)
    )


def hide_known(text: str, secrets: frozenset[str]) -> str:
    """Hide known secrets in a text, also one that was cut at the text's beginning or end."""
    # The longest first, as a secret may be a part of another.
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
        text = _hide_cut(text, secret)
    return text


def _hide_cut(text: str, secret: str) -> str:
    """Hide a part of a secret at a place where the text was cut."""
    ended = text.rstrip("… '\"")
    for length in range(min(len(secret) - 1, len(text)), MIN_SECRET_CHARS - 1, -1):
        if ended.endswith(secret[:length]):
            return ended[:-length] + HIDDEN + text[len(ended) :]
        if text.startswith(secret[-length:]):
            return HIDDEN + text[length:]
    return text
