"""Whether a Python that a host lacks can be downloaded: real agents, real ports."""

from __future__ import annotations

import contextlib
import os
import socket
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hosts_here import held_port
from plans import plan_of

from ci.agent.client import Agent
from ci.connect.connection import LocalConnection
from ci.doctor.model import Examination, Finding
from ci.plan.model import Preparation
from ci.prepare.pythons import download_findings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    with contextlib.closing(Agent(LocalConnection("a"), str(tmp_path))) as agent:
        yield agent


def findings(agent: Agent, python: str) -> list[Finding]:
    spec = {"python": python}
    item = Preparation("t", "a", "environment", "/w/envs/t", "f", spec)
    plan = replace(plan_of("./serve.sh --port 8000", names="a"), preparations=(item,))
    facts = agent.call("facts", ports=[], workspace=agent.workspace, pythons=True).value
    return list(download_findings(plan, {"a": facts}, {"a": agent}))


def test_neither_reaches_it(agent: Agent, monkeypatch: pytest.MonkeyPatch):
    with held_port() as port:
        monkeypatch.setenv("UV_PYTHON_INSTALL_MIRROR", f"http://me:s3cret@127.0.0.1:{port}/x")
        (finding,) = findings(agent, "3.99")
    assert (finding.host, finding.severity, finding.subject) == ("a", "error", "python")
    assert f"connect to 127.0.0.1:{port}" in finding.message
    assert "t needs Python 3.99" in finding.message
    assert "install python3.99 there" in finding.advice
    assert "s3cret" not in finding.message + finding.advice
    note = Finding("a", "python", "info", "uv downloads it", "")
    both = Examination({}, {}, (), (note,)).with_findings([finding])
    assert both.findings == (finding,)


def test_either_reaches_it(agent: Agent, monkeypatch: pytest.MonkeyPatch):
    with socket.create_server(("127.0.0.1", 0)) as mirror, held_port() as closed:
        address = f"http://127.0.0.1:{mirror.getsockname()[1]}"
        monkeypatch.setenv("UV_PYTHON_INSTALL_MIRROR", address)
        assert findings(agent, "3.99") == []
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{closed}")  # then only the host does
        assert findings(agent, "3.99") == []


def test_it_is_there(agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As an earlier night left it; that of another architecture in a shared home is none."""
    machine = os.uname().machine
    for version, kind in (("3.98", machine), ("3.99", "other")):
        folder = tmp_path / f"uv/python/cpython-{version}.1-linux-{kind}-gnu/bin"
        folder.mkdir(parents=True)
        (folder / f"python{version}").touch(0o755)
    with held_port() as port:
        monkeypatch.setenv("UV_PYTHON_INSTALL_MIRROR", f"http://127.0.0.1:{port}")
        assert findings(agent, "3.98") == []
        assert len(findings(agent, "3.99")) == 1
