"""Make label values that are safe: no secrets, no control characters, a bounded length. Pure."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ci.connect.printed import one_line
from ci.errors import UserError
from ci.record.known_secrets import hide_known, secrets_of
from ci.record.secret_names import looks_secret
from ci.record.secrets import hide_in_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# What stands in a label whose value is not given, and in one whose value could not be found out:
# an empty label is none for Prometheus.
NONE, UNKNOWN = "none", "unknown"
MAX_CHARS = 100
DIGEST_CHARS = 8
MAX_LABELS = 10
# https://prometheus.io/docs/concepts/data_model/#metric-names-and-labels
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,63}")
# What the gateway and Prometheus set themselves.
_RESERVED = frozenset({"job", "instance", "run_type"})


@dataclass(frozen=True)
class LabelValues:
    """Makes label values of texts that cases, models and hosts have.

    Attributes:
        secrets: known secrets, hidden in every value.
    """

    secrets: frozenset[str] = field(default=frozenset(), repr=False)

    @classmethod
    def without_secrets_of(cls, env: Mapping[str, str]) -> LabelValues:
        """Hide the secrets of an environment in all values."""
        return cls(secrets_of(env))

    def __call__(self, text: str, missing: str = UNKNOWN) -> str:
        """Return a label value; `missing` for an empty text.

        A longer text is cut, and ends with a digest, so that it stays different from others.
        """
        # Cleaned first: control characters could part a secret. Cut last: a part of one would stay.
        hidden = hide_known(hide_in_text(one_line(text)), self.secrets)
        if len(hidden) > MAX_CHARS:
            digest = hashlib.sha256(hidden.encode()).hexdigest()[:DIGEST_CHARS]
            hidden = f"{hidden[: MAX_CHARS - DIGEST_CHARS - 1]}~{digest}"
        return hidden or missing


def labels_given(pairs: Sequence[str], value: LabelValues) -> dict[str, str]:
    """Read the labels of a command line.

    Args:
        pairs: each `NAME=VALUE`.
        value: makes the values.

    Raises:
        UserError: one is not a label, is reserved, is given twice, or its name announces a secret;
            or there are too many.
    """
    labels: dict[str, str] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        shown = value(name)
        if not equals or not _NAME.fullmatch(name) or name.startswith("__"):
            raise UserError(
                f"--label {shown}: expected NAME=VALUE, with letters, digits and _ in the name, "
                "e.g. model=Qwen3-32B"
            )
        if name in _RESERVED:
            raise UserError(f"--label {name}: the label {name} is set by `inv metrics.push` itself")
        if looks_secret(name, text):
            raise UserError(
                f"--label {shown}: the name announces a secret, and labels are public; leave it out"
            )
        if name in labels:
            raise UserError(f"--label {name} is given twice; give it once")
        labels[name] = value(text, NONE)
    if len(labels) > MAX_LABELS:
        raise UserError(f"{len(labels)} × --label: at most {MAX_LABELS} are pushed; leave some out")
    return labels
