"""The contenders of fanout.py: connect to every host, read its facts, push a file to it.

A separate program, since each contender runs in its own environment: `fanout_clients.py NAME`, with
the task as JSON on stdin and the result as JSON on stdout. For libraries, imports are not timed;
commands are timed whole. All check host keys; asyncssh, OpenSSH and Ansible use the same cheap key
exchange and cipher as this project.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import resource
import shlex
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Work = Callable[[], dict[str, str]]

MAX_PARALLEL = 32
KEX, CIPHER = "curve25519-sha256", "aes128-gcm@openssh.com"


def ours(task: dict[str, Any]) -> Work:
    """This project: one agent per host, facts and file in one round."""
    from ci.agent import facts_shape  # noqa: F401, PLC0415 - pydantic: untimed, as imports of others
    from ci.agent.ask_all import call_all, gather  # noqa: PLC0415 - only for this contender
    from ci.agent.connected import connected  # noqa: PLC0415
    from ci.connect import ssh  # noqa: F401, PLC0415 - Fabric, imported untimed as for the others
    from ci.inventory.target import Target  # noqa: PLC0415

    login = {"user": "root", "port": 22, "identity": task["identity"]}
    login["known_hosts"] = task["known_hosts"]
    targets = [Target(name, address, **login) for name, address in task["hosts"].items()]

    def work() -> dict[str, str]:
        data = Path(task["payload"]).read_bytes()
        with connected(targets) as agents:
            requests = []
            for host, agent in agents.items():
                facts = agent.ask("facts", ports=[])
                file = agent.ask("write", data, path=task["target"], mode=0o600)
                requests += [(host, agent, "facts", facts), (f"{host} file", agent, "write", file)]
            answers: dict[str, Any] = gather(requests, 60)
            names = {host: answers[host].value["hostname"] for host in agents}
            task["aside"].append(spent()[0])
            for _ in range(task["further"]):
                empty = timed(lambda: call_all(agents, "beat"))
                again = timed(lambda: call_all(agents, "facts", ports=[]))
                task["rounds"].append({"empty": empty, "facts": again})
            task["aside"].append(spent()[0])
        return names

    return work


def asyncssh(task: dict[str, Any]) -> Work:
    """asyncssh: up to 32 in parallel, script and file in two channels, or tuned in one."""
    asyncio = importlib.import_module("asyncio")
    library = importlib.import_module("asyncssh")
    script, data = Path(task["script"]).read_bytes(), Path(task["payload"]).read_bytes()

    async def visit(address: str, options: dict[str, Any], slots: Any) -> str:  # noqa: ANN401
        async with slots, library.connect(address, **options) as connection:
            if task["tuned"]:
                done = await connection.run(tuned(task), input=script + data, encoding=None)
            else:
                put = f"cat > {task['target']}"
                done, _ = await asyncio.gather(
                    connection.run("python3 -", input=script, encoding=None),
                    connection.run(put, input=data, encoding=None),
                )
            return str(json.loads(done.stdout)["hostname"])

    async def visit_all() -> dict[str, str]:
        options = {
            "username": "root",
            "client_keys": [library.read_private_key(task["identity"])],
            "known_hosts": library.read_known_hosts(task["known_hosts"]),
            "config": None,
            "agent_path": None,
            "kex_algs": [KEX],
            "encryption_algs": [CIPHER],
            "compression_algs": None,
        }
        slots = asyncio.Semaphore(MAX_PARALLEL)
        jobs = [visit(address, options, slots) for address in task["hosts"].values()]
        return dict(zip(task["hosts"], await asyncio.gather(*jobs), strict=True))

    return lambda: dict(asyncio.run(visit_all()))


def openssh(task: dict[str, Any]) -> Work:
    """OpenSSH: one batched call per host, 32 in parallel."""
    stdin, script = Path(task["folder"], "stdin"), Path(task["script"]).read_bytes()
    stdin.write_bytes(script + Path(task["payload"]).read_bytes())
    plain = f"head -c {len(script)} | python3 -; cat > {task['target']}"
    command = tuned(task) if task["tuned"] else plain

    def visit(address: str) -> str:
        argv = ["ssh", *ssh_options(task), "-i", task["identity"], f"root@{address}"]
        with stdin.open("rb") as file:
            done = subprocess.run([*argv, command], stdin=file, capture_output=True, check=True)
        return str(json.loads(done.stdout)["hostname"])

    def work() -> dict[str, str]:
        with ThreadPoolExecutor(MAX_PARALLEL) as pool:
            return dict(zip(task["hosts"], pool.map(visit, task["hosts"].values()), strict=True))

    return work


def pyinfra(task: dict[str, Any]) -> Work:
    """pyinfra: its API, a custom fact and files.put, without waiting between operations."""
    importlib.import_module("gevent.monkey").patch_all()
    api = importlib.import_module("pyinfra.api")
    connect = importlib.import_module("pyinfra.api.connect")
    operation = importlib.import_module("pyinfra.api.operation")
    operations = importlib.import_module("pyinfra.api.operations")
    context = importlib.import_module("pyinfra.context")
    facts = importlib.import_module("pyinfra.api.facts")
    files = importlib.import_module("pyinfra.operations.files")
    script = Path(task["script"]).read_text()

    class HostName(api.FactBase):  # type: ignore[misc, name-defined]
        def command(self) -> str:
            return f"python3 {'-ISB' if task['tuned'] else ''} -c {shlex.quote(script)}"

        def process(self, output: list[str]) -> str:
            return str(json.loads("".join(output))["hostname"])

    def work() -> dict[str, str]:
        data = {"ssh_user": "root", "ssh_key": task["identity"], "ssh_config_file": os.devnull}
        data |= {"ssh_known_hosts_file": task["known_hosts"], "ssh_allow_agent": False}
        data["ssh_look_for_keys"] = False
        hosts = [(name, {"ssh_hostname": address}) for name, address in task["hosts"].items()]
        inventory = api.Inventory((hosts, data))
        state = api.State(inventory, api.Config(PARALLEL=MAX_PARALLEL))
        connect.connect_all(state)
        names = facts.get_facts(state, HostName)
        put = {"src": task["payload"], "dest": task["target"]}
        with context.ctx_state.use(state):
            # As its command line does: `add_op` alone handles one host after another.
            spawn = functools.partial(state.pool.spawn, operation.add_op, state, files.put)
            for job in [spawn(host=host, **put) for host in inventory]:
                job.get()
        operations.run_ops(state, no_wait=True)
        connect.disconnect_all(state)
        return {host.name: name for host, name in names.items()}

    return work


def ansible(task: dict[str, Any]) -> Work:
    """Ansible: pipelining, its smallest set of facts, and copy; 25 forks."""
    folder = Path(task["folder"])
    shared = f"ansible_user=root ansible_ssh_private_key_file={task['identity']}"
    hosts = (f"{name} ansible_host={address}" for name, address in task["hosts"].items())
    python = "ansible_python_interpreter=/usr/bin/python3"
    (folder / "hosts").write_text("\n".join([*hosts, "[all:vars]", *shared.split(), python, ""]))
    copy = {"src": task["payload"], "dest": task["target"], "mode": "0600"}
    steps = [{"setup": {"gather_subset": ["!all"]}}, {"copy": copy}]
    play = [{"hosts": "all", "gather_facts": False, "strategy": "free", "tasks": steps}]
    (folder / "play.yaml").write_text(json.dumps(play))
    persist = ["-o", "ControlMaster=auto", "-o", "ControlPersist=60s"]
    environment = {
        **os.environ,
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_HOME": str(folder),
        "ANSIBLE_LOCAL_TEMP": str(folder / "temporary"),
        "ANSIBLE_PIPELINING": "True",
        "ANSIBLE_FORKS": "25",
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(folder / "m"),
        "ANSIBLE_SSH_ARGS": shlex.join([*ssh_options(task), *persist]),
        "ANSIBLE_CACHE_PLUGIN": "jsonfile",
        "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(folder / "facts"),
        "ANSIBLE_GATHERING": "explicit",
        "ANSIBLE_RETRY_FILES_ENABLED": "False",
    }
    program = str(Path(sys.executable).with_name("ansible-playbook"))

    def work() -> dict[str, str]:
        play = [program, "-i", "hosts", "play.yaml"]
        done = subprocess.run(play, cwd=folder, env=environment, capture_output=True, check=False)
        if done.returncode:
            raise SystemExit(done.stdout.decode()[-2000:] + done.stderr.decode()[-2000:])
        found = {path.name.partition("_")[2]: path for path in (folder / "facts").iterdir()}
        return {name: name_in(found[name].read_text()) for name in task["hosts"]}

    def name_in(text: str) -> str:
        kept = json.loads(text)
        return str(json.loads(kept.get("__payload__", text))["ansible_hostname"])

    return work


def ssh_options(task: dict[str, Any]) -> list[str]:
    """Return options that make OpenSSH fast and independent of the user's configuration."""
    options = {
        "UserKnownHostsFile": task["known_hosts"],
        "GlobalKnownHostsFile": "none",
        "KexAlgorithms": KEX,
        "Ciphers": CIPHER,
        "PreferredAuthentications": "publickey",
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "UpdateHostKeys": "no",
        "BatchMode": "yes",
    }
    return ["-F", "none", *(word for name in options for word in ("-o", f"{name}={options[name]}"))]


