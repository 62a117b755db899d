"""Environments made on real hosts that have no way out, over real SSH, with a real uv."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import zipfile
from dataclasses import dataclass, replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

import pytest
from hosts_here import until
from lab_fixture import output_of, ssh
from plans import plan_of

from ci.agent.connected import connected
from ci.catalog import locks
from ci.catalog.locks import Lock
from ci.connect.fan_out import SeveralFailed
from ci.doctor.installed import installed_on
from ci.errors import InfrastructureError, PreparationFailed
from ci.inventory.cluster_file import load
from ci.lab import faults, inside
from ci.plan.model import Preparation
from ci.prepare import resolve_packages
from ci.prepare.prepare import prepare
from ci.record.start import start
from ci.report.console import Plain
from ci.report.reports import write_reports
from ci.report.screen import SafeStream
from ci.run.preflight import require_same_packages
from ci.run.processes import Processes
from ci.run.stop import clean, find_survivors, stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ci.agent.client import Agent
    from ci.doctor.model import Packages
    from ci.lab.model import Lab
    from ci.record.record import Record
pytestmark = pytest.mark.usefixtures("as_root")
WORKSPACE = "/root/work"
HIDDEN = "s3cret-of-the-index"
WORKS = "import tiny; assert tiny.WORD == 'tiny'"


@pytest.fixture(scope="module")
def lab(labs: Callable[..., Lab], machine_network: None) -> Lab:
    return labs(2, workspace=WORKSPACE)


@pytest.fixture
def agents(lab: Lab) -> Iterator[dict[str, Agent]]:
    with connected(load(lab.cluster_file)) as made:
        yield made
    for host in lab.hosts:
        ssh(lab, host.name, f"rm -rf {WORKSPACE}/envs")


@dataclass(frozen=True)
class Preparing:
    """What `prepare` is given, and what a person sees of it."""

    processes: Processes
    record: Record
    shown: StringIO

    def prepare(self, packages: Sequence[str], code: str) -> None:
        """Make the same environment on every host."""
        prepare(items_for(self.processes.agents, packages, code), self.processes, self.record)


@pytest.fixture
def preparing(agents: dict[str, Agent], tmp_path: Path) -> Iterator[Preparing]:
    shown = StringIO()
    view = Plain(SafeStream(shown))
    argv = ["inv", "nightly"]
    record = start(tmp_path / "runs", view, write_reports, case="toy", config="toy.yaml", argv=argv)
    made = Processes(record.id, "tester", agents, SimpleQueue(), view)
    yield Preparing(made, record, shown)
    until(lambda: not find_survivors(made)[1])  # a host whose sshd was restarted is back
    stop(made)
    assert find_survivors(made) == ([], [])
    assert clean(made, ()) == []


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what a test says reaches the hosts, besides the index as this machine has it."""
    for name in ("PIP_FIND_LINKS", "UV_FIND_LINKS", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)


def items_for(
    hosts: Iterable[str], packages: Sequence[str], code: str, lock: str = "", name: str = "toy"
) -> list[Preparation]:
    path = f"{WORKSPACE}/envs/{name}"
    spec = {
        "path": path,
        "fingerprint": "f1",
        "uv": None,
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "packages": list(packages),
        "verify": ["python", "-c", code],
    }
    return [Preparation(name, host, "environment", path, "f1", spec, lock) for host in hosts]


def wheel(folder: Path, version: str = "1.0") -> Path:
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"tiny-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr("tiny.py", "WORD = 'tiny'\n")
        info = f"tiny-{version}.dist-info"
        metadata = f"Metadata-Version: 2.1\nName: tiny\nVersion: {version}\n"
        archive.writestr(f"{info}/METADATA", metadata)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return folder


def answers(host: str, port: int) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection((host, port), 5).close()
        return True
    return False


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def index(tmp_path: Path) -> Iterator[str]:
    """A package index that only this machine reaches; it has tiny, and says that it has lost."""
    folder = tmp_path / "index" / "simple"
    folder.mkdir(parents=True)
    wheel(folder / "tiny")
    (folder / "lost").mkdir()
    (folder / "lost" / "index.html").write_text(
        '<a href="http://127.0.0.1:9/lost-1.0-py3-none-any.whl">lost-1.0-py3-none-any.whl</a>'
    )
    handler = partial(Quiet, directory=str(tmp_path / "index"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/simple"
        server.shutdown()
        thread.join()


def test_wheels_of_a_folder_here_reach_hosts_that_lack_it(lab, preparing, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel(tmp_path / "wheels")))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    preparing.prepare(["tiny==1.0"], WORKS)
    shown = preparing.shown.getvalue()
    for host in preparing.processes.agents:
        python = f"{WORKSPACE}/envs/toy/bin/python"
        assert output_of(lab, host, f"{python} -c 'import tiny; print(tiny.WORD)'") == "tiny"
        assert output_of(lab, host, f"stat -c %a {WORKSPACE}/uv/bin/*") == "755"
        assert f"{host}: uv copied from this controller to {WORKSPACE}/uv/bin/uv" in shown
        assert f"{host}: wheels come from the controller's own folders" in shown
    began = len(preparing.processes.started)
    preparing.prepare(["tiny==1.0"], WORKS)
    assert len(preparing.processes.started) == began


def test_an_environment_with_special_dependencies(lab, preparing, tmp_path, monkeypatch):
    """Its name has a `+`, which the name of a process may not have."""
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel(tmp_path / "wheels")))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    name, agents = "vllm-0.32.0+5c1f3a80", preparing.processes.agents
    prepare(
        items_for(agents, ["tiny==1.0"], WORKS, name=name), preparing.processes, preparing.record
    )
    for host in agents:
        python = f"{WORKSPACE}/envs/{name}/bin/python"
        assert output_of(lab, host, f"{python} -c 'import tiny; print(tiny.WORD)'") == "tiny"


