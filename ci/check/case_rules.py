"""Rules for a case as a whole: overridden variables, and a model with two names."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from ci.catalog import environments
from ci.check.diagnostic import Remark
from ci.paths import CONFIGS
from ci.plan.servers import OVERRIDDEN
from ci.vllm.options import arguments

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.check.diagnostic import Subject

_SLIP = 0.85


def overridden_variable(subject: Subject) -> Iterator[Remark]:
    """Report the case's own values of variables that every night sets."""
    written = {node.name: node.env for node in subject.case.nodes}
    for server in subject.servers:
        for name, own in OVERRIDDEN.items():
            value = written[server.name].get(name)
            if value is None or value.strip("${}") == own or name not in server.env_keys:
                continue
            message = (
                f"{value!r} has no effect: a night sets {name} to the host's own ${own}, as "
                "vllm-ascend's runner does; remove it, and correct `address` or `interface` in the "
                "cluster file if the host has several"
            )
            yield Remark(server.env_keys[name], message)


def other_model(subject: Subject) -> Iterator[Remark]:
    """Report a served model that is almost the case's: one of the two is misspelt."""
    for server in subject.servers:
        served, own = (arguments(server.argv) or ("-",))[0], subject.case.model
        if served.startswith(("-", "$")) or _last(served) == _last(own):
            continue
        if difflib.SequenceMatcher(None, served, own).ratio() >= _SLIP:
            message = f"serves {served!r}, but the case has model: {own!r}; make them equal"
            yield Remark(server.command_key, message, served)


def model_without_vllm(subject: Subject) -> Iterator[Remark]:
    """Report a model that is made with vLLM's environment, in a case that has no version of it."""
    models = environments.load_models(CONFIGS / "models.yaml")
    case = subject.case
    if problem := environments.without_vllm(models, case.model, case.vllm or ""):
        yield Remark("model", problem.removeprefix("model: "))


def _last(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]
