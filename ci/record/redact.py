"""Convert values to plain JSON, and hide secrets. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from pydantic import BaseModel

HIDDEN = "***"
SECRET_WORDS = re.compile(r"TOKEN|KEY|SECRET|PASSWORD|CREDENTIAL")
SECRET_FLAG = re.compile(r"--?[\w.-]*(token|key|secret|password|credentials?)", re.IGNORECASE)
# A shorter value (`1`, `true`) is hidden under its name, but not searched for in other texts, where
# it would hide half of the report.
MIN_SECRET_CHARS = 8
# Words that the record itself needs.
OWN_WORDS = ("accuracy", "performance")


def looks_secret(name: str) -> bool:
    """Return whether the name of an environment variable suggests that its value is a secret."""
    # TOKENIZERS_PARALLELISM and similar names are about text, not about access.
    return bool(SECRET_WORDS.search(name.upper().replace("TOKENIZER", "")))


def redact_env(env: Mapping[str, str]) -> dict[str, str]:
    """Replace the values of names that look secret by `***`."""
    return {name: HIDDEN if looks_secret(name) else value for name, value in env.items()}


def secrets_of(env: Mapping[str, str]) -> frozenset[str]:
    """Collect the secret values of an environment that are long enough to search for."""
    return frozenset(
        str(value)
        for name, value in env.items()
        if looks_secret(name) and _can_be_searched(str(value))
    )


def secrets_within(tree: object) -> frozenset[str]:
    """Collect the secrets in `env` mappings and after secret flags in plain JSON."""
    if isinstance(tree, Mapping):
        nested = [secrets_within(value) for value in tree.values()]
        env = tree.get("env")
        own = secrets_of(env) if isinstance(env, Mapping) else frozenset[str]()
        return own.union(*nested)
    if isinstance(tree, list):
        values = {
            word.partition("=")[2] if word.startswith("-") else word
            for word, shown in zip(tree, redact_argv(tree), strict=True)
            if isinstance(word, str) and word != shown
        }
        secrets = frozenset(filter(_can_be_searched, values))
        return secrets.union(*(secrets_within(value) for value in tree))
    return frozenset()


def _can_be_searched(value: str) -> bool:
    """Return whether a secret can be searched for: long enough, and not a word of the record."""
    return len(value) >= MIN_SECRET_CHARS and not any(value in word for word in OWN_WORDS)


def redacted(tree: Any, secrets: frozenset[str] = frozenset()) -> Any:  # noqa: ANN401 - JSON
    """Redact plain JSON: secret values of `env` mappings and flags, and all `secrets`."""
    if isinstance(tree, Mapping):
        return {
            str(key): redacted(
                redact_env(value) if key == "env" and isinstance(value, Mapping) else value, secrets
            )
            for key, value in tree.items()
        }
    if isinstance(tree, list):
        return [redacted(value, secrets) for value in redact_argv(tree)]
    return redact_text(tree, secrets) if isinstance(tree, str) else tree


def redact_argv(argv: list[object]) -> list[object]:
    """Hide the value of a secret flag: `--api-key X` and `--api-key=X`."""
    shown: list[object] = []
    for before, word in zip([None, *argv], argv, strict=False):
        if isinstance(before, str) and isinstance(word, str) and SECRET_FLAG.fullmatch(before):
            shown.append(HIDDEN)
        elif isinstance(word, str) and SECRET_FLAG.fullmatch(word.partition("=")[0]):
            flag, equals, _ = word.partition("=")
            shown.append(flag + equals + (HIDDEN if equals else ""))
        else:
            shown.append(word)
    return shown


def redact_text(text: str, secrets: frozenset[str]) -> str:
    """Hide every secret in a text; the longest first, because it may contain others."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def plain(value: object) -> Any:  # noqa: ANN401 - JSON
    """Convert dataclasses, pydantic models, tuples and paths to values for JSON."""
    if isinstance(value, BaseModel):
        return plain(value.model_dump())
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON cannot express it
    return value if value is None or isinstance(value, str | int | float) else str(value)
