"""Check that the datasets of a plan are there. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.doctor.model import Finding
from ci.tools.nltk_data import advice as advice_of
from ci.tools.nltk_data import places

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ci.doctor.model import Facts
    from ci.plan.model import Plan
    from ci.tools.model import Dataset


def datasets_on(plan: Plan, host: str) -> tuple[str, ...]:
    """Return the folders of datasets, and of what they lack, to look for on a host."""
    named = [item.dataset for item in plan.evaluations if item.host == host]
    folders = {each.path for each in named if each.place == "host" and each.path}
    return tuple(
        sorted(folders | {place for each in named if each.lacks for place in places(each)})
    )


def dataset_findings(plan: Plan, facts: Mapping[str, Facts]) -> Iterator[Finding]:
    """Report datasets that are neither on this machine nor in the folder of the tool's host."""
    for item in plan.evaluations:
        dataset = item.dataset
        if dataset.place == "host":
            seen = (facts.get(item.host, {}).get("weights") or {}).get(dataset.path)
            if seen is not None and not seen["exists"]:
                message = (
                    f"{dataset.path} of {item.benchmark.name} is neither here nor on this host"
                )
                advice = "correct dataset_path, or copy the dataset to one of them"
                yield Finding(item.host, "dataset", "error", message, advice)
        elif dataset.path is None and dataset.place != "none":
            message = (
                f"{item.benchmark.dataset_path} of {item.benchmark.name} is not on this machine"
            )
            advice = f"`inv datasets.list --config {plan.case.path}` lists what to do"
            yield Finding(item.host, "dataset", "error", message, advice)
        if dataset.lacks and _is_nowhere(dataset, facts.get(item.host, {})):
            message = (
                f"{item.benchmark.name} counts sentences with NLTK's punkt_tab, which is neither "
                f"{dataset.path}/{dataset.lacks} nor in this host's own nltk_data"
            )
            yield Finding(item.host, "dataset", "error", message, advice_of(dataset))


def _is_nowhere(dataset: Dataset, facts: Facts) -> bool:
    seen = facts.get("weights") or {}
    answers = [seen[place] for place in places(dataset) if place in seen]
    return bool(answers) and not any(answer["exists"] for answer in answers)
