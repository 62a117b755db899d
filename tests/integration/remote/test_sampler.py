"""The sampler of a host, as a night starts it, beside real processes that use its CPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hosts_here import new_run, until
from pythons_here import each_python

from ci.agent.client import Agent
from ci.agent.process_spec import ProcessSpec
from ci.agent.start_process import start
from ci.agent.telemetry_archive import NAME, archive
from ci.connect.connection import LocalConnection
from ci.judge.samples import Sample, samples_of
from ci.remote.names import INPUTS, TELEMETRY
from ci.remote.supervise.proc import MARKER
from ci.remote.telemetry import counters, sampler
from ci.remote.telemetry.shares import _parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ci.agent.process import RemoteProcess

BUSY = (sys.executable, "-c", "while True: pass")


class Sampling:
    """A run with a sampler on this machine."""

    def __init__(self, workspace: Path, python: str) -> None:
        connection = LocalConnection("here")
        connection.python = python
        self.run = new_run()
        self.agent = Agent(connection, str(workspace))
        self.started: list[RemoteProcess] = []
        self.folder = Path(self.agent.state, self.run)

    def start(self, name: str, *argv: str) -> RemoteProcess:
        spec = ProcessSpec(self.run, name, argv)
        self.started.append(start(self.agent, spec, lambda _: None))
        return self.started[-1]

    def begin(self) -> RemoteProcess:
        path = self.folder / INPUTS / TELEMETRY / NAME
        self.agent.write(str(path), archive())
        return self.start(TELEMETRY, self.agent.connection.python, "-ISB", str(path), "null")

    @property
    def text(self) -> str:
        file = self.folder / TELEMETRY / sampler.FILE
        return file.read_text() if file.exists() else ""

    @property
    def samples(self) -> list[Sample]:
        return list(samples_of(self.text.splitlines()))

    def until(self, condition: Callable[[list[Sample]], bool]) -> list[Sample]:
        until(lambda: condition(self.samples))
        return self.samples

    def close(self) -> None:
        for process in self.started:
            process.stop(0)
        self.agent.close()


@pytest.fixture
def sampling(tmp_path: Path) -> Iterator[Sampling]:
    with closing(Sampling(tmp_path / "workspace", sys.executable)) as made:
        yield made


@pytest.fixture
def busy() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(BUSY) as process:
        yield process
        process.kill()


def used_s(pid: int) -> float:
    """CPU seconds that a process has used, from its own /proc/PID/stat."""
    item = _parse(counters.read(f"/proc/{pid}/stat"))
    assert item is not None
    return item.own_ticks / counters.TICKS_PER_S


def foreign_s(samples: list[Sample], pid: int) -> float:
    """CPU seconds that samples have of a foreign process."""
    of_all = [each.processes.foreign for each in samples if each.processes]
    return sum(one.cpu_s for listed in of_all for one in listed if one.pid == pid)


def test_the_time_of_a_foreign_process_is_counted(sampling: Sampling, busy: subprocess.Popen):
    before_s = used_s(busy.pid)
    sampling.begin()
    samples = sampling.until(lambda samples: foreign_s(samples, busy.pid) >= 2)
    counted_s = foreign_s(samples, busy.pid)
    assert counted_s <= used_s(busy.pid) - before_s
    assert sum(each.processes.foreign_s for each in samples if each.processes) >= counted_s - 0.01
    first = next(index for index, each in enumerate(samples) if each.processes)
    assert all(each.cpu and each.cpu.all_s > 0 for each in samples[first:])


def test_the_runs_own_processes_and_the_samplers_are_not_foreign(sampling: Sampling):
    """Its server has children that leave the session and clear their environment."""
    script = "env -i setsid python3 -c 'while True: pass' & exec python3 -c 'while True: pass'"
    server = sampling.start("server-0", "sh", "-c", script)
    sampling.begin()
    samples = sampling.until(
        lambda samples: sum(each.processes.own_s for each in samples if each.processes) >= 2
    )
    own = {server.state.pid, *map(int, children(server.state.pid)), *samplers(sampling)}
    named = {one.pid for each in samples if each.processes for one in each.processes.foreign}
    assert len(own) == 3
    assert named & own == set()


def children(pid: int | None) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def samplers(sampling: Sampling) -> list[int]:
    return [one.state.pid for one in sampling.started if one.name == TELEMETRY and one.state.pid]


def test_the_controller_and_what_it_starts_is_not_foreign(tmp_path: Path, busy: subprocess.Popen):
    """Where the controller is this machine, its work and its children's are not foreign."""
    with closing(Sampling(tmp_path / "workspace", sys.executable)) as sampling:
        item = _parse(counters.read("/proc/self/stat"))
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        assert item is not None
        path = sampling.folder / INPUTS / TELEMETRY / NAME
        sampling.agent.write(str(path), archive())
        own = json.dumps([boot, item.pid, item.began])
        sampling.start(TELEMETRY, sys.executable, "-ISB", str(path), own)
        samples = sampling.until(
            lambda samples: sum(each.processes.ours_s for each in samples if each.processes) >= 1
        )
        assert foreign_s(samples, busy.pid) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")
