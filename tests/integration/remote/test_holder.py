"""The step that holds a node of a Slurm job, on this machine: what it starts outlives agents."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hosts_here import PATIENCE_S, new_run, until

from ci.agent.client import Agent
from ci.agent.process_spec import ProcessSpec
from ci.agent.start_holder import start_holder
from ci.agent.start_process import start
from ci.connect.connection import LocalConnection
from ci.remote.supervise.holder import address, begin

if TYPE_CHECKING:
    from ci.agent.process import RemoteProcess
    from ci.connect.connection import Channel

LAST_S = 1e6  # no lease of a test expires


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> str:
    """Be in a step of a job, as far as variables tell."""
    number = str(10**8 + os.getpid())
    for name, value in {"SLURM_JOB_ID": number, "SLURM_NTASKS": "1", "PMI_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    return number


def begin_process(agent: Agent, run: str, name: str = "server") -> RemoteProcess:
    argv = ("sh", "-c", "env; exec sleep 1000")
    spec = ProcessSpec(run=run, process=name, argv=argv, env={}, owner="me", lease_s=LAST_S)
    return start(agent, spec, lambda _: None)


def ancestors(pid: int) -> list[int]:
    found = []
    while pid > 1:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        found.append(pid)
    return found


def pid_of(channel: Channel) -> int:
    return channel._process.pid  # type: ignore[attr-defined,no-any-return]


def lives(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_it_starts_what_outlives_the_agent(job: str, tmp_path: Path):
    workspace, run = str(tmp_path), new_run()
    held = start_holder(LocalConnection())
    first = Agent(LocalConnection(), workspace)
    try:
        process = begin_process(first, run)
        assert process.state.pid
        assert pid_of(held) in ancestors(process.state.pid)
        until(lambda: b"PATH=" in first.read(process.log))
        assert b"SLURM_" not in first.read(process.log)
        assert b"PMI_" not in first.read(process.log)
    finally:
        first.close()
    second = Agent(LocalConnection(), workspace)
    try:
        assert lives(process.state.pid)
        held.finish()  # the controller leaves
        until(lambda: begin(job, {}) is None)  # so the next holder can take the node
        assert lives(pid_of(held))
        second.call("stop", folder=process.folder, grace_s=1)
        assert held.exit_code(PATIENCE_S) == 0
    finally:
        second.close()
        held.close()


def test_a_second_holder_leaves_the_node_to_the_first(job: str, tmp_path: Path):
    held = start_holder(LocalConnection())
    second = start_holder(LocalConnection())
    agent = Agent(LocalConnection(), str(tmp_path))
    try:
        assert second.exit_code(PATIENCE_S) == 0
        process = begin_process(agent, new_run())
        assert process.state.pid
        assert pid_of(held) in ancestors(process.state.pid)
        process.stop(1)
    finally:
        agent.close()
        second.close()
        held.close()
    assert job


def test_without_a_holder_the_agent_starts_it_itself(job: str, tmp_path: Path):
    agent = Agent(LocalConnection(), str(tmp_path))
    try:
        process = begin_process(agent, new_run())
        assert process.alive
        process.stop(1)
    finally:
        agent.close()
    assert job


def test_what_is_refused_is_told(job: str, tmp_path: Path):
    held = start_holder(LocalConnection())
    agent = Agent(LocalConnection(), str(tmp_path))
    try:
        run = new_run()
        process = begin_process(agent, run)
        with pytest.raises(Exception, match="already exists"):
            begin_process(agent, run)
        process.stop(1)
    finally:
        agent.close()
        held.close()
    assert address(job).endswith(job.encode())
