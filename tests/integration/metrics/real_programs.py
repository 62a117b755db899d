"""The real programs that metrics are for, each on a free port with folders of the test."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.error
import urllib.request
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from hosts_here import held_port, until

from ci.paths import CONFIGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# Debian's package → its programs, by the names that Debian and Prometheus's own archives give them.
PROGRAMS = {
    "prometheus": ("prometheus",),
    "promtool": ("promtool",),
    "prometheus-pushgateway": ("prometheus-pushgateway", "pushgateway"),
    "prometheus-alertmanager": ("prometheus-alertmanager", "alertmanager"),
    "amtool": ("amtool",),
    "prometheus-node-exporter": ("prometheus-node-exporter", "node_exporter"),
}
PACKAGES = {"promtool": "prometheus", "amtool": "prometheus-alertmanager"}
END_S = 20
# What a CI or whoever runs the tests has set.
_SET = (
    *("PROM_PUSHGATEWAY_URL", "PROM_PUSHGATEWAY_USER", "PROM_PUSHGATEWAY_PASSWORD"),
    *("PROM_PUSHGATEWAY_TOKEN", "PROM_PUSHGATEWAY_CA_FILE", "PROM_PUSHGATEWAY_KEEP_DAYS"),
    *("PROM_PUSHGATEWAY_REPOSITORY", "PROM_TEXTFILE_DIR", "GITHUB_REPOSITORY"),
    *("GITHUB_EVENT_NAME", "GITHUB_EVENT_PATH", "GITHUB_ACTIONS", "GITLAB_CI", "CI_PROJECT_PATH"),
    *("CI", "JENKINS_URL", "CHANGE_FORK"),
)


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in _SET:
        monkeypatch.delenv(name, raising=False)


def find(program: str) -> str:
    """Return the path of a program, or skip with the reason."""
    path = next(filter(None, map(shutil.which, PROGRAMS[program])), None)
    if path is None:
        package = PACKAGES.get(program, program)
        pytest.skip(f"no {program} here: apt-get install {package}; see docs/metrics.md")
    return path


def get(url: str, **query: str) -> bytes:
    with urllib.request.urlopen(f"{url}?{urlencode(query)}" if query else url) as response:
        return response.read()


def answers(url: str) -> bool:
    try:
        get(url)
    except urllib.error.HTTPError as error:
        return error.code < 500  # it asks for a password, or for TLS
    except OSError:
        return False
    return True


@dataclass(frozen=True)
class Program:
    """A program that runs: where it answers, and what it has printed."""

    url: str
    log: Path

    def get(self, path: str, **query: str) -> Any:
        """Return the data of an answer in JSON."""
        return json.loads(get(f"{self.url}{path}", **query))["data"]

    def text(self, path: str) -> str:
        return get(f"{self.url}{path}").decode()


@contextmanager
def running(
    folder: Path,
    program: str,
    *argv: str,
    ready: str = "/-/ready",
    port_of: Callable[[int], list[str]],
) -> Iterator[Program]:
    """Run a program until the end of the test, however the test ends."""
    path = find(program)
    folder.mkdir()
    log = folder / "log"
    with held_port() as port, log.open("w") as output:
        process = subprocess.Popen(
            [path, *argv, *port_of(port)], cwd=folder, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            url = f"http://127.0.0.1:{port}"
            until(lambda: answers(url + ready) or process.poll() is not None)
            assert process.poll() is None, log.read_text("utf-8")
            yield Program(url, log)
        finally:
            process.terminate()
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture
def started() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def listening(port: int) -> list[str]:
    return [f"--web.listen-address=127.0.0.1:{port}"]


@pytest.fixture
def gateway(started: ExitStack, tmp_path: Path) -> Callable[..., Program]:
    """Start a pushgateway that keeps nothing on the disk."""

    def start(*argv: str, name: str = "pushgateway") -> Program:
        argv = ("--persistence.file=", *argv)
        return started.enter_context(
            running(tmp_path / name, "prometheus-pushgateway", *argv, port_of=listening)
        )

    return start


@pytest.fixture
def prometheus(started: ExitStack, tmp_path: Path) -> Callable[..., Program]:
    """Start a Prometheus with the project's configuration, on these targets, each second."""

    def start(job: str, target: str, alertmanager: str = "127.0.0.1:9") -> Program:
        folder = tmp_path / "prometheus-config"
        shutil.copytree(CONFIGS / "prometheus", folder)
        config = folder / "prometheus.yml"
        text = config.read_text("utf-8")
        for before, after in (
            ("127.0.0.1:9091", target),
            ("127.0.0.1:9093", alertmanager),
            ("scrape_interval: 60s", "scrape_interval: 1s"),
            ("evaluation_interval: 60s", "evaluation_interval: 1s"),
            ("job_name: pushgateway", f"job_name: {job}"),
        ):
            assert before in text
            text = text.replace(before, after)
        config.write_text(text, "utf-8")
        argv = (f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'tsdb'}")
        return started.enter_context(
            running(tmp_path / "prometheus", "prometheus", *argv, port_of=listening)
        )

    return start


@pytest.fixture
def alertmanager(started: ExitStack, tmp_path: Path) -> Callable[..., Program]:
    """Start an Alertmanager with the project's configuration, alone; its receiver is nobody."""

    def start() -> Program:
        text = (CONFIGS / "prometheus" / "alertmanager.yml").read_text("utf-8")
        assert "127.0.0.1:8080" in text
        config = tmp_path / "alertmanager.yml"
        config.write_text(text.replace("127.0.0.1:8080", "127.0.0.1:9"), "utf-8")
        argv = (
            f"--config.file={config}",
            f"--storage.path={tmp_path / 'alerts'}",
            "--cluster.listen-address=",
        )
        return started.enter_context(
            running(tmp_path / "alertmanager", "prometheus-alertmanager", *argv, port_of=listening)
        )

    return start


@pytest.fixture
def node_exporter(started: ExitStack, tmp_path: Path) -> Callable[[Path], Program]:
    """Start a node_exporter that reads nothing but a folder of text files."""

    def start(directory: Path) -> Program:
        argv = (
            "--collector.disable-defaults",
            "--collector.textfile",
            f"--collector.textfile.directory={directory}",
        )
        return started.enter_context(
            running(
                tmp_path / "node",
                "prometheus-node-exporter",
                *argv,
                ready="/metrics",
                port_of=listening,
            )
        )

    return start
