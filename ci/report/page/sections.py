"""Take the parts of a page that are in the record alone. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ci.documents.counted import counted
from ci.history.hosts import accelerators_in, facts_of
from ci.record.page import CheckShown, FunctionalShown, MeasurementShown, Row

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ci.record.model import Run
    from ci.record.page import Past

MOST_RESULTS = 300


def checks(run: Run, past: Mapping[tuple[str, str], tuple[Past, ...]]) -> Iterator[CheckShown]:
    """Yield the checks, each with its figures of earlier nights."""
    for check in run.checks:
        yield CheckShown(**vars(check), past=past.get((check.name, check.metric), ()))


def functional_of(run: Run) -> Iterator[FunctionalShown]:
    """Yield the functional cases that did not simply pass, by type."""
    order = ("failed", "known", "skipped")
    for kind, report in run.functional_report.items():
        told = sorted(
            (each for each in report.results if each.outcome in order),
            key=lambda each: order.index(each.outcome),
        )
        yield FunctionalShown(type=kind, summary=report.summary, results=tuple(told[:MOST_RESULTS]))


def measurements_of(run: Run) -> Iterator[MeasurementShown]:
    """Yield every figure that was measured."""
    for measured in (*(each.measurements for each in run.evaluations), run.startup_figures):
        for each in measured:
            yield MeasurementShown(
                benchmark=each.benchmark,
                metric=each.metric,
                value=each.value,
                unit=each.unit,
                n=each.n,
                runs=each.runs,
                source=each.source,
            )


def problems_of(run: Run) -> Iterator[Row]:
    """Yield why figures of a benchmark are not judged, but for what its check says already."""
    for each in run.evaluations:
        told = [check.reason for check in run.checks if check.name == each.benchmark]
        for problem in dict.fromkeys((*each.problems, *each.void)):
            if not any(problem in reason for reason in told):
                yield Row(name=each.benchmark, text=problem)


def settings_of(run: Run) -> Iterator[Row]:
    """Yield how each benchmark was asked, in one line; once, however often it was asked so."""
    yield from dict.fromkeys(_settings_of(run))


def _settings_of(run: Run) -> Iterator[Row]:
    for each in run.evaluations:
        used = each.settings
        if used is None:
            continue
        dataset = f"{used.dataset.name} {used.dataset.digest}" if used.dataset else "random prompts"
        rate = f"{used.request_rate:g} requests/s" if used.request_rate else "as fast as possible"
        words = [
            f"{each.tool} {used.tool_version or ''}".strip(),
            dataset,
            counted(used.num_prompts, "item") if used.num_prompts else "all items",
            f"at most {counted(used.max_out_len, 'token')}",
            f"{used.batch_size} at once",
            rate,
            *([f"temperature {used.temperature:g}"] if used.temperature is not None else []),
            *([f"{used.passes} passes"] if used.passes > 1 else []),
        ]
        yield Row(name=each.benchmark, text=", ".join(words))


def environment_of(run: Run) -> Iterator[Row]:
    """Yield versions, hosts and packages."""
    for name, version in run.versions.items():
        yield Row(name=name, text=version)
    if run.git_commit:
        yield Row(name="commit", text=run.git_commit)
    for host in run.hosts:
        yield Row(name=host, text=", ".join(filter(None, _facts(facts_of(run, host)))))
    for host, by_name in run.environments.items():
        for name, each in by_name.items():
            known = (
                f"{counted(each.packages or 0, 'package')}: {each.list}"
                if each.list
                else "packages unknown"
            )
            yield Row(name=f"{name} on {host}", text=known)


def _facts(facts: Mapping[str, Any]) -> Iterator[str]:
    devices = [
        str(each.get("name") or each.get("kind") or "device") for each in accelerators_in(facts)
    ]
    for name in dict.fromkeys(devices):
        yield f"{devices.count(name)} × {name}"
    for key in ("cpu", "kernel", "driver", "firmware", "cann"):
        if isinstance(facts.get(key), str):
            yield f"{key if key != 'cpu' else 'CPU'} {facts[key]}"
    cores, memory = facts.get("cores"), facts.get("memory_bytes")
    if isinstance(cores, int):
        yield f"{cores} cores"
    if isinstance(memory, int | float):
        yield f"{memory / 2**30:.0f} GiB of memory"
