"""Hand a night of a suite to its own process: in a file, as settings may have secrets."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from ci.documents.files import read_bytes
from ci.errors import UserError
from ci.request import STAGES, Request
from ci.suite_run.process import ORDER, start_process
from ci.vllm.devices import VISIBLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from ci.inventory.target import Target
    from ci.suite.next_orders import Begin
    from ci.suite.night import SuiteNight
    from ci.suite.progress import SuiteRun
    from ci.suite_run.process import NightProcess

# Of two suites on the same hosts, one begins a night while the other one's still hands them back.
QUEUE_S = 600.0


def request_of(  # noqa: PLR0913, PLR0917 - what a night is made of
    run: SuiteRun,
    night: SuiteNight,
    begin: Begin,
    runs: str,
    run_id: str,
    targets: Mapping[str, Target],
) -> Request:
    """Return the request of a night, as `inv nightly` takes it.

    Args:
        run: the suite's run.
        night: which night.
        begin: its hosts and devices.
        runs: the folder of all runs.
        run_id: id of its run.
        targets: host → its entry of the cluster file.
    """
    host_env = {
        host: {VISIBLE[kind]: ",".join(map(str, devices))}
        for host, devices in begin.devices.items()
        if (found := targets[host].accelerator) and (kind := found.kind) in VISIBLE
    }
    return with_command(
        Request(
            config=night.config,
            cluster=run.cluster,
            on=",".join(begin.hosts),
            slurm_job=run.slurm.job if run.slurm else 0,
            vllm=night.vllm,
            workspace=run.workspace,
            runs=runs,
            skip_doctor=run.skip_doctor,
            functional=night.functional,
            set=night.settings,
            stages=",".join(night.stages) if set(night.stages) != set(STAGES) else "",
            benchmarks=",".join(night.benchmarks),
            functional_cases=",".join(night.functional_cases),
            judge=dict(night.judge),
            host_env=host_env,
            run=run_id,
            suite=run.id,
            suite_name=run.name,
            run_type=run.run_type,
            beside=bool(begin.devices),
            queue_s=QUEUE_S,
            measure=bool(night.stages),
        )
    )


def with_command(request: Request) -> Request:
    """Return a request with the command line that stands in the record."""
    return replace(request, argv=tuple(argv_of(request)))


_FLAGS = (
    *("config", "cluster", "on", "vllm", "workspace", "runs", "functional", "stages"),
    *("benchmarks", "functional_cases", "run_type", "suite_name"),
)


def argv_of(request: Request) -> Iterator[str]:
    """Yield the command line that runs a night again; what a suite says of judging is not in it."""
    yield from ("inv", "nightly")
    if not request.measure:  # only the smoke test
        request = replace(request, stages="functional", functional="none")
    # A night that is run again by itself has a job of its own, with other nodes.
    left_out = {"on"} if request.slurm_job else set()
    for name in _FLAGS:
        value = "" if name in left_out else getattr(request, name)
        if value and (name, value) != ("runs", "runs"):
            yield from (f"--{name.replace('_', '-')}", value)
    if request.skip_doctor:
        yield "--skip-doctor"
    for each in request.set:
        yield from ("--set", each)


def write_order(path: Path, request: Request) -> None:
    """Write a request, readable by its owner alone.

    Raises:
        OSError: it cannot be written.
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    text = json.dumps(asdict(request), indent=2, ensure_ascii=False) + "\n"
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    partial.replace(path)


def start_night(folder: Path, request: Request) -> NightProcess:
    """Start the process of a night.

    Raises:
        UserError: it cannot be started.
    """
    try:
        write_order(folder / ORDER, request)
        return start_process(folder, ("suite.night", "--order", str(folder / ORDER)))
    except OSError as error:
        raise UserError(f"{folder}: the night cannot be started: {error.strerror}") from error


def read_order(path: Path) -> Request:
    """Read a request.

    Raises:
        UserError: it cannot be read, or is none.
    """
    try:
        return TypeAdapter(Request).validate_json(read_bytes(path))
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, problem["loc"]))
        raise UserError(
            f"{path}: is not the order of a night: {where}: {problem['msg']}; `inv suite.run` "
            "writes and removes these files"
        ) from None
