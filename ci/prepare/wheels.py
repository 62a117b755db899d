"""Find packages that have no wheel for the hosts' architecture, before a night needs them.

Resolves on this machine what a night would resolve, and keeps the lock for the night.
"""

from __future__ import annotations

import contextlib
import platform
import re
import time
from typing import TYPE_CHECKING, Any, cast

from ci.doctor.model import Finding
from ci.doctor.wording import join_names
from ci.errors import PreparationFailed
from ci.prepare.night_locks import keep
from ci.prepare.resolve_packages import POLL_S, resolve, without_wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ci.doctor.model import Facts
    from ci.plan.model import Plan, Preparation

RESOLVE_S = 120.0  # an operator waits for it
# In uv's words: `torch{markers}==2.13.0+cpu has no wheels with a matching platform tag (…)`.
_NO_WHEEL = re.compile(
    r"([A-Za-z0-9][\w.-]*)(?:\{[^}]*\})?(?:[<>]=?\S+|(==\S+))? (?:has|have) no "
    r"wheels with a matching"
)
_ADVICE = (
    "choose a version that has one, or name an index or a folder of wheels that has it with "
    "UV_INDEX or UV_FIND_LINKS here"
)


def wheel_findings(plan: Plan, facts: Mapping[str, Facts]) -> Iterator[Finding]:
    """Check that packages which hosts lack exist for an architecture other than this machine's.

    An environment that has a lock for it was checked when that was made.

    Args:
        plan: the plan that will run on the hosts.
        facts: host → facts, for the hosts that answered.
    """
    for items in plan.preparations_by_name:
        by_machine: dict[str, list[Preparation]] = {}
        for item in items:
            machine = facts.get(item.host, {}).get("machine")
            if machine not in {None, platform.machine()} and _is_unlocked(
                item, machine, facts[item.host]
            ):
                by_machine.setdefault(machine, []).append(item)
        for machine, lacking in by_machine.items():
            yield from _resolved(lacking, machine)


def _is_unlocked(item: Preparation, machine: str, facts: Facts) -> bool:
    stamp = (facts.get("environments") or {}).get(item.path.rsplit("/", 1)[-1], {})
    return (
        bool(item.lock)
        and stamp.get("fingerprint") != item.fingerprint
        and machine not in cast("dict[str, object]", item.spec.get("locks", {}))
    )


def _resolved(items: Sequence[Preparation], machine: str) -> Iterator[Finding]:
    item, hosts = items[0], join_names([item.host for item in items])
    subject, recipe = f"environment {item.name}", cast("dict[str, Any]", item.spec)
    try:
        packages = resolve(recipe, machine, _wait)
        built = without_wheel(recipe, machine, packages)
    except PreparationFailed as error:
        yield _failed(subject, hosts, machine, str(error))
        return
    with contextlib.suppress(OSError):  # then the night resolves it again
        keep(item, machine, packages)
    if built:
        message = f"{join_names(built)} {_has(built)} no wheel for {machine}, only source"
        advice = f"{hosts} will build it; what is not pure Python needs a C compiler there"
        yield Finding("", subject, "info", message, advice)


def _wait(ended: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + RESOLVE_S
    while not ended():
        if time.monotonic() > deadline_s:
            raise PreparationFailed(f"uv did not resolve them within {RESOLVE_S:g} s")
        time.sleep(POLL_S)


def _failed(subject: str, hosts: str, machine: str, why: str) -> Finding:
    names = list(dict.fromkeys(name + version for name, version in _NO_WHEEL.findall(why)))
    if names:
        message = f"{join_names(names)} {_has(names)} no wheel for {machine}, needed on {hosts}"
        return Finding("", subject, "error", message, _ADVICE)
    message = f"what {hosts} needs for {machine} could not be checked: {why}"
    return Finding("", subject, "warning", message, "can this controller reach a package index?")


def _has(names: Sequence[str]) -> str:
    return "has" if len(names) == 1 else "have"
