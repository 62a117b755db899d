"""Start a host's processes in a pod, and exit when the first of them exits.

Runs in every pod of a rendered plan, from a ConfigMap that also has `plan.json`. Uses the standard
library only, as it runs on the Python of any vLLM image.

    python3 pod.py          start the processes of host $LWS_WORKER_INDEX in `plan.json`
    python3 pod.py ready    exit 0 if all processes that serve requests answer
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

HERE = Path(__file__).parent
FOLDER = Path(tempfile.gettempdir(), "lamplighter")
POLL_S = 0.1
START_INTERVAL_S = 1.0
PROBE_S = 3.0
LOG_INTERVAL_S = 30.0
RELAY_TIMEOUT_S = 5.0
_NODE = re.compile(r"(//)?\$\{NODE_(\d+)_IP\}(?=(:[\d$])?)")

Item = dict[str, Any]


class NotReady(Exception):  # noqa: N818 - a state, not a failure
    """Something that a process needs is not ready yet."""


class Addresses:
    """The addresses of this group's pods: this pod's from $POD_IP, the others' from DNS."""

    def __init__(self, env: dict[str, str]) -> None:
        self.index = int(env["LWS_WORKER_INDEX"])
        self._leader, _, self._domain = env["LWS_LEADER_ADDRESS"].partition(".")
        self._known = {self.index: env["POD_IP"]}

    def name(self, index: int) -> str:
        """Return a pod's DNS name as LeaderWorkerSet builds it; the leader's has no index."""
        host = f"{self._leader}-{index}" if index else self._leader
        return f"{host}.{self._domain}"

    def of(self, index: int) -> str:
        """Return a pod's address; it is resolved once and cached.

        Raises:
            NotReady: DNS does not know the pod yet.
        """
        if index not in self._known:
            family = socket.AF_INET6 if ":" in self._known[self.index] else socket.AF_INET
            try:
                results = socket.getaddrinfo(self.name(index), None, family, socket.SOCK_STREAM)
            except OSError as error:
                raise NotReady(f"the address of {self.name(index)}: {error}") from None
            self._known[index] = str(results[0][4][0])
        return self._known[index]

    def fill(self, text: str) -> str:
        """Replace `${NODE_<i>_IP}` by the pods' addresses."""

        def address(match: re.Match[str]) -> str:
            ip, slashes = self.of(int(match[2])), match[1] or ""
            in_url = bool(slashes or match[3])
            return f"{slashes}[{ip}]" if in_url and ":" in ip else slashes + ip

        return _NODE.sub(address, text)


