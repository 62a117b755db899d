"""Which tokenizers the evaluations need on the leader, and their folders there. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ci.case.variables import RUN_FOLDER
from ci.plan.evaluations import command_of
from ci.vllm.model_source import ModelSource, tokenizer_source

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci.plan.model import Evaluation, Plan


def tokenizers_of(plan: Plan) -> dict[str, tuple[ModelSource, tuple[str, ...]]]:
    """Return the tokenizers that the tools load: key → its source, and the names of benchmarks.

    A tokenizer that a preparation makes is left out.
    """
    made = {item.path for item in plan.preparations if item.kind == "model"}
    head = next((server for server in plan.servers if not server.headless), None)
    served = tokenizer_source(head.argv, head.env, head.cwd or "") if head else None
    needed: dict[str, tuple[ModelSource, tuple[str, ...]]] = {}
    for evaluation in plan.evaluations:
        name = evaluation.tokenizer
        if not name or name in made or not _loads_tokenizer(evaluation):
            continue
        source = replace(served or ModelSource(name), weights=False)
        if source.key != name:
            source = replace(source, name=name, revision="", download_dir="")
        _, benchmarks = needed.get(name, (source, ()))
        needed[name] = (source, (*benchmarks, evaluation.benchmark.name))
    return needed


def with_tokenizers(plan: Plan, folders: Mapping[str, str]) -> Plan:
    """Put the folders of tokenizers into the evaluations; `folders` are key → folder."""
    return replace(
        plan,
        evaluations=tuple(
            _with_tokenizer(plan, evaluation, folders[evaluation.tokenizer])
            if evaluation.tokenizer in folders
            else evaluation
            for evaluation in plan.evaluations
        ),
    )


def _loads_tokenizer(evaluation: Evaluation) -> bool:
    command = command_of(evaluation, "/")
    return command is not None and bool(command.tokenizer)


def _with_tokenizer(plan: Plan, evaluation: Evaluation, folder: str) -> Evaluation:
    leader = next(host for host in plan.hosts if host.name == evaluation.host)
    planned = replace(evaluation, tokenizer=folder)
    home = RUN_FOLDER.format(workspace=leader.workspace, process=evaluation.process)
    command = command_of(planned, home)
    return replace(planned, argv=command.argv if command else ())
