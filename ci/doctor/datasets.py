"""Check that the datasets of a plan are there. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.doctor.model import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ci.doctor.model import Facts
    from ci.plan.model import Plan


def datasets_on(plan: Plan, host: str) -> tuple[str, ...]:
    """Return the folders of datasets that must exist on a host before the night."""
    named = [item.dataset for item in plan.evaluations if item.host == host]
    return tuple(sorted({each.path for each in named if each.place == "host" and each.path}))


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
