"""Collect the settings of an evaluation for the record. Pure, except that it reads the dataset."""

from __future__ import annotations

from datetime import datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from ci.catalog.dataset_files import digest_of
from ci.record.fields import utc
from ci.record.model import DatasetEntry, Settings
from ci.record.redact import plain
from ci.tools.bench_data import makes_prompts

if TYPE_CHECKING:
    from ci.plan.model import Evaluation
    from ci.record.model import Run
    from ci.tools.model import Command, Job


def settings_of(evaluation: Evaluation, job: Job, command: Command, run: Run) -> Settings:
    """Collect the settings of an evaluation.

    Args:
        evaluation: the planned evaluation.
        job: the tool's job.
        command: the tool's command.
        run: the record, with the installed packages.

    Raises:
        UserError: the dataset's files no longer exist.
    """
    benchmark, sampling = evaluation.benchmark, plain(command.sampling)
    temperature, seed = sampling.get("temperature"), sampling.get("seed")
    return Settings(
        tool_version=_version(evaluation, run),
        model=job.endpoint.model,
        url=job.endpoint.url,
        num_prompts=job.expected_items or None,
        max_out_len=benchmark.max_out_len,
        batch_size=benchmark.batch_size,
        request_rate=benchmark.request_rate,
        temperature=None if temperature is None else float(temperature),
        seed=seed,
        sampling=sampling,
        request_conf=benchmark.request_conf,
        dataset_conf=benchmark.dataset_conf,
        dataset=None if makes_prompts(benchmark) else _dataset(evaluation, job),
        tokenizer=command.tokenizer or None,
        deadline_s=benchmark.deadline_s,
        passes=evaluation.passes.number,
        passes_auto=evaluation.passes.auto,
        argv=command.argv,
    )


def in_utc(time: object) -> str | None:
    """Write a host's time in the format of the record; None if it is not a time with a zone."""
    try:
        parsed = datetime.fromisoformat(str(time))
        return utc(parsed) if parsed.tzinfo else None
    except (ValueError, OverflowError):  # the value comes from a host
        return None


def _dataset(evaluation: Evaluation, job: Job) -> DatasetEntry:
    dataset = evaluation.dataset
    return DatasetEntry(
        name=dataset.name,
        form=dataset.form,
        items=dataset.items,
        digest=digest_of(dataset),
        made=job.dataset.made or None,
    )


def _version(evaluation: Evaluation, run: Run) -> str | None:
    """Return the version of the tool's environment; None if unknown."""
    name = PurePosixPath(evaluation.bin).parent.name if evaluation.bin else ""
    environment = run.environments.get(evaluation.host, {}).get(name)
    return environment.version if environment else None
