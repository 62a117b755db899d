"""Write a run in the form that nightly dashboards of vLLM Ascend read. Pure.

The keys are those of the files that its nightly tests leave for their dashboard
(`benchmark_results/<job>.json`). There `pass_fail` is pass or fail; a run of which nothing is known
says `unknown`, as nobody measured a failure.
"""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING, Any

from ci.connect.printed import one_line
from ci.history.hosts import devices_of, vllm_of
from ci.record.secrets import hide_in_argv, hide_in_env

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ci.record.model import Evaluation, Run

# Flag of a server → name of the feature.
_FLAGS = {
    "--async-scheduling": "async_scheduling",
    "--enable-expert-parallel": "expert_parallel",
    "--enable-eplb": "eplb",
    "--speculative-config": "speculative",
    "--enable-prefix-caching": "prefix_caching",
    "--kv-transfer-config": "kv_transfer",
}
_GRAPH = "cudagraph_mode"
# A variable that is set → the feature: `VLLM_ASCEND_ENABLE_FLASHCOMM` → `flashcomm`.
_SWITCH = re.compile(r"VLLM_ASCEND_ENABLE_(\w+)")
_OFF = frozenset({"", "0", "false"})
# Differ from host to host, and tell nothing about the deployment.
_OF_HOST = re.compile(r".*(?:_PORT|_IP|_IF_?NAME|_IFNAME|_INTERFACE)$|NIC_NAME|LAMPLIGHTER_.*")
_ROLES = {"prefill": "prefill", "decode": "decode"}


def render(run: Run, plan: Mapping[str, Any]) -> str:
    """Write a run for a dashboard.

    Args:
        run: the record; also of a night that failed or ended early.
        plan: the content of its plan.json; empty if it has none.
    """
    servers = [each for each in plan.get("servers") or () if isinstance(each, dict)]
    case = plan.get("case")
    model = case.get("model") if isinstance(case, dict) else None
    argvs = [_words(each.get("argv")) for each in servers]
    envs = [_env(each.get("env")) for each in servers]
    versions = run.versions
    values = {
        "model_name": one_line(str(model or run.case)),
        "hardware": one_line(devices_of(run)[1]),
        "dtype": _dtype(str(model or ""), argvs),
        "feature": list(dict.fromkeys(_features(argvs, envs))),
        "vllm_version": vllm_of(run) or versions.get("vllm", ""),
        "vllm_ascend_version": versions.get("vllm-ascend", ""),
        "tasks": [_task(run, each) for each in _first_of_each(run)],
        "serve_cmd": _serve_cmd(servers, argvs),
        "environment": _common(envs),
        "run": run.id,
        "started_at": run.started_at,
        "outcome": run.outcome,
        "cause": one_line(run.cause.message) if run.cause else "",
    }
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


def _first_of_each(run: Run) -> Iterator[tuple[str, Evaluation | None]]:
    """Yield each benchmark of the case with its first evaluation; None if it never ran."""
    first: dict[str, Evaluation] = {}
    for each in run.evaluations:
        first.setdefault(each.benchmark, each)
    names = [each.name for each in run.benchmarks or ()]
    for name in dict.fromkeys((*names, *first)):
        yield name, first.get(name)


def _task(run: Run, measured: tuple[str, Evaluation | None]) -> dict[str, Any]:
    name, evaluation = measured
    checks = [check for check in run.checks if check.name == name]
    outcomes = {check.outcome for check in checks}
    entry: dict[str, Any] = {"name": one_line(name), "metrics": {}, "test_input": {}}
    if evaluation:
        entry["metrics"] = {each.metric: round(each.value, 4) for each in evaluation.measurements}
        used = evaluation.settings
        entry["test_input"] = {
            key: getattr(used, key)
            for key in ("num_prompts", "max_out_len", "batch_size", "request_rate")
            if used is not None
        }
    for benchmark in run.benchmarks or ():
        if benchmark.name == name and benchmark.baseline is not None:
            entry["target"] = {"baseline": benchmark.baseline, "threshold": benchmark.threshold}
    known = "fail" if "fail" in outcomes else "pass" if outcomes == {"pass"} else "unknown"
    return entry | {"pass_fail": known}


def _serve_cmd(
    servers: Sequence[Mapping[str, Any]], argvs: Sequence[Sequence[str]]
) -> dict[str, Any]:
    """Return the command of each server: `mix` of one, else by role and number."""
    commands = [shlex.join(map(str, hide_in_argv(list(argv)))) for argv in argvs]
    roles = [str(each.get("role", "")) for each in servers]
    if not set(roles) & set(_ROLES):
        named = {f"node-{number}": command for number, command in enumerate(commands)}
        return {"mix": commands[0] if len(commands) == 1 else named} if commands else {}
    numbers = dict.fromkeys(roles, 0)
    by_role = {}
    for role, command in zip(roles, commands, strict=True):
        by_role[f"{_ROLES.get(role, role)}-{numbers[role]}"] = command
        numbers[role] += 1
    return {"pd": by_role}


def _features(argvs: Sequence[Sequence[str]], envs: Sequence[Mapping[str, str]]) -> Iterator[str]:
    words = [word.partition("=")[0] for argv in argvs for word in argv]
    for flag, feature in _FLAGS.items():
        if flag in words:
            yield feature
    if any(_GRAPH in word for argv in argvs for word in argv):
        yield "aclgraph"
    for env in envs:
        for name, value in env.items():
            if (switch := _SWITCH.fullmatch(name)) and value.lower() not in _OFF:
                yield switch[1].lower()


def _dtype(model: str, argvs: Sequence[Sequence[str]]) -> str:
    """Return the type of the weights: of a quantised model that in its name, else `--dtype`."""
    words = [word for argv in argvs for word in argv]
    if quantised := re.search(r"w[48]a(?:8|16)|fp8|int8|int4|awq|gptq", model.lower()):
        return quantised[0]
    for index, word in enumerate(words):
        if word.startswith("--dtype="):
            return word.partition("=")[2]
        if word == "--dtype" and index + 1 < len(words):
            return words[index + 1]
    return "bf16"


def _common(envs: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Return the variables that all servers have with the same value, except those of a host."""
    first = hide_in_env(envs[0]) if envs else {}
    return {
        name: one_line(str(value))
        for name, value in sorted(first.items())
        if not _OF_HOST.fullmatch(name) and all(env.get(name) == envs[0][name] for env in envs)
    }


def _words(value: object) -> list[str]:
    return [one_line(str(word)) for word in value] if isinstance(value, list) else []


def _env(value: object) -> dict[str, str]:
    return {str(name): str(each) for name, each in value.items()} if isinstance(value, dict) else {}