def test_an_index_that_only_the_controller_reaches(lab, preparing, index, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", index.replace("http://", f"http://someone:{HIDDEN}@"))
    preparing.prepare(["tiny==1.0"], WORKS)
    address = index.removeprefix("http://").removesuffix("/simple")
    for host, agent in preparing.processes.agents.items():
        note = f"{host}: cannot connect to {address}: packages come through the controller"
        assert note in preparing.shown.getvalue()
        assert ssh(lab, host, f"grep -rlF {HIDDEN} {agent.workspace}").stdout == ""
        # Its sshd listens, and nothing else any more.
        assert output_of(lab, host, "grep -c ' 0A ' /proc/net/tcp") == "1"
    texts = [preparing.shown.getvalue(), (preparing.record.path / "run.json").read_text()]
    assert HIDDEN not in "".join(texts)


def lists_of(preparing: Preparing) -> dict[str, Packages]:
    agents = preparing.processes.agents
    plan = replace(plan_of("./serve.sh --port 8000"), preparations=tuple(items_for(agents, [], "")))
    return installed_on(agents, plan)


def test_a_missing_lock_is_resolved_once_for_all_hosts(lab, preparing, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel(tmp_path / "wheels")))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    stem = tmp_path / "locks" / "toy-cpu"
    items = items_for(preparing.processes.agents, ["tiny"], WORKS, str(stem))
    prepare(items, preparing.processes, preparing.record)
    lock = locks.read(Path(locks.path_of(str(stem), os.uname().machine)))
    assert lock == Lock(locks.resolution_of(items[0].spec), ("tiny==1.0",))
    assert "1 package resolved here" in preparing.shown.getvalue()
    # A later release changes nothing: a later night has the lock.
    wheel(tmp_path / "wheels", "2.0")
    began = len(preparing.processes.started)
    later = [locks.locked(item, {os.uname().machine: list(lock.packages)}) for item in items]
    prepare(later, preparing.processes, preparing.record)
    assert len(preparing.processes.started) == began
    listed = lists_of(preparing)
    assert {host: by_name["toy"] for host, by_name in listed.items()} == dict.fromkeys(
        preparing.processes.agents, ("tiny==1.0",)
    )
    require_same_packages(listed, preparing.record.note)


def test_a_controller_that_cannot_resolve_leaves_it_to_the_hosts(preparing, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel(tmp_path / "wheels")))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setattr(resolve_packages, "index_settings", lambda: {"PIP_NO_INDEX": "1"})
    items = items_for(preparing.processes.agents, ["tiny"], WORKS, str(tmp_path / "locks" / "toy"))
    prepare(items, preparing.processes, preparing.record)
    assert "each host resolves its packages itself" in preparing.shown.getvalue()
    assert not (tmp_path / "locks").exists()
    assert len(lists_of(preparing)) == 2


def test_different_packages_on_hosts_end_the_night(lab, preparing, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel(tmp_path / "wheels")))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    preparing.prepare(["tiny==1.0"], WORKS)
    first, other = preparing.processes.agents
    # As after `pip install --upgrade` by hand on one of them.
    library = f"{WORKSPACE}/envs/toy/lib/python3.*/site-packages"
    ssh(lab, other, f"cd {library} && mv tiny-1.0.dist-info tiny-1.1.dist-info")
    listed = lists_of(preparing)
    with pytest.raises(InfrastructureError) as refused:
        require_same_packages(listed, preparing.record.note)
    for words in (f"tiny 1.0 on {first}, 1.1 on {other}", "remove envs/toy in the workspace of"):
        assert words in str(refused.value)
    require_same_packages(listed, preparing.record.note, doctor=False)
    assert "hosts differ: tiny" in preparing.shown.getvalue()


def test_the_real_index(lab, preparing):
    if not answers("pypi.org", 443):
        pytest.skip("this machine itself cannot reach the package index")
    preparing.prepare(["six==1.17.0"], "import six; assert six.__version__ == '1.17.0'")
    for host in preparing.processes.agents:
        stamp = output_of(lab, host, f"cat {WORKSPACE}/envs/toy/.lamplighter.json")
        assert "six==1.17.0" in stamp


def test_a_missing_package_is_reported_for_every_host(preparing, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel(tmp_path / "wheels")))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(SeveralFailed, match="absent was not found") as failed:
        preparing.prepare(["absent==2.0"], WORKS)
    for host in preparing.processes.agents:
        assert f"{host}: the environment toy: " in str(failed.value)


def test_files_on_a_refused_host_are_reported(preparing, index, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", index)
    with pytest.raises(SeveralFailed, match=r"127\.0\.0\.1:9; .*LAMPLIGHTER_INDEX_HOSTS"):
        preparing.prepare(["lost==1.0"], WORKS)


def test_a_host_without_forwarding_gets_advice(lab, preparing, index, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", index)
    host = lab.hosts[0].name
    config = inside.root_of(lab, host) / "run/lab/sshd_config"
    before = config.read_text()
    config.write_text("AllowTcpForwarding no\n" + before)
    try:
        faults.restart_sshd(lab, host, kill_sessions=True)
        with pytest.raises(PreparationFailed, match="AllowTcpForwarding yes"):
            preparing.prepare(["tiny==1.0"], WORKS)
    finally:
        config.write_text(before)
        faults.restart_sshd(lab, host, kill_sessions=True)