def test_processes_of_other_hosts_on_the_same_kernel_are_not_foreign(
    tmp_path: Path, busy: subprocess.Popen
):
    """As hosts of a lab, or containers, see each other: by the CPU time that is gone, no more."""
    packed, file = tmp_path / NAME, tmp_path / sampler.FILE
    packed.write_bytes(archive())
    before_s = used_s(busy.pid)
    enter = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
    env = {**os.environ, MARKER: f"{new_run()}/{TELEMETRY}"}
    with subprocess.Popen(
        [*enter, sys.executable, "-ISB", str(packed), "null"], cwd=tmp_path, env=env
    ) as hidden:
        until(lambda: used_s(busy.pid) - before_s > 2 and file.exists())
        until(lambda: len(read_samples(file)) >= 4)
        hidden.kill()
    samples = read_samples(file)
    assert sum(each.cpu.busy_s for each in samples if each.cpu) > 1
    foreign = [each.processes.foreign_s for each in samples if each.processes]
    assert foreign
    assert set(foreign) == {0.0}


def read_samples(file: Path) -> list[Sample]:
    return list(samples_of(file.read_text("utf-8").splitlines()))


def test_a_sampler_ends_when_it_is_told_and_leaves_nothing(sampling: Sampling):
    running = sampling.begin()
    sampling.until(lambda samples: len(samples) >= 1)
    state = running.stop()
    assert (state.complete, state.killed, state.exit_code) == (True, 0, 0)
    first, *_, last = map(json.loads, sampling.text.splitlines())
    assert (first["kind"], last["kind"]) == ("host", "end")
    assert first["tools"] == []
    assert running.tail() == ()


@pytest.mark.parametrize("python", each_python(8))
def test_a_sampler_runs_on_every_python(tmp_path: Path, python: str):
    with closing(Sampling(tmp_path / "workspace", python)) as sampling:
        running = sampling.begin()
        samples = sampling.until(lambda samples: len(samples) >= 2)
        assert running.stop().exit_code == 0
        assert running.tail() == ()
    (cpu,) = [each.cpu for each in samples[1:2]]
    assert cpu is not None
    assert cpu.all_s > 0


def test_what_the_tools_of_devices_print_is_in_the_samples(sampling: Sampling, tmp_path: Path):
    """A server of the run is on the device, and another process; npu-smi there fails."""
    server = sampling.start("server-0", "sleep", "600")
    stranger = subprocess.Popen(["sleep", "600"])
    rows = [f"now, GPU-a, {pid}, /usr/bin/sleep" for pid in (server.state.pid, stranger.pid)]
    gpu = "0, GPU-a, 45, 1980, 321.50, 97, 21099, 0, 0x0000000000000044"
    folder = tmp_path / "bin"
    folder.mkdir()
    tool = folder / "nvidia-smi"
    tool.write_text(
        "#!/bin/sh\ncase $1 in\n"
        f"*compute-apps*) while :; do printf '%s\\n' '{rows[0]}' '{rows[1]}'; sleep 1; done;;\n"
        f"*) while :; do echo '{gpu}'; sleep 1; done;;\nesac\n"
    )
    failing = folder / "npu-smi"
    failing.write_text("#!/bin/sh\nexit 9\n")
    for path in (tool, failing):
        path.chmod(0o755)
    spec = ProcessSpec(
        sampling.run,
        TELEMETRY,
        (sys.executable, "-ISB", str(sampling.folder / INPUTS / TELEMETRY / NAME)),
        {"PATH": f"{folder}:{os.environ['PATH']}"},
    )
    sampling.agent.write(spec.argv[-1], archive())
    try:
        running = start(sampling.agent, spec, lambda _: None)
        sampling.started.append(running)
        samples = sampling.until(
            lambda samples: (
                any(each.devices and each.devices["GPU 0"].own for each in samples)
                and any("npu-smi" in each.gaps for each in samples)
            )
        )
    finally:
        stranger.kill()
        stranger.wait()
    device = next(
        each.devices["GPU 0"] for each in samples if each.devices and each.devices["GPU 0"].own
    )
    assert (device.slowdown_reasons, device.temperature_c) == (0x44, 45.0)
    assert [one.pid for one in device.foreign] == [stranger.pid]
    state = running.stop()
    assert (state.complete, state.survivors) == (True, ())


def test_the_file_has_a_bound(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Above the first, lists are left out; at the second, nothing is written any more."""
    monkeypatch.setattr(sampler, "FULL_BYTES", 300)
    monkeypatch.setattr(sampler, "MOST_BYTES", 600)
    path = tmp_path / "samples"
    file = os.open(path, os.O_WRONLY | os.O_CREAT)
    writer = sampler.Sampler("run-1", None, file)
    for _ in range(50):
        writer.write({"kind": "sample", "cores": {"busy_percent": [1] * 20}, "memory": 1})
    os.close(file)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert ["cores" in line for line in lines] == [True] * 4 + [False] * (len(lines) - 4)
    assert 500 < path.stat().st_size <= 600


def test_a_full_disk_loses_samples_and_no_more(monkeypatch: pytest.MonkeyPatch):
    file = os.open("/dev/full", os.O_WRONLY)
    writer = sampler.Sampler("run-1", None, file)
    writer.write({"kind": "sample"})
    os.close(file)
    reader, pipe = os.pipe()
    writer._file = pipe
    write = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, data[:5]))
    writer.write({"kind": "sample"})
    monkeypatch.setattr(os, "write", write)
    writer.write({"kind": "end"})
    os.close(pipe)
    with os.fdopen(reader) as text:
        assert text.read().splitlines() == ['{"kin', '{"kind":"end"}']
