"""Collect what surrounded the figures of a run. Reads the run's folder: its plan and packages."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ci.documents.json_text import read_json
from ci.history.conditions import WITH_VLLM, conditions_of, short_name
from ci.history.hosts import (
    ROUTER,
    SERVING,
    accelerators_in,
    facts_of,
    installed_vllm,
    known_hosts_of,
    mapping,
    served_vllm,
)
from ci.record.below import read_below
from ci.record.cause import message_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ci.judge.past import Conditions
    from ci.record.model import Run
    from ci.record.stored import Stored

PLAN = "plan.json"
MAX_BYTES = 64 << 20
# The name of the packages that vLLM ran with, whatever the version in the environment's name.
OF_VLLM = "vLLM"
# The folder of vLLM's environment, in paths: it differs with the version alone, which is a variable
# of its own. The router's folder has another name.
_OWN_FOLDER = re.compile(r"/envs/vllm-(?!router)[^/:\s]+")


@dataclass(frozen=True)
class Surroundings:
    """All that may change the figures of a run.

    Attributes:
        case: name of the case.
        vllm: version of vLLM that answered; empty if none did.
        installed: version of vLLM in the environment; empty if unknown.
        packages: environment → `name==version` of each package; that of vLLM is `OF_VLLM`.
        flags: process → option → value, of servers, services and the router; empty if the run
            ended before it started servers.
        variables: process → variable of its environment → value; as `flags`.
        weights: model → digest of its files, as far as it is known.
        settings: benchmark → the settings of its measurement.
        expected: benchmark → baseline and threshold of the case.
        hosts: their names; empty if unknown.
        facts: for each of the hosts, fact → value, e.g. `kernel`.
        lamplighter: of this project: commit, version, Python.
        notes: what could not be read, and is not compared.
    """

    case: str
    vllm: str
    installed: str = ""
    packages: Mapping[str, Sequence[str]] = field(default_factory=dict)
    flags: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    variables: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    weights: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Conditions] = field(default_factory=dict)
    expected: Mapping[str, str] = field(default_factory=dict)
    hosts: tuple[str, ...] = ()
    facts: tuple[Mapping[str, str], ...] = ()
    lamplighter: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def surroundings_of(stored: Stored) -> Surroundings:
    """Collect what surrounded the figures of a stored run.

    Args:
        stored: its record; its plan and its lists of packages are read from its folder.
    """
    run, notes = stored.run, list[str]()
    facts = [facts_of(run, target.name) for target in run.targets]
    processes = _processes(stored, notes)
    return Surroundings(
        case=run.case,
        vllm=served_vllm(run),
        installed=installed_vllm(run),
        packages=_packages(stored, notes),
        flags={name: options_in(process["argv"]) for name, process in processes.items()},
        variables={name: process["env"] for name, process in processes.items()},
        weights=dict(pair for each in facts for pair in _weights(each)),
        settings={
            each.benchmark: conditions_of(
                run, each.tool, each.settings, digests=each.tool not in WITH_VLLM
            )
            for each in run.evaluations
            if each.settings
        },
        expected={
            each.name: "{:g}, threshold {:g}".format(*each.expected)
            for each in run.benchmarks or ()
            if each.expected
        },
        hosts=known_hosts_of(run),
        facts=tuple(dict(_facts(each)) for each in facts),
        lamplighter=_lamplighter(run),
        notes=tuple(notes),
    )


def options_in(argv: Sequence[str]) -> dict[str, str]:
    """Return the options of a command line: option → its values; without its own words "".

    Args:
        argv: program, words and options; the values of an option that is given twice are joined.
    """
    options: dict[str, list[str]] = {}
    name = ""
    for word in argv:
        if word.startswith("-") and not word[1:2].isdigit():
            name, equals, value = word.partition("=")
            options.setdefault(name, []).extend([value] * bool(equals))
        else:
            options.setdefault(name, []).append(word)
    return {name: " ".join(values) for name, values in options.items()}


def _processes(stored: Stored, notes: list[str]) -> dict[str, dict[str, Any]]:
    """Return the processes of the run's plan: name → argv and env, without what a host names."""
    try:
        plan = mapping(read_json(read_below(stored.folder, PLAN, MAX_BYTES).decode("utf-8")))
    except (OSError, ValueError) as error:
        notes.append(f"{stored.folder / PLAN} cannot be read, so flags are not compared: {error}")
        return {}
    places = _places(plan)
    listed = [
        *(each for key in ("services", "servers") for each in _list(plan.get(key))),
        plan.get("router"),
    ]
    names = {str(process.get("name")) for process in map(mapping, listed)}
    # Until a process has started, the plan may be one for hosts that nobody has asked.
    if not (stored.run.evaluations or names & {each.name for each in stored.run.processes}):
        notes.append(f"{stored.run.id} started no server, so flags are not compared")
        return {}
    return {
        str(process.get("name")): {
            "argv": [_placed(str(word), places) for word in _list(process.get("argv"))],
            "env": {
                str(name): _placed(str(value), places)
                for name, value in mapping(process.get("env")).items()
            },
        }
        for process in map(mapping, listed)
        if process
    }