def tuned(task: dict[str, Any]) -> str:
    """Return a command that runs the script and stores the file in one Python process.

    It starts Python as this project does; the plain command is `python3 -; cat`.
    """
    size = Path(task["script"]).stat().st_size
    both = f"exec(i.read({size})); open({task['target']!r}, 'wb').write(i.read())"
    return shlex.join(["python3", "-ISBc", f"import sys; i = sys.stdin.buffer; {both}"])


def timed(work: Callable[[], object]) -> float:
    """Return the wall seconds of a call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def spent() -> tuple[float, int]:
    """Return CPU seconds of this process and its ended children, and the largest peak in KiB."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu_s = sum(usage.ru_utime + usage.ru_stime for usage in usages)
    return cpu_s, max(usage.ru_maxrss for usage in usages)


CONTENDERS = {client.__name__: client for client in (ours, asyncssh, openssh, pyinfra, ansible)}


def main() -> None:
    """Do one run."""
    task = {**json.load(sys.stdin), "rounds": [], "aside": []}
    work = CONTENDERS[sys.argv[1]](task)
    before, began = spent()[0], time.perf_counter()
    names = work()
    further = sum(sum(seconds.values()) for seconds in task["rounds"])
    seconds = time.perf_counter() - began - further
    after, peak = spent()
    aside = task["aside"][1] - task["aside"][0] if task["aside"] else 0.0
    result = {"names": names, "seconds": seconds, "peak_kib": peak}
    result["cpu_s"] = after - before - aside
    sys.__stdout__.write(json.dumps({**result, "rounds": task["rounds"]}))  # type: ignore[union-attr]


if __name__ == "__main__":
    main()