class Group:
    """The processes of this pod, each in its own session together with its children."""

    def __init__(self) -> None:
        self.running: dict[int, str] = {}
        self._processes: list[subprocess.Popen[bytes]] = []
        self._relays: list[threading.Thread] = []
        self._lock = threading.Lock()

    def start(self, name: str, argv: list[str], env: dict[str, str]) -> None:
        """Start a process; its output goes to the pod's log, each line with the process's name."""
        log(f"starts {name}: {shlex.join(argv)}")
        (FOLDER / name).mkdir(parents=True, exist_ok=True)
        process = subprocess.Popen(
            argv,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.running[process.pid] = name
        self._processes.append(process)
        relay = threading.Thread(target=self._relay, args=(name, process), daemon=True)
        relay.start()
        self._relays.append(relay)

    def ended(self) -> tuple[str, int] | None:
        """Return a process that has ended and its code; also reap orphans, as this is PID 1."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return None
            if not pid:
                return None
            name = self.running.pop(pid, None)
            if name is not None:
                killed = os.WIFSIGNALED(status)
                return name, -os.WTERMSIG(status) if killed else os.WEXITSTATUS(status)

    def end(self, grace_s: float) -> None:
        """Send TERM to all processes, wait up to `grace_s` seconds, then send KILL to the rest."""
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + grace_s
        while self.running and time.monotonic() < deadline:
            self.ended()
            time.sleep(POLL_S)
        self._signal(signal.SIGKILL)
        for relay in self._relays:
            relay.join(RELAY_TIMEOUT_S)

    def _signal(self, number: int) -> None:
        for process in self._processes:
            with contextlib.suppress(OSError):  # that process has no children left
                os.killpg(process.pid, number)

    def _relay(self, name: str, process: subprocess.Popen[bytes]) -> None:
        prefix = f"[{name}] ".encode()
        for line in process.stdout or ():
            with self._lock:
                sys.stdout.buffer.write(prefix + line.rstrip(b"\n") + b"\n")
                sys.stdout.buffer.flush()


def run(plan: dict[str, Any], env: dict[str, str]) -> int:
    """Start this host's processes, each when its dependencies are ready, and watch them.

    Returns:
        An exit code that is never 0, because no process is expected to end.
    """
    addresses = Addresses(env)
    if str(len(plan["hosts"])) != env.get("LWS_GROUP_SIZE"):
        return end_with(
            f"the plan has {len(plan['hosts'])} hosts, but the group {env.get('LWS_GROUP_SIZE')} "
            "pods: apply the whole manifest",
            2,
        )
    signals: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: signals.append(received))
    group = Group()
    try:
        return _watch(group, plan, addresses, env, signals)
    finally:
        group.end(plan["grace_s"])


def _watch(
    group: Group,
    plan: dict[str, Any],
    addresses: Addresses,
    env: dict[str, str],
    signals: list[int],
) -> int:
    waiting = list(plan["hosts"][addresses.index])
    deadline = time.monotonic() + plan["deadline_s"]
    next_start_s = next_log_s = time.monotonic()
    while not signals:
        ended = group.ended()
        if ended:
            return end_with(f"{ended[0]} ended with {_code(ended[1])}", _exit_code(ended[1]))
        now = time.monotonic()
        if waiting and now >= next_start_s:
            waiting, missing = _start(group, waiting, plan["host_variables"], addresses, env)
            next_start_s = time.monotonic() + START_INTERVAL_S
            if waiting and now > deadline:
                message = f"timed out after {plan['deadline_s']:g} s waiting for {missing}"
                return end_with(message, 1)
            if waiting and now >= next_log_s:
                log(f"{waiting[0]['name']} waits for {missing}")
                next_log_s = now + LOG_INTERVAL_S
        time.sleep(POLL_S)
    log(f"ends because of signal {signals[0]}")
    return 128 + signals[0]


def _start(
    group: Group,
    waiting: list[Item],
    host_variables: list[str],
    addresses: Addresses,
    env: dict[str, str],
) -> tuple[list[Item], str]:
    """Start the processes that are ready to start.

    Returns:
        The processes that still wait, and the dependency that the first of them waits for.
    """
    still_waiting, missing = [], ""
    for item in waiting:
        try:
            argv, item_env = command(item, host_variables, addresses, env)
            for need in item["after"]:
                probe(addresses.fill(need))
        except NotReady as error:
            still_waiting.append(item)
            missing = missing or str(error)
            continue
        try:
            group.start(item["name"], argv, item_env)
        except OSError as error:
            raise SystemExit(end_with(f"{item['name']} cannot be started: {error}", 127)) from None
    return still_waiting, missing


def command(
    item: Item, host_variables: list[str], addresses: Addresses, env: dict[str, str]
) -> tuple[list[str], dict[str, str]]:
    """Return a process's argv and environment with this pod's values.

    Raises:
        NotReady: the address of a pod is not known yet.
    """
    known = {**env, "RUN_FOLDER": str(FOLDER)}
    names = "|".join([*host_variables, "RUN_FOLDER"])
    reference = re.compile(rf"\$(?:({names})\b|\{{({names})\}})")

    def filled(text: str) -> str:
        with_addresses = addresses.fill(text)
        return reference.sub(lambda match: known.get(match[1] or match[2], ""), with_addresses)

    own = {name: filled(value) for name, value in item["env"].items()}
    for path, content in item["files"].items():
        target = FOLDER / item["name"] / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(filled(content), "utf-8")
    return [filled(word) for word in item["argv"]], {**env, **own}


def probe(url: str) -> None:
    """Probe a URL once: `tcp://` must accept a connection, `http://` must answer 200.

    Raises:
        NotReady: it does not.
    """
    try:
        if url.startswith("tcp://"):
            parts = urlsplit(url)
            socket.create_connection((parts.hostname or "", parts.port or 0), PROBE_S).close()
            return
        # A pod's proxy settings are for connections that leave the cluster.
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(url, timeout=PROBE_S) as answer:
            if answer.status != HTTPStatus.OK:
                raise NotReady(f"{url}: expected status 200, got {answer.status}")
    except (OSError, urllib.error.URLError, ValueError) as error:
        raise NotReady(f"{url}: {error}") from None


def ready(plan: dict[str, Any], env: dict[str, str]) -> int:
    """Probe every process of this pod that serves requests; return 0 if all answer, else 1."""
    addresses = Addresses(env)
    try:
        for item in plan["hosts"][addresses.index]:
            if item["health"]:
                probe(addresses.fill(item["health"]))
    except NotReady as error:
        log(str(error))
        return 1
    return 0


def _code(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _exit_code(code: int) -> int:
    return 128 - code if code < 0 else code or 1


def end_with(text: str, code: int) -> int:
    """Write the reason for the pod's end to its log and its termination message; return `code`."""
    log(text)
    if path := os.environ.get("LAST_WORDS"):
        Path(path).write_text(text + "\n", "utf-8")
    return code


def log(text: str) -> None:
    """Print a line of this program to the pod's log."""
    sys.stdout.write(f"[lamplighter] {text}\n")
    sys.stdout.flush()


def main(words: list[str]) -> int:
    """Run the action of the command line and return its exit code."""
    plan = json.loads((HERE / "plan.json").read_text("utf-8"))
    action = ready if words == ["ready"] else run
    return action(plan, dict(os.environ))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
