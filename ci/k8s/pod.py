"""Start a host's processes in a pod, and exit when the first of them exits.

Runs in every pod of a rendered plan, from a ConfigMap that also has `pod_network.py`,
`pod_processes.py` and `plan.json`. Uses the standard library only, as it runs on the Python of any
vLLM image.

    python3 pod.py          start the processes of host $LWS_WORKER_INDEX in `plan.json`
    python3 pod.py ready    exit 0 if all processes that serve requests answer
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import Any

# In the same folder as this file, in a pod.
from pod_network import Addresses, NotReady, probe  # type: ignore[import-not-found]
from pod_processes import FOLDER, POLL_S, Group, log  # type: ignore[import-not-found]

HERE = Path(__file__).parent
START_INTERVAL_S = 1.0
LOG_INTERVAL_S = 30.0

Item = dict[str, Any]


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


def main(words: list[str]) -> int:
    """Run the action of the command line and return its exit code."""
    plan = json.loads((HERE / "plan.json").read_text("utf-8"))
    action = ready if words == ["ready"] else run
    return action(plan, dict(os.environ))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
