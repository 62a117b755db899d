"""Runs in every pod of a rendered plan: starts the processes of its host, ends when one ends.

Travels alone in a ConfigMap, next to `plan.json`: what Python vLLM has, stdlib only.

    python3 pod.py          start what `plan.json` says for host $LWS_WORKER_INDEX
    python3 pod.py ready    exit 0 when all of them answer that answer at all
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
LOOK_S = 1.0
PROBE_S = 3.0
SAY_S = 30.0
LAST_WORDS_S = 5.0
_NODE = re.compile(r"(//)?\$\{NODE_(\d+)_IP\}(?=(:[\d$])?)")

Item = dict[str, Any]


class NotYet(Exception):  # noqa: N818 - says what is, not that it is bad
    """Something that a process needs is not there yet; says what."""


class Addresses:
    """Where the pods of this group are: the own one by $POD_IP, the others asked of DNS."""

    def __init__(self, env: dict[str, str]) -> None:
        self.index = int(env["LWS_WORKER_INDEX"])
        self._leader, _, self._domain = env["LWS_LEADER_ADDRESS"].partition(".")
        self._known = {self.index: env["POD_IP"]}

    def name(self, index: int) -> str:
        """Name a pod as LeaderWorkerSet does: the leader's number is left out."""
        host = f"{self._leader}-{index}" if index else self._leader
        return f"{host}.{self._domain}"

    def of(self, index: int) -> str:
        """Give a pod's address; an address once found stays."""
        if index not in self._known:
            family = socket.AF_INET6 if ":" in self._known[self.index] else socket.AF_INET
            try:
                found = socket.getaddrinfo(self.name(index), None, family, socket.SOCK_STREAM)
            except OSError as error:
                raise NotYet(f"the address of {self.name(index)}: {error}") from None
            self._known[index] = str(found[0][4][0])
        return self._known[index]

    def fill(self, text: str) -> str:
        """Write the pods' addresses in place of `${NODE_<i>_IP}`."""

        def address(match: re.Match[str]) -> str:
            found, slashes = self.of(int(match[2])), match[1] or ""
            in_url = bool(slashes or match[3])
            return f"{slashes}[{found}]" if in_url and ":" in found else slashes + found

        return _NODE.sub(address, text)


class Group:
    """The processes of this pod, each with whatever it starts in a session of its own."""

    def __init__(self) -> None:
        self.running: dict[int, str] = {}
        self._processes: list[subprocess.Popen[bytes]] = []
        self._relays: list[threading.Thread] = []
        self._lock = threading.Lock()

    def start(self, name: str, argv: list[str], env: dict[str, str]) -> None:
        """Start one; its output becomes the pod's, every line under the process's name."""
        say(f"starts {name}: {shlex.join(argv)}")
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
        """Tell which has ended, and with what code. Also buries orphans: this is PID 1 there."""
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
        """TERM to all, time to go, then KILL to what is left of them."""
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + grace_s
        while self.running and time.monotonic() < deadline:
            self.ended()
            time.sleep(POLL_S)
        self._signal(signal.SIGKILL)
        for relay in self._relays:
            relay.join(LAST_WORDS_S)

    def _signal(self, number: int) -> None:
        for process in self._processes:
            with contextlib.suppress(OSError):  # nothing is left of that one
                os.killpg(process.pid, number)

    def _relay(self, name: str, process: subprocess.Popen[bytes]) -> None:
        prefix = f"[{name}] ".encode()
        for line in process.stdout or ():
            with self._lock:
                sys.stdout.buffer.write(prefix + line.rstrip(b"\n") + b"\n")
                sys.stdout.buffer.flush()


def run(plan: dict[str, Any], env: dict[str, str]) -> int:
    """Start all of this host's processes, each when what it needs is there; watch them.

    Returns:
        An exit code that is never 0: nothing here is meant to end.
    """
    addresses = Addresses(env)
    if str(len(plan["hosts"])) != env.get("LWS_GROUP_SIZE"):
        return last_words(
            f"the plan has {len(plan['hosts'])} hosts, the group {env.get('LWS_GROUP_SIZE')} "
            "pods: apply the manifest as a whole",
            2,
        )
    told: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda got, _: told.append(got))
    group = Group()
    try:
        return _watch(group, plan, addresses, env, told)
    finally:
        group.end(plan["grace_s"])


