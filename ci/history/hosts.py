"""Take from the record of a run what served it: hosts, devices, environment, version. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.record.model import Run

# Environments with this beginning serve; the router's is not one of them.
SERVING, ROUTER = "vllm", "vllm-router"
MAX_TEXT_CHARS = 200


def known_hosts_of(run: Run) -> tuple[str, ...]:
    """Return the hosts' names; nothing if that of the local machine was not asked yet."""
    unknown = any(target.is_local and not facts_of(run, target.name) for target in run.targets)
    return () if unknown else hosts_of(run)


def hosts_of(run: Run) -> tuple[str, ...]:
    """Return the hosts' names; for the local machine its host name, as plans name all alike."""
    return tuple(
        (text(facts_of(run, target.name).get("hostname")) if target.is_local else "") or target.name
        for target in run.targets
    )


def devices_of(run: Run) -> tuple[str, str]:
    """Return the kind of the hosts' devices, and their names; empty if unknown."""
    facts = [facts_of(run, target.name) for target in run.targets]
    if not facts:
        return "", ""
    listed = [device for each in facts for device in accelerators_in(each)]
    kinds = [target.accelerator.kind for target in run.targets if target.accelerator]
    kinds += [text(device.get("kind")) for device in listed]
    kind = "cpu" if vllm_of(run).endswith("+cpu") else next(filter(None, kinds), "cpu")
    names = [text(device.get("name")) for device in listed if device.get("kind") == kind]
    if kind == "cpu":
        names = [text(each.get("cpu")) for each in facts]
    return kind, ", ".join(sorted(set(filter(None, names))))


def vllm_of(run: Run) -> str:
    """Return the version of vLLM that answered, else the installed one; empty if unknown."""
    return served_vllm(run) or installed_vllm(run)


def served_vllm(run: Run) -> str:
    """Return the version of vLLM that answered; empty if none did."""
    served = run.versions.get("vllm served", "unknown")
    return "" if served == "unknown" else served


def installed_vllm(run: Run) -> str:
    """Return the version of vLLM in the environment; empty if unknown."""
    return next((version for version, _ in serving(run) if version not in {"", "unknown"}), "")


def environment_of(run: Run) -> str:
    """Return the digest of the packages that vLLM ran with; empty if unknown."""
    return "+".join(sorted({digest for _, digest in serving(run) if digest}))


def serving(run: Run) -> Iterator[tuple[str, str]]:
    """Yield version and digest of each environment that serves."""
    for by_name in run.environments.values():
        for name, environment in by_name.items():
            if name.startswith(SERVING) and not name.startswith(ROUTER):
                yield environment.version or "", environment.hash or ""


def facts_of(run: Run, host: str) -> Mapping[str, Any]:
    """Return the facts that a host reported; empty if there are none."""
    return mapping(run.hosts.get(host))


def accelerators_in(facts: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the accelerators of a host's facts."""
    listed = facts.get("accelerators")
    return [mapping(device) for device in listed] if isinstance(listed, list) else []


def mapping(value: object) -> Mapping[str, Any]:
    """Return a mapping of a host's facts; empty for anything else, as a host wrote it."""
    return value if isinstance(value, Mapping) else {}


def text(value: object) -> str:
    """Return a text of a host's facts; empty for anything else."""
    return value[:MAX_TEXT_CHARS] if isinstance(value, str) else ""
