"""Take the conditions of a measurement from the record of its run. Pure."""

from __future__ import annotations

import json
import re
import shlex
from itertools import pairwise
from typing import TYPE_CHECKING

from ci.judge.past import Conditions
from ci.tools.registry import TOOLS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.record.model import Run, Settings

_SALT = "cache_salt"
# The option of `vllm bench serve` that has it.
_EXTRA = "--extra-body"
# The tools that come with the served vLLM.
WITH_VLLM = frozenset(name for name, tool in TOOLS.items() if tool.ENVIRONMENT == "vllm")


# Keys of a case that change no server.
_JUDGED = re.compile(r"\bbenchmarks\b|(^|\.)startup\b")


def conditions_of(run: Run, tool: str, used: Settings, *, digests: bool) -> Conditions:
    """Take the conditions of a measurement from its settings.

    Args:
        run: the record of the run.
        tool: name of the evaluation tool.
        used: the settings of the evaluation.
        digests: whether the items have the digests of their prompts.
    """
    # A salt keeps a repeated measurement from the cache, and changes no answer.
    apart = {"temperature", _SALT}
    sent = {key: value for key, value in used.sampling.items() if key not in apart}
    return Conditions(
        model=short_name(used.model),
        tool=tool,
        tool_version=None if tool in WITH_VLLM else used.tool_version,
        dataset=used.dataset.name if used.dataset else "",
        dataset_digest=used.dataset.digest if used.dataset else "",
        made=(used.dataset.made or "") if used.dataset else "",
        num_prompts=used.num_prompts,
        max_out_len=used.max_out_len,
        temperature=used.temperature,
        sampling=json.dumps(sent, sort_keys=True),
        tokenizer=short_name(used.tokenizer or ""),
        request_conf=used.request_conf or "",
        dataset_conf=used.dataset_conf or "",
        batch_size=used.batch_size,
        request_rate=used.request_rate,
        arguments=() if digests else _arguments(_without_salt(used.argv)),
        overrides=overrides_of(run.command),
        passes=used.passes,
    )


def _without_salt(argv: Sequence[str]) -> list[str]:
    """Leave out the `cache_salt` of `--extra-body`, and the option if it has nothing else."""
    words = list(argv)
    if _EXTRA not in words[:-1]:
        return words
    at = words.index(_EXTRA)
    try:
        body = {key: each for key, each in json.loads(words[at + 1]).items() if key != _SALT}
    except (ValueError, AttributeError):  # of a damaged record
        return words
    return [*words[:at], *([_EXTRA, json.dumps(body)] if body else []), *words[at + 2 :]]


def conditions_of_start(run: Run) -> Conditions:
    """Take the conditions of the servers' start: the model that was served, and `--set`."""
    models = (each.settings.model for each in run.evaluations if each.settings)
    return Conditions(model=short_name(next(models, "")), overrides=overrides_of(run.command))


def _arguments(argv: Sequence[str]) -> tuple[str, ...]:
    """Return the options of a command line and their values, without those that are a place.

    A place is a path or a URL: it differs between machines and runs.
    """
    words: list[str] = []
    for word in argv:
        if "/" not in word:
            words.append(word)
        elif words and words[-1].startswith("-"):
            words.pop()
    return tuple(words)


def overrides_of(command: str) -> tuple[str, ...]:
    """Return the `--set` of a command line, sorted, except those of benchmarks and of `startup`.

    What they change in a benchmark is in the settings of its evaluation; how the start is judged
    changes no figure.
    """
    try:
        words = shlex.split(command)
    except ValueError:
        return ()
    given = [after for word, after in pairwise(words) if word == "--set"]
    given += [word.removeprefix("--set=") for word in words if word.startswith("--set=")]
    return tuple(sorted(each for each in given if not _JUDGED.search(each)))


def short_name(path: str) -> str:
    """Return the name of a model or a tokenizer, without the folders of the machine.

    Of a folder in the cache of a hub, the name and the revision stay.
    """
    cached = re.search(r"models--([^/]+)/snapshots/([^/]+)", path)
    if cached:
        return f"{cached[1].replace('--', '/')}@{cached[2]}"
    return path.rstrip("/").rpartition("/")[2] if path.startswith(("/", "~", ".")) else path