def _watch(
    group: Group, plan: dict[str, Any], addresses: Addresses, env: dict[str, str], told: list[int]
) -> int:
    waiting = list(plan["hosts"][addresses.index])
    deadline = time.monotonic() + plan["deadline_s"]
    look = said = time.monotonic()
    while not told:
        ended = group.ended()
        if ended:
            return last_words(f"{ended[0]} ended with {_code(ended[1])}", _exit_code(ended[1]))
        now = time.monotonic()
        if waiting and now >= look:
            waiting, missing = _start(group, waiting, plan["host_variables"], addresses, env)
            look = time.monotonic() + LOOK_S
            if waiting and now > deadline:
                return last_words(f"waited {plan['deadline_s']:g} s in vain for {missing}", 1)
            if waiting and now >= said:
                say(f"{waiting[0]['name']} waits for {missing}")
                said = now + SAY_S
        time.sleep(POLL_S)
    say(f"told to end by signal {told[0]}")
    return 128 + told[0]


def _start(
    group: Group,
    waiting: list[Item],
    host_variables: list[str],
    addresses: Addresses,
    env: dict[str, str],
) -> tuple[list[Item], str]:
    """Start what can be; give back what cannot yet, and what the first of them lacks."""
    left, missing = [], ""
    for item in waiting:
        try:
            argv, own = command(item, host_variables, addresses, env)
            for need in item["after"]:
                probe(addresses.fill(need))
        except NotYet as error:
            left.append(item)
            missing = missing or str(error)
            continue
        try:
            group.start(item["name"], argv, own)
        except OSError as error:
            raise SystemExit(
                last_words(f"{item['name']} cannot be started: {error}", 127)
            ) from None
    return left, missing


def command(
    item: Item, host_variables: list[str], addresses: Addresses, env: dict[str, str]
) -> tuple[list[str], dict[str, str]]:
    """Make one process's argv and environment of the plan's, as they are in this pod.

    Raises:
        NotYet: the address of a pod that it names is not known.
    """
    known = {**env, "RUN_FOLDER": str(FOLDER)}
    names = "|".join([*host_variables, "RUN_FOLDER"])
    reference = re.compile(rf"\$(?:({names})\b|\{{({names})\}})")

    def filled(text: str) -> str:
        here = addresses.fill(text)
        return reference.sub(lambda match: known.get(match[1] or match[2], ""), here)

    own = {name: filled(value) for name, value in item["env"].items()}
    for path, content in item["files"].items():
        target = FOLDER / item["name"] / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(filled(content), "utf-8")
    return [filled(word) for word in item["argv"]], {**env, **own}


def probe(url: str) -> None:
    """Ask once: `tcp://` has to accept a connection, `http://` to answer 200.

    Raises:
        NotYet: it does not.
    """
    try:
        if url.startswith("tcp://"):
            there = urlsplit(url)
            socket.create_connection((there.hostname or "", there.port or 0), PROBE_S).close()
            return
        # A pod's own proxy settings are for the way out of the cluster.
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(url, timeout=PROBE_S) as answer:
            if answer.status != HTTPStatus.OK:
                raise NotYet(f"{url}: answers {answer.status}")
    except (OSError, urllib.error.URLError, ValueError) as error:
        raise NotYet(f"{url}: {error}") from None


def ready(plan: dict[str, Any], env: dict[str, str]) -> int:
    """Whether every process of this pod that answers requests does; for the readiness probe."""
    addresses = Addresses(env)
    try:
        for item in plan["hosts"][addresses.index]:
            if item["health"]:
                probe(addresses.fill(item["health"]))
    except NotYet as error:
        say(str(error))
        return 1
    return 0


def _code(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _exit_code(code: int) -> int:
    return 128 - code if code < 0 else code or 1


def last_words(text: str, code: int) -> int:
    """Say why this pod ends, in its log and where Kubernetes shows it."""
    say(text)
    if path := os.environ.get("LAST_WORDS"):
        Path(path).write_text(text + "\n", "utf-8")
    return code


def say(text: str) -> None:
    """Print a line of ours."""
    sys.stdout.write(f"[lamplighter] {text}\n")
    sys.stdout.flush()


def main(words: list[str]) -> int:
    """Do what the command line says."""
    plan = json.loads((HERE / "plan.json").read_text("utf-8"))
    act = ready if words == ["ready"] else run
    return act(plan, dict(os.environ))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
