"""A home that hosts of two architectures share: each has a uv and environments of its own."""

from __future__ import annotations

import os
import sys
import zipfile
from io import StringIO
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

import pytest
from lab_fixture import output_of
from machines_here import OTHER, OURS, need_root_of

from ci.agent.connected import connected
from ci.catalog import locks
from ci.inventory.cluster_file import load
from ci.plan.addresses import with_addresses
from ci.plan.inputs import PlanInputs
from ci.plan.model import Host, Preparation
from ci.prepare.prepare import prepare
from ci.record.start import start
from ci.report.console import Plain
from ci.report.reports import write_reports
from ci.report.screen import SafeStream
from ci.run.processes import Processes
from ci.run.stop import clean, stop

if TYPE_CHECKING:
    from collections.abc import Callable

    from ci.agent.client import Agent
    from ci.inventory.target import Target
    from ci.lab.model import Lab

pytestmark = pytest.mark.usefixtures("as_root", "machine_network")
# Of the other machine's hosts: Debian's, which has no ensurepip.
PYTHON = "3.11"
OWN_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
CODE = "import native, os, tiny; assert native.MACHINE == os.uname().machine"


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def two_labs(
    request: pytest.FixtureRequest, labs: Callable[..., Lab], home: Path
) -> dict[str, Lab]:
    """Machine → a lab of one such host."""
    need_root_of(request.config, OTHER)
    return {OURS: labs(1, shared_home=home), OTHER: labs(1, machine=OTHER, shared_home=home)}


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pure package, and one that has a wheel for each architecture; hosts get nothing else."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    _wheel(folder, "tiny", "py3-none-any", "")
    for machine in (OURS, OTHER):
        _wheel(folder, "native", f"py3-none-manylinux_2_17_{machine}", f"MACHINE = {machine!r}")
    for name in ("UV_FIND_LINKS", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def _wheel(folder: Path, name: str, tag: str, code: str) -> None:
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(folder / f"{name}-1.0-{tag}.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", code + "\n")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nTag: {tag}\n")
        wheel.writestr(f"{info}/RECORD", "")


def planned(agents: dict[str, Agent], targets: list[Target], lock: str) -> list[Preparation]:
    """The environment `toy` of each host, as a night plans it once it knows the hosts."""
    hosts = tuple(Host(each.name, each.address, "", each.workspace or "") for each in targets)
    made = {}
    for host in hosts:
        path = f"{host.workspace}/envs/toy"
        spec = {
            "path": path,
            "fingerprint": "f1",
            "uv": None,
            "python": OWN_PYTHON if made == {} else PYTHON,
            "packages": ["tiny", "native"],
            "verify": ["python", "-c", CODE],
        }
        made[host.name] = Preparation("toy", host.name, "environment", path, "f1", spec, lock)
    facts = {name: agent.call("facts", ports=[]).value for name, agent in agents.items()}
    inputs = PlanInputs(tuple(targets), hosts, made, {}, {}, {})
    return list(with_addresses(inputs, facts).serving.values())


def test_each_host_runs_what_was_made_for_it(
    two_labs: dict[str, Lab], home: Path, wheels: Path, tmp_path: Path
):
    targets = [target for lab in two_labs.values() for target in load(lab.cluster_file)]
    shown = StringIO()
    view = Plain(SafeStream(shown))
    argv = ["inv", "nightly"]
    record = start(tmp_path / "runs", view, write_reports, case="toy", config="toy.yaml", argv=argv)
    stem = tmp_path / "locks" / "toy"
    with connected(targets) as agents:
        processes = Processes(record.id, "tester", agents, SimpleQueue(), view)
        items = planned(agents, targets, str(stem))
        try:
            prepare(items, processes, record)
        finally:
            print(shown.getvalue())
            stop(processes)
            assert clean(processes, ()) == []
    for item, folder in zip(items, ("envs/toy", f"envs/toy-{OTHER}"), strict=True):
        assert item.path == f"{home}/.cache/lamplighter/{folder}"
    for item, (machine, lab) in zip(items, two_labs.items(), strict=True):
        command = f"{item.path}/bin/python -c 'import native; print(native.MACHINE)'"
        assert output_of(lab, item.host, command) == machine
        lock = locks.read(Path(locks.path_of(str(stem), machine)))
        assert lock.packages == ("native==1.0", "tiny==1.0")
