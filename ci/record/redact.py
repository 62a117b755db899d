"""Values → plain JSON without secrets in it. Pure."""

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
# A shorter value (`1`, `true`) is still hidden under its name, but looking for it in every other
# text would blot out half of the report.
LEAST_TELLING = 8
# Words of the record itself, which would be no record without them.
OWN_WORDS = ("accuracy", "performance")


def looks_secret(name: str) -> bool:
    """Whether an environment variable's name says that its value is a secret."""
    # TOKENIZERS_PARALLELISM and its like are about text, not about access.
    return bool(SECRET_WORDS.search(name.upper().replace("TOKENIZER", "")))


def redact_env(env: Mapping[str, str]) -> dict[str, str]:
    """Give the environment with the values of secret-looking names shown as `***`."""
    return {name: HIDDEN if looks_secret(name) else value for name, value in env.items()}


def secrets_of(env: Mapping[str, str]) -> frozenset[str]:
    """Collect the secret values of an environment that are long enough to look for elsewhere."""
    return frozenset(
        str(value) for name, value in env.items() if looks_secret(name) and _telling(str(value))
    )


def secrets_within(tree: object) -> frozenset[str]:
    """Collect the secrets in every `env` mapping and behind every flag anywhere in plain JSON."""
    if isinstance(tree, Mapping):
        found = [secrets_within(value) for value in tree.values()]
        env = tree.get("env")
        own = secrets_of(env) if isinstance(env, Mapping) else frozenset[str]()
        return own.union(*found)
    if isinstance(tree, list):
        behind_flags = {
            word.partition("=")[2] if word.startswith("-") else word
            for word, shown in zip(tree, redact_argv(tree), strict=True)
            if isinstance(word, str) and word != shown
        }
        telling = frozenset(filter(_telling, behind_flags))
        return telling.union(*(secrets_within(value) for value in tree))
    return frozenset()


def _telling(value: str) -> bool:
    """Whether a secret is long enough, and no common word, so that it can be looked for."""
    return len(value) >= LEAST_TELLING and not any(value in word for word in OWN_WORDS)


def redacted(tree: Any, secrets: frozenset[str] = frozenset()) -> Any:  # noqa: ANN401 - JSON
    """Give plain JSON with `env` mappings redacted, and the secrets hidden wherever they stand.

    The value after a flag such as `--api-key` is hidden too.
    """
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
    """Hide what follows a flag that takes secrets: `--api-key X Y` and `--api-key=X`."""
    shown: list[object] = []
    secret = False
    for before, word in zip([None, *argv], argv, strict=False):
        option = isinstance(word, str) and word.startswith("-")
        follows = isinstance(before, str) and bool(SECRET_FLAG.fullmatch(before))
        # The word after the flag may begin with a dash, the further ones may not.
        secret = follows or (secret and not option)
        if isinstance(word, str) and secret:
            shown.append(HIDDEN)
        elif isinstance(word, str) and SECRET_FLAG.fullmatch(word.partition("=")[0]):
            flag, equals, _ = word.partition("=")
            shown.append(flag + equals + (HIDDEN if equals else ""))
        else:
            shown.append(word)
    return shown


def redact_text(text: str, secrets: frozenset[str]) -> str:
    """Hide every secret in a text, the longest first, as one may be a part of another."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def plain(value: object) -> Any:  # noqa: ANN401 - JSON
    """Turn dataclasses, pydantic models, tuples and paths into what JSON can hold."""
    if isinstance(value, BaseModel):
        return plain(value.model_dump())
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no word for it
    return value if value is None or isinstance(value, str | int | float) else str(value)
