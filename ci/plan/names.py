"""Names in a case or a catalog → names of processes, as `ci.remote.names` allows them. Pure."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import TYPE_CHECKING

from ci.remote.names import INPUTS, LEASE, LONGEST, TELEMETRY, is_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

_DIGEST_CHARS = 8


def process_names(names: Iterable[str], taken: Collection[str] = ()) -> dict[str, str]:
    """Give each name the name of a process: the same one every time, in whatever order.

    A name that a process may have and that is free stays as it is. Any other keeps its letters that
    are allowed, with a digest of the whole behind them: `acc+cot` → `acc-cot-5c1f3a80`.

    Args:
        names: e.g. of benchmarks.
        taken: names of other processes.
    """
    wanted = sorted(set(names))
    used = {LEASE, INPUTS, TELEMETRY, *taken}
    result = {name: name for name in wanted if is_name(name) and name not in used}
    used |= result.keys()
    for name in wanted:
        if name not in result:
            result[name] = _free_name(name, used)
            used.add(result[name])
    return result


def recipe_name(kind: str, name: str) -> str:
    """Name the process that makes an environment or a model.

    Args:
        kind: `environment` or `model`.
        name: of the environment or the model.
    """
    wanted = f"make-{name}" if kind == "environment" else f"make-{kind}-{name}"
    return process_names([wanted])[wanted]


def _free_name(name: str, used: Collection[str]) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    stem = re.sub("[^A-Za-z0-9._-]+", "-", plain).strip(".-")[: LONGEST - len(digest) - 1]
    lengths = range(_DIGEST_CHARS, len(digest) + 1)
    candidates = (f"{stem or 'x'}-{digest[:length]}" for length in lengths)
    return next(candidate for candidate in candidates if candidate not in used)