def _places(plan: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what names a host in commands, and a word for it that is the same on every host."""
    places = []
    for index, host in enumerate(map(mapping, _list(plan.get("hosts")))):
        for key in ("workspace", "address", "interface"):
            value = host.get(key)
            if isinstance(value, str) and value:
                places.append((value, f"<{key} {index}>"))
    return sorted(places, key=lambda place: -len(place[0]))


def _placed(text: str, places: Sequence[tuple[str, str]]) -> str:
    for value, word in places:
        text = text.replace(value, word)
    return _OWN_FOLDER.sub(f"/envs/<{OF_VLLM}>", text)


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _packages(stored: Stored, notes: list[str]) -> dict[str, list[str]]:
    """Read the packages of each environment, of the first host that has it."""
    packages: dict[str, list[str]] = {}
    for by_name in stored.run.environments.values():
        for name, environment in by_name.items():
            serving = name.startswith(SERVING) and not name.startswith(ROUTER)
            key = OF_VLLM if serving else name
            if not environment.list or key in packages:
                continue
            try:
                data = read_below(stored.folder, environment.list, MAX_BYTES)
                packages[key] = data.decode("utf-8").split()
            except (OSError, ValueError) as error:
                path = stored.folder / environment.list
                notes.append(
                    f"{path} cannot be read, so the packages of {name} are not compared: "
                    f"{message_of(error)}"
                )
    return packages


def _facts(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the facts of a host that may change figures: those nearest to the devices first."""
    devices = accelerators_in(facts)
    drivers = {str(device.get("driver")) for device in devices} - {"None"}
    names = [str(device.get("name")) for device in devices]
    shown = {
        "driver": ", ".join(sorted(drivers)),
        "firmware": facts.get("firmware"),
        "CANN": facts.get("cann"),
        "devices": ", ".join(f"{names.count(name)} × {name}" for name in dict.fromkeys(names)),
        "kernel": facts.get("kernel"),
        "CPU": facts.get("cpu"),
        "cores": facts.get("cores"),
        "memory (bytes)": facts.get("memory_bytes"),
        "architecture": facts.get("machine"),
    }
    yield from ((name, str(value)) for name, value in shown.items() if value not in {None, ""})


def _weights(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for path, found in mapping(facts.get("weights")).items():
        fingerprint = mapping(found).get("fingerprint")
        if isinstance(fingerprint, str):
            yield short_name(path), fingerprint


def _lamplighter(run: Run) -> dict[str, str]:
    known = {"commit": run.git_commit or ""}
    known |= {key: run.versions.get(key, "") for key in ("lamplighter", "python")}
    return {name: value for name, value in known.items() if value}
