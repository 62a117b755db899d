"""Tell what differs between the surroundings of two runs, nearest to the figures first. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

from ci.catalog.locks import changes
from ci.history.surroundings import OF_VLLM
from ci.judge.comparable import changed_settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ci.history.surroundings import Surroundings
    from ci.judge.past import Conditions

# A change of the package whose version is that of vLLM, in the form of `changes`.
_OWN_PACKAGE = re.compile(r"([-+] )?vllm(-cpu)? ")
SHOWN = 4
MAX_VALUE_CHARS = 80
# Of long values, what is shown before the part that differs.
BEFORE_CHARS = 20


@dataclass(frozen=True)
class Difference:
    """One variable that differs between two runs.

    Attributes:
        variable: its name, e.g. `vLLM`, `flags`, `kernel`.
        parts: each change of it.
    """

    variable: str
    parts: tuple[str, ...]

    @property
    def text(self) -> str:
        """Return the first changes, and the number of the others."""
        more = len(self.parts) - SHOWN
        return "; ".join(self.parts[:SHOWN]) + (f"; and {more} more" if more > 0 else "")


def differences(before: Surroundings, after: Surroundings) -> tuple[Difference, ...]:
    """List the variables that differ between two runs, the nearest to the figures first.

    First what computes the answers: vLLM, the weights, its flags and variables. Then how it was
    measured, then the machine, and last this project.

    Args:
        before: of the earlier run.
        after: of the later run.
    """
    found = {
        **_vllm(before, after),
        "weights": _pairs(before.weights, after.weights, both=True),
        "flags": _nested(before.flags, after.flags),
        "environment variables": _nested(before.variables, after.variables),
        "case": [*_change(before.case, after.case), *_baselines(before, after)],
        **_settings(before, after),
        **_tools(before, after),
        **_hosts(before, after),
        "Lamplighter": _pairs(before.lamplighter, after.lamplighter),
    }
    listed = ((variable, tuple(parts)) for variable, parts in found.items())
    return tuple(Difference(variable, parts) for variable, parts in listed if parts)


def not_known(before: Surroundings, after: Surroundings) -> tuple[str, ...]:
    """List the variables that one of two runs does not know, as a night that ended early.

    Args:
        before: of the earlier run.
        after: of the later run.
    """
    known = {
        "vLLM": any(map(all, _versions(before, after))),
        "packages of vLLM": all(OF_VLLM in each.packages for each in (before, after)),
        "flags": all(each.flags for each in (before, after)),
        "facts of the hosts": all(any(each.facts) for each in (before, after)),
    }
    return tuple(name for name, is_known in known.items() if not is_known)


def sentence(found: Sequence[Difference]) -> str:
    """Say whether one variable differs or several, and what follows from that."""
    if not found:
        return (
            "No known variable differs: a difference of figures is noise, or of something that is "
            "not on record."
        )
    if len(found) == 1:
        return (
            f"One variable differs, {found[0].variable}: a difference of figures is due to it, or "
            "to noise."
        )
    names = ", ".join(each.variable for each in found)
    return (
        f"{len(found)} variables differ: {names}. A difference of figures cannot be attributed to "
        "one of them."
    )


def _vllm(before: Surroundings, after: Surroundings) -> dict[str, Sequence[str]]:
    """Return the change of vLLM with that of its packages, which comes with it."""
    version = next((_change(*pair) for pair in _versions(before, after) if all(pair)), [])
    packages = _packages(before, after, OF_VLLM)
    if not version:
        return {"packages of vLLM": packages}
    others = [change for change in packages if not _OWN_PACKAGE.match(change)]
    return {"vLLM": [*version, *others]}


def _versions(before: Surroundings, after: Surroundings) -> tuple[tuple[str, str], ...]:
    """Return what answered, and what was installed: one may be written otherwise than the other."""
    return (before.vllm, after.vllm), (before.installed, after.installed)


def _packages(before: Surroundings, after: Surroundings, name: str) -> list[str]:
    if name not in before.packages or name not in after.packages:
        return []
    return changes(before.packages[name], after.packages[name])


def _tools(before: Surroundings, after: Surroundings) -> dict[str, Sequence[str]]:
    names = sorted((before.packages.keys() | after.packages.keys()) - {OF_VLLM})
    return {f"packages of {name}": _packages(before, after, name) for name in names}


def _settings(before: Surroundings, after: Surroundings) -> dict[str, Sequence[str]]:
    """Return the changes of the settings of each benchmark that both runs measured."""
    both = [name for name in before.settings if name in after.settings]
    return {
        f"settings of {name}": [
            *(
                f"{key} {old} → {new}"
                for key, old, new in changed_settings(before.settings[name], after.settings[name])
            ),
            *_passes(before.settings[name], after.settings[name]),
        ]
        for name in both
    }


def _passes(before: Conditions, after: Conditions) -> list[str]:
    return [f"passes {change}" for change in _change(str(before.passes), str(after.passes))]


def _baselines(before: Surroundings, after: Surroundings) -> Iterator[str]:
    """Yield the changes of what the case expects."""
    for change in _pairs(before.expected, after.expected, both=True):
        yield f"baseline of {change}"


def _hosts(before: Surroundings, after: Surroundings) -> Mapping[str, Sequence[str]]:
    """Return the changes of each fact of the hosts; if they are others, those are one variable."""
    if not before.hosts or not after.hosts:
        return {}
    if before.hosts != after.hosts:
        parts = [f"{'+'.join(before.hosts) or '-'} → {'+'.join(after.hosts) or '-'}"]
        for old, new in zip(before.facts, after.facts, strict=False):
            parts += [part for part in _pairs(old, new, both=True) if part not in parts]
        return {"hosts": parts}
    found: dict[str, list[str]] = {}
    for host, old, new in zip(after.hosts, before.facts, after.facts, strict=False):
        for name in [key for key in old if key in new]:
            for change in _change(old[name], new[name]):
                found.setdefault(name, []).append(f"{change} on {host}")
    return found


def _nested(
    before: Mapping[str, Mapping[str, str]], after: Mapping[str, Mapping[str, str]]
) -> list[str]:
    """Return the changes of each process, the same ones of several processes once."""
    if not before or not after:
        return []  # of one run they are not known
    parts = [f"- {name}" for name in before if name not in after]
    parts += [f"+ {name}" for name in after if name not in before]
    by_change: dict[str, list[str]] = {}
    for name in [each for each in before if each in after]:
        for change in _pairs(before[name], after[name]):
            by_change.setdefault(change, []).append(name)
    return [*parts, *(f"{', '.join(names)}: {change}" for change, names in by_change.items())]


def _pairs(
    before: Mapping[str, str], after: Mapping[str, str], *, both: bool = False
) -> Iterator[str]:
    """Yield each value that differs; with `both` only those that are known of both."""
    for name in [*before, *(each for each in after if each not in before)]:
        old, new = before.get(name), after.get(name)
        if old == new or (both and None in {old, new}):
            continue
        if old is None or new is None:
            sign, value = ("+", new or "") if old is None else ("-", old)
            yield f"{sign} {name} {_short(value) if value else ''}".rstrip()
        else:
            yield f"{name} {_arrow(old, new)}".strip()


def _change(before: str, after: str) -> list[str]:
    return [] if before == after else [_arrow(before, after)]


def _arrow(before: str, after: str) -> str:
    """Write two values; of long ones from shortly before the first difference on."""
    pairs = zip(before, after, strict=False)
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    begin = max(0, same - BEFORE_CHARS)
    if begin and same > MAX_VALUE_CHARS - BEFORE_CHARS:
        before, after = f"…{before[begin:]}", f"…{after[begin:]}"
    return f"{_short(before)} → {_short(after)}"


def _short(value: str) -> str:
    text = value or "-"
    return text if len(text) <= MAX_VALUE_CHARS else f"{text[:MAX_VALUE_CHARS]}…"
