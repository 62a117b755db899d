"""Make the Case of a scenario file. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pydantic import ValidationError

from ci.case import disaggregation
from ci.case.benchmark import Benchmark
from ci.case.convert.converted import arguments
from ci.case.disaggregation import RouterEntry
from ci.case.model import Case, Node
from ci.case.options import odd_variables, unread
from ci.case.references import unknown
from ci.case.scenario.model import PREFILL_DECODE, SECTIONS, PrefillDecode, Scenario
from ci.case.shell import words_of
from ci.documents.anchors import split
from ci.documents.messages import problems
from ci.documents.values import in_file_order
from ci.errors import CaseError
from ci.vllm.command_line import SERVER_PORT
from ci.vllm.devices import devices_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.case.model import Role, Router
    from ci.documents.source import Source
    from ci.errors import Problem

# Of `scheduler_params`, those that decide what an answer looks like; they are of each server here.
_OF_ANSWERS = ("--reasoning-parser", "--tool-call-parser", "--enable-auto-tool-choice")
_INSTANCES = re.compile(r"(?:^|[^a-z0-9])(\d{1,2})p(\d{1,2})d(?:$|[^a-z0-9])")
_MAX_INSTANCES = 64
# A feature → the flag without which a server does not have it.
_NEEDS = {"function_call": "--tool-call-parser", "reasoning": "--reasoning-parser"}


def is_scenario(document: object) -> bool:
    """Return whether a YAML document is a scenario of vllm-cibench."""
    return isinstance(document, dict) and "served_model_name" in document and "mode" in document


def read(source: Source) -> Case:
    """Make the Case of a scenario.

    Raises:
        CaseError: has all problems, in file order.
    """
    values, unused = split(source, Scenario.model_fields)
    values = {key: value for key, value in values.items() if value is not None}
    try:
        scenario = Scenario.model_validate(values)
    except ValidationError as error:
        found = problems(error.errors(include_url=False), source, SECTIONS)
        raise CaseError(in_file_order(found)) from error
    case = _case(scenario, source)
    if errors := list(_errors(scenario, case, source)):
        raise CaseError(in_file_order(errors))
    warnings = [*unused, *_warnings(scenario, case, source), *unread(source, ("benchmarks",))]
    warnings += odd_variables(source)
    return case.model_copy(update={"warnings": in_file_order(warnings)})


def _case(scenario: Scenario, source: Source) -> Case:
    nodes = tuple(_nodes(scenario, source))
    devices = max(devices_of(node.argv) for node in nodes)
    return Case(
        name=scenario.id,
        test_name=f"{scenario.id}: {scenario.model} {scenario.quant}".strip(),
        path=source.file,
        model=scenario.model,
        vllm=scenario.vllm,
        functional=scenario.functional or "",
        k8s_delete_yaml=scenario.k8s_delete_yaml or "",
        device=scenario.device,
        npu_per_node=devices if scenario.npu_per_node is None else scenario.npu_per_node,
        hosts=tuple(scenario.cluster_hosts or ()),
        num_hosts=len(nodes),
        nodes=nodes,
        router=_router(scenario, nodes),
        benchmarks=tuple(
            Benchmark(name=name, **entry.model_dump(exclude_unset=True))
            for name, entry in (scenario.benchmarks or {}).items()
        ),
        ready_timeout_s=scenario.startup_timeout_seconds,
        tags=tuple(scenario.tags or ()),
    )


def _nodes(scenario: Scenario, source: Source) -> Iterator[Node]:
    pd = scenario.pd or PrefillDecode()
    apart = scenario.mode == PREFILL_DECODE
    prefill, decode = _instances(scenario.id) if apart else (0, 0)
    prefills: list[Role] = ["prefill"] * prefill
    decodes: list[Role] = ["decode"] * decode
    roles: list[Role] = [*prefills, *decodes] or ["mixed"]
    own = {"mixed": "", "prefill": pd.prefill_params, "decode": pd.decode_params}
    common = [word for flag in arguments(scenario.args) for word in flag]
    first = SERVER_PORT if apart else _port(scenario)
    for index, role in enumerate(roles):
        key = f"pd.{role}_params" if apart and own[role] else "args"
        path = tuple(key.split("."))
        position = source.keys.get(path) or source.keys["mode",]
        argv = ["vllm", "serve", "$MODEL", "--served-model-name", scenario.served_model_name]
        # One of each, so that all of them may run on one host, too.
        argv += ["--port", str(first + index), *common, *words_of(own[role])]
        yield Node(
            name=f"server-{index}",
            host=index,
            role=role,
            argv=(*argv, *(_of_answers(pd) if apart else ())),
            env=scenario.env,
            key_path=key,
            position=(position.line, position.column),
        )


def _instances(name: str) -> tuple[int, int]:
    """Return how many servers prefill and decode, as a name such as `k8s_pd_r1_2p1d` tells."""
    match = _INSTANCES.search(name.lower())
    counts = (int(match[1]), int(match[2])) if match else (1, 1)
    sensible = min(counts) > 0 and max(counts) <= _MAX_INSTANCES
    return counts if sensible else (1, 1)


def _of_answers(pd: PrefillDecode) -> tuple[str, ...]:
    """Return the words of `scheduler_params` that each server needs."""
    kept: list[str] = []
    words = words_of(pd.scheduler_params)
    for number, word in enumerate(words):
        flag, equals, _ = word.partition("=")
        if flag in _OF_ANSWERS:
            following = words[number + 1 : number + 2]
            value = [] if equals or (following and following[0].startswith("-")) else following
            kept += [word, *value]
    return tuple(kept)


def _port(scenario: Scenario) -> int:
    try:
        port = urlsplit(scenario.base_url or "").port
    except ValueError:
        port = None
    return port or (scenario.k8s.node_port if scenario.k8s else None) or SERVER_PORT


def _router(scenario: Scenario, nodes: tuple[Node, ...]) -> Router | None:
    if scenario.mode != PREFILL_DECODE:
        return None
    port = scenario.k8s.node_port if scenario.k8s else None
    made = disaggregation.router(RouterEntry(kind="vllm-router", port=port), nodes, ())
    return made.model_copy(update={"env": {}, "key_path": "mode"})


def _errors(scenario: Scenario, case: Case, source: Source) -> Iterator[Problem]:
    """Report unknown variables, and hosts that are not one for each server."""
    for node in case.nodes:
        path = tuple(node.key_path.split("."))
        words = " ".join(node.argv)
        yield from unknown(words, path, node.env, case.num_hosts, source)
    for name, value in scenario.env.items():
        yield from unknown(value, ("env", name), scenario.env, case.num_hosts, source)
    if scenario.cluster_hosts and len(scenario.cluster_hosts) != case.num_hosts:
        count = len(scenario.cluster_hosts)
        message = f"lists {count} hosts, but {case.num_hosts} servers start; make them equal"
        yield source.at_key(("cluster_hosts",), message)
    if scenario.base_url:
        try:
            valid = bool(urlsplit(scenario.base_url).hostname)
        except ValueError:
            valid = False
        if not valid:
            message = "is not an address; write e.g. http://127.0.0.1:9000/v1"
            yield source.at_value(("base_url",), message)


def _warnings(scenario: Scenario, case: Case, source: Source) -> Iterator[Problem]:
    """Warn of what the servers started here do not have from the scenario."""
    flags = {word.partition("=")[0] for node in case.nodes for word in node.argv}
    if scenario.quant and "--quantization" not in flags:
        message = "only a title; if the weights need a flag, add `quantization: …` under args"
        yield source.at_key(("quant",), message)
    for feature, flag in _NEEDS.items():
        if getattr(scenario.features, feature) and flag not in flags:
            name = flag.removeprefix("--").replace("-", "_")
            where = "pd.scheduler_params" if scenario.mode == PREFILL_DECODE else "args"
            message = f"no server has {flag}, so that this is not there; add {name} to {where}"
            yield source.at_key(("features", feature), message)
    if scenario.mode == PREFILL_DECODE:
        yield from _prefill_decode_warnings(scenario, flags, source)
    for key in ("namespace", "service_name", "port_name"):
        if scenario.k8s and getattr(scenario.k8s, key):
            message = "has no effect: the servers are started on hosts, not found in Kubernetes"
            yield source.at_key(("k8s", key), message)


def _prefill_decode_warnings(
    scenario: Scenario, flags: set[str], source: Source
) -> Iterator[Problem]:
    pd = scenario.pd or PrefillDecode()
    given = [word.partition("=")[0] for word in words_of(pd.scheduler_params)]
    lost = [word for word in given if word.startswith("-") and word not in _OF_ANSWERS]
    if lost:
        message = (
            f"vllm-router is in front of the servers, and has no {', '.join(lost)}; move what the "
            "servers need to prefill_params and decode_params"
        )
        yield source.at_key(("pd", "scheduler_params"), message)
    if not _INSTANCES.search(scenario.id.lower()):
        message = "no number of servers in it, such as 2p1d: one for prefill and one for decode"
        yield source.at_value(("id",), message)
    if "--kv-transfer-config" not in flags:
        message = (
            "no server has --kv-transfer-config, so that no KV cache is transferred; add it to "
            "prefill_params and decode_params"
        )
        yield source.at_key(("mode",), message)
