"""Fetch a plan's models from their hub on the hosts that lack them, and find the tokenizers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ci.agent.answers import Answer
from ci.agent.ask_all import gather
from ci.agent.process import tail_of
from ci.agent.process_spec import LaunchRequest
from ci.connect.fan_out import all_of, fan_out
from ci.doctor.needs import models_on, processes_on, tokenizers_on, weights_on
from ci.doctor.weights import must_be_fetched
from ci.errors import InfrastructureError, PreparationFailed
from ci.plan.names import recipe_name
from ci.plan.tokenizers import with_tokenizers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ci.agent.process import RemoteProcess
    from ci.plan.model import Plan
    from ci.record.record import Record
    from ci.run.processes import Processes
    from ci.vllm.model_source import ModelSource

LOOK_S = 120.0
TAIL_LINES = 40
RECIPES = Path(__file__).with_name("recipes")
RECIPE, BESIDE = "fetch_model.py", "one_maker.py"
Seen = dict[str, dict[str, Any]]


def fetch_weights(plan: Plan, processes: Processes, record: Record) -> Plan:
    """Fetch every model that is absent or incomplete, and put tokenizers' folders into the plan.

    Args:
        plan: the plan made on the hosts.
        processes: the run's processes, which fetch.
        record: the run's record.

    Returns:
        The plan, whose evaluations have the folders of their tokenizers.

    Raises:
        PreparationFailed: a model could not be fetched, or a tokenizer is not on the leader.
    """
    if all(source.is_folder for source in _sources(plan)):
        return plan
    seen = _look(plan, processes)
    for source in _sources(plan):
        lacking = _lacking(plan, source, seen)
        if not lacking:
            continue
        with record.step(f"fetch {source.key} on {len(lacking)} of {len(seen)} hosts", "tool"):
            _fetch(
                plan,
                source,
                {host: seen[host] for host in _stores(source, lacking, seen)},
                processes,
            )
            seen = _look(plan, processes)
            # Hosts made from one image may look like hosts with one store.
            if lacking := _lacking(plan, source, seen):
                _fetch(plan, source, {host: seen[host] for host in lacking}, processes)
                seen = _look(plan, processes)
            _require_whole(plan, source, seen)
    located = seen.get(plan.leader, {})
    return with_tokenizers(plan, _folders(plan, located))


def must_be_fetched_on(plan: Plan, host: str, source: ModelSource, seen: Seen) -> bool:
    """Return whether a host has to fetch a model or a tokenizer of its own."""
    listed = (*weights_on(plan, host), *(known for known, _ in tokenizers_on(plan, host).values()))
    wanted = next((known for known in listed if known.key == source.key), None)
    return wanted is not None and must_be_fetched(wanted, seen.get(source.key))


def _lacking(plan: Plan, source: ModelSource, seen: Mapping[str, Seen]) -> list[str]:
    return [host for host in seen if must_be_fetched_on(plan, host, source, seen[host])]


def _stores(source: ModelSource, hosts: Sequence[str], seen: Mapping[str, Seen]) -> list[str]:
    """Choose one host of each store, as far as hosts that share a store can be told."""
    stores: dict[str, str] = {}
    for host in hosts:
        stores.setdefault(seen[host][source.key].get("shared") or host, host)
    return list(stores.values())


def _sources(plan: Plan) -> tuple[ModelSource, ...]:
    """Return every model, then every further tokenizer, each once."""
    sources: dict[str, ModelSource] = {}
    for host in plan.hosts:
        for source in weights_on(plan, host.name):
            sources.setdefault(source.key, source)
    for key, (source, _) in tokenizers_on(plan, plan.leader).items():
        sources.setdefault(key, source)
    return tuple(sources.values())


def _look(plan: Plan, processes: Processes) -> dict[str, Seen]:
    """Ask all hosts for the models that they need: host → key → where and how it is there."""
    agents = {host.name: processes.agents[host.name] for host in plan.hosts}
    requests = [
        (
            host,
            agent,
            "facts",
            agent.ask("facts", workspace=agent.workspace, ports=[], models=models_on(plan, host)),
        )
        for host, agent in agents.items()
    ]
    outcomes = all_of(gather(requests, LOOK_S))
    return {
        host: {key: value for key, value in (answer.value.get("weights") or {}).items() if value}
        for host, answer in outcomes.items()
        if isinstance(answer, Answer)
    }


def _fetch(plan: Plan, source: ModelSource, seen: Mapping[str, Seen], processes: Processes) -> None:
    """Fetch a model on all these hosts at once."""
    launches = all_of(
        fan_out(seen, lambda host: _launch(plan, host, source, seen[host][source.key], processes))
    )
    ended = processes.run_all_to_end(list(launches.values()))
    all_of({item.host: _failure(item, source) for item in ended if item.state.exit_code != 0})


def _launch(
    plan: Plan,
    host: str,
    source: ModelSource,
    seen: Mapping[str, Any],
    processes: Processes,
) -> LaunchRequest:
    name = recipe_name("weights", source.name.rpartition("/")[2])
    agent, folder = processes.agents[host], processes.inputs(host, name)
    # The process that loads it has the hub's address and token, and the proxies.
    server = next((item for item in processes_on(plan, host) if not item.headless), None)
    server = server or next(iter(processes_on(plan, host)), None)
    served = source.key in {known.key for known in weights_on(plan, host)}
    program = server.argv[0] if server else ""
    spec = {
        "name": source.name,
        "revision": source.revision,
        "download_dir": source.download_dir,
        "hub": seen["hub"],
        "cache": seen["cache"],
        "bin": program.rpartition("/")[0] if program.startswith("/") else "",
        "only_tokenizer": not served,
    }
    for file in (RECIPE, BESIDE):
        agent.write(f"{folder}/{file}", (RECIPES / file).read_bytes())
    agent.write(f"{folder}/spec.json", json.dumps(spec).encode())
    return LaunchRequest(
        host,
        name,
        (agent.connection.python, f"{folder}/{RECIPE}", f"{folder}/spec.json"),
        dict(server.env) if server else {},
        env_script=server.env_script if server else (),
    )


def _failure(ended: RemoteProcess, source: ModelSource) -> PreparationFailed:
    tail, unread = tail_of(ended, TAIL_LINES)
    lines = [line.strip() for line in tail if line.strip()]
    last = (
        f"{ended.state}; its log cannot be read: {unread}" if unread else (lines or ["no log"])[-1]
    )
    return PreparationFailed(
        f"{ended.host}: {source.key} was not fetched: {last}; give the night the way to its hub "
        "(HF_ENDPOINT, https_proxy, HF_TOKEN, VLLM_USE_MODELSCOPE in the case's environment), or "
        "copy the folder with `inv weights.sync`",
        tail,
    )


def _require_whole(plan: Plan, source: ModelSource, seen: Mapping[str, Seen]) -> None:
    lacking = _lacking(plan, source, seen)
    if lacking:
        known = seen[lacking[0]][source.key]
        missing = ", ".join(known.get("missing") or ()) or "the folder"
        raise PreparationFailed(
            f"{', '.join(lacking)}: {source.key} is still incomplete after fetching: {missing} is "
            f"missing in {known.get('folder') or known.get('cache')}; does its revision have it?",
            (),
        )


def _folders(plan: Plan, seen: Seen) -> dict[str, str]:
    """Return each tokenizer's folder on the leader."""
    folders: dict[str, str] = {}
    for key, (_, benchmarks) in tokenizers_on(plan, plan.leader).items():
        known = seen.get(key)
        if known is None:
            continue
        if not known.get("folder"):
            raise InfrastructureError(
                f"{plan.leader}: the tokenizer {key} of {', '.join(benchmarks)} is not on this "
                "host; copy its folder there and set `model_path` of the benchmark to it"
            )
        folders[key] = str(known["folder"])
    return folders
