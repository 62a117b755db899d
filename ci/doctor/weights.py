"""Report whether the models of a plan are on the hosts: present, whole, readable, equal. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ci.doctor.model import Finding
from ci.doctor.needs import tokenizers_on, weights_on
from ci.doctor.wording import join_names
from ci.documents.counted import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ci.doctor.model import Facts
    from ci.plan.model import Plan
    from ci.vllm.model_source import ModelSource

FETCH = "`inv weights.fetch` with the same --config and hosts"


def weight_findings(plan: Plan, host: str, facts: Facts, *, here: bool) -> Iterator[Finding]:
    """Examine the models of one host.

    Args:
        plan: the plan that will run on it.
        host: its name.
        facts: its facts.
        here: whether it is this machine.
    """
    known = facts.get("weights") or {}
    served = weights_on(plan, host)
    for source in served:
        seen = known.get(source.key)
        if seen is None:
            continue
        if not seen["exists"]:
            yield _absent(host, source, seen, here=here)
        else:
            yield from _defects(host, source, seen, here=here)
    for key, (source, benchmarks) in tokenizers_on(plan, host).items():
        seen = known.get(key)
        if seen and not seen["exists"] and key not in {source.key for source in served}:
            absent = _absent(host, source, seen, here=here)
            message = f"tokenizer of {join_names(benchmarks)}: {absent.message}"
            advice = f"{absent.advice}, or set `model_path` of the benchmark to a folder there"
            yield replace(absent, subject="tokenizer", message=message, advice=advice)


def weight_differences(plan: Plan, facts: Mapping[str, Facts]) -> Iterator[Finding]:
    """Compare each model between the hosts that have it; `facts` are host → facts."""
    sources = {source.key: source for host in facts for source in weights_on(plan, host)}
    for key in sorted(sources):
        seen = {
            host: folder
            for host, known in facts.items()
            if key in {source.key for source in weights_on(plan, host)}
            and (folder := (known.get("weights") or {}).get(key))
            and folder["exists"]
        }
        groups: dict[tuple[str, str], list[str]] = {}
        for host, folder in seen.items():
            revision = folder.get("revision") or ""
            groups.setdefault((folder["fingerprint"], revision), []).append(host)
        if len(groups) > 1:
            ordered = sorted(groups.values(), key=len, reverse=True)
            text = "; ".join(f"{_size(seen[hosts[0]])} on {join_names(hosts)}" for hosts in ordered)
            folder = seen[ordered[0][0]].get("folder") or sources[key].name
            advice = f"make them equal with `inv weights.sync --source {folder}`"
            if not sources[key].is_folder:
                advice += ", or give the commit with `--revision` in the server's command"
            yield Finding("", "weights", "error", f"{key} differs between hosts: {text}", advice)


def _size(seen: Mapping[str, Any]) -> str:
    revision = f"revision {seen['revision']}, " if seen.get("revision") else ""
    return f"{revision}{counted(seen['files'], 'file')}, {seen['bytes']} bytes"


def _absent(host: str, source: ModelSource, seen: Mapping[str, Any], *, here: bool) -> Finding:
    cache = f" (looked in {seen['cache']})" if seen.get("cache") else ""
    others = seen.get("others") or ()
    instead = f", which has {join_names(others)} instead" if others else ""
    message = f"{source.key} does not exist on this host{cache}{instead}"
    if not seen.get("hub") or source.is_folder:
        return Finding(host, "weights", "error", message, _copy(source.name, here=here))
    if seen.get("offline"):
        advice = (
            f"fetch it with {FETCH} and without HF_HUB_OFFLINE, or copy its folder with "
            "`inv weights.sync`"
        )
        return Finding(host, "weights", "error", f"{message}, and the hub is offline", advice)
    message += "; it will be fetched from the hub before the servers start"
    return Finding(
        host, "weights", "warning", message, f"to fetch it before the night, use {FETCH}"
    )


def _defects(
    host: str, source: ModelSource, seen: Mapping[str, Any], *, here: bool
) -> Iterator[Finding]:
    path = source.key if source.is_folder else f"{source.key} ({seen.get('folder')})"
    copy = _copy(seen.get("folder") or source.name, here=here)
    if seen.get("unreadable"):
        files = join_names(seen["unreadable"])
        advice = "make the files readable for the user that starts the servers (chmod a+rX)"
        yield Finding(host, "weights", "error", f"{path}: cannot be read: {files}", advice)
    if seen["missing"] and is_fetchable(source, seen):
        message = f"{path} is incomplete: {join_names(seen['missing'])} missing; it will be fetched"
        yield Finding(host, "weights", "warning", message, f"to fetch it now, use {FETCH}")
    elif seen["missing"]:
        message = f"{path} is incomplete: {join_names(seen['missing'])} missing"
        yield Finding(host, "weights", "error", message, copy)
    elif seen.get("damaged"):
        message = f"{path} is damaged: {join_names(seen['damaged'])}: not the size of its header"
        yield Finding(host, "weights", "error", message, f"remove the file; then {copy}")
    elif not seen["has_config"]:
        message = f"{path} has no config.json, so it is not a model folder"
        yield Finding(host, "weights", "error", message, "name the folder that has it")
    elif source.weights and seen.get("has_weights") is False and not is_fetchable(source, seen):
        message = f"{path} has a config.json but no file of weights"
        yield Finding(host, "weights", "error", message, copy)


def is_fetchable(source: ModelSource, seen: Mapping[str, Any]) -> bool:
    """Return whether a model comes from a hub that its server may ask."""
    return bool(seen.get("hub")) and not source.is_folder and not seen.get("offline")


def must_be_fetched(source: ModelSource, seen: Mapping[str, Any] | None) -> bool:
    """Return whether a model is absent or incomplete on a host, and a hub may have it."""
    if seen is None or not is_fetchable(source, seen):
        return False
    lacks = not seen["exists"] or seen.get("missing")
    return bool(lacks or (source.weights and seen.get("has_weights") is False))


def _copy(folder: str, *, here: bool) -> str:
    if here:
        return "put the model there, or correct `model` in the case"
    return f"copy them with `inv weights.sync --source {folder}`"
