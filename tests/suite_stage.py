"""Suites of light servers on lab hosts: where they are run, and what is known of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hosts_here import PATIENCE_S, until
from night import INVOKE, PROJECT

from ci.lab import faults, inside

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ci.lab.model import Lab

T = TypeVar("T")
SERVER = PROJECT / "tests/integration/suite_run/unsteady_server.py"
PORT = 18_410


class SuiteStage:
    """Lab hosts, a folder with cases and a suite, and the runs of it.

    Attributes:
        lab: the hosts.
        folder: has the cases, the suite and the runs.
    """

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab, self.folder = lab, folder
        self.controllers: list[subprocess.Popen[str]] = []
        self.down: set[str] = set()

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    @property
    def hosts(self) -> list[str]:
        return [host.name for host in self.lab.hosts]

    def case(self, name: str, *manners: str, env: Mapping[str, object] | None = None) -> None:
        """Write a case of unsteady servers, one for each manner."""
        roles = ["--port $SERVER_PORT"] + ["--headless"] * (len(manners) - 1)
        number = len(list(self.folder.glob("*.yaml")))
        case = {
            "test_name": name,
            "model": "light",
            "num_nodes": len(manners),
            "npu_per_node": 0,
            "env_common": {"SERVER_PORT": PORT + number, **(env or {})},
            "ready_timeout_s": 120,
            "deployment": [
                {"server_cmd": f"python3 {SERVER} $SERVER_PORT {manner} {role}"}
                for manner, role in zip(manners, roles, strict=True)
            ],
        }
        (self.folder / f"{name}.yaml").write_text(json.dumps(case))

    def suite(self, *nights: Mapping[str, object], mute: str = "[]") -> None:
        """Write the suite, with entries of `nights`, and mutes as YAML."""
        entries = [{**each, "cases": f"./{each['cases']}"} for each in nights]
        document = {"cluster": str(self.lab.cluster_file), "nights": entries, "expected": "1m"}
        text = f"{json.dumps(document)[:-1]}, mute: {mute}}}"
        (self.folder / "suite.yaml").write_text(text)

    def begin(self, *flags: str) -> subprocess.Popen[str]:
        """Start `inv suite.run`."""
        words = (
            flags if "--resume" in flags else ("--suite", str(self.folder / "suite.yaml"), *flags)
        )
        with self.output.open("a") as output:
            started = subprocess.Popen(
                [*INVOKE, "suite.run", *words, "--runs", str(self.runs)],
                cwd=PROJECT,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                env={**os.environ, **self.env},
            )
        self.controllers.append(started)
        return started

    def inv(self, *words: str) -> str:
        """Run another command; return its output."""
        ended = subprocess.run(
            [*INVOKE, *words],
            cwd=PROJECT,
            env={**os.environ, **self.env},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        print(ended.stdout)
        return ended.stdout

    @property
    def env(self) -> dict[str, str]:
        return {"CI": "true", "LAMPLIGHTER_WORKSPACE": str(self.folder / "workspace")}

    @property
    def output(self) -> Path:
        return self.folder / "output"

    def finish(self, controller: subprocess.Popen[str]) -> int:
        """Wait for the end of a controller; return its exit code."""
        code = controller.wait(3600)
        print(self.output.read_text("utf-8"))
        return code

    @property
    def path(self) -> Path:
        """The folder of the suite's run."""
        (path,) = self.runs.glob("*-suite-*")
        return path

    @property
    def has_begun(self) -> bool:
        return any(self.runs.glob("*-suite-*/suite.json"))

    @property
    def running(self) -> list[str]:
        """The names of the nights that run."""
        nights = self.state["nights"] if self.has_begun else []
        return [each["name"] for each in nights if each["state"] == "running"]

    @property
    def state(self) -> dict[str, Any]:
        return json.loads((self.path / "suite.json").read_text("utf-8"))

    def night(self, name: str) -> dict[str, Any]:
        return next(each for each in self.state["nights"] if each["name"] == name)

    def until(self, condition: Callable[[], T]) -> T:
        """Wait for a condition while the newest controller runs."""
        value = until(lambda: condition() or self.controllers[-1].poll() is not None, PATIENCE_S)
        assert self.controllers[-1].poll() is None, self.output.read_text("utf-8")
        return value

    def await_server(self, night: str) -> str:
        """Wait until a server of a night's last run is started; return its host."""

        def host() -> str:
            attempts = self.night(night)["attempts"] if self.has_begun else []
            name = attempts[-1]["hosts"][0] if attempts else ""
            commands = [each.command for each in inside.processes(self.lab, name)] if name else []
            return name if any(str(SERVER) in each for each in commands) else ""

        return self.until(host)

    def await_free(self) -> None:
        """Wait until nothing of ours runs on any host that is up."""
        for host in self.hosts:
            if host not in self.down:
                until(lambda host=host: not inside.processes(self.lab, host), PATIENCE_S)

    def crash(self, host: str) -> None:
        """Kill a host at once."""
        faults.crash(self.lab, host)
        self.down.add(host)

    def end(self) -> None:
        """End what a failed test left here, and make the hosts of it new."""
        for controller in self.controllers:
            if controller.poll() is None:
                controller.kill()
                controller.wait()
        left = [each for each in self.runs.glob("*/processes/*/pid") if _is_ours(each)]
        for each in left:
            with suppress(OSError):
                os.kill(int(each.read_text()), signal.SIGKILL)
        for host in self.hosts if left else sorted(self.down):
            faults.boot(self.lab, host)


def _is_ours(pid: Path) -> bool:
    """Whether the process of a pid file still runs our task."""
    with suppress(OSError):
        command = Path("/proc", pid.read_text().strip(), "cmdline").read_bytes()
        return b"suite.night" in command or b"down" in command
    return False
