"""The contenders of fanout.py: connect to every host, read its facts, push a file to it.

A program of its own, as each runs in its own environment: `fanout_clients.py NAME`, the task as
JSON on stdin, what came of it as JSON on stdout. Imports are not timed for those that are
libraries; commands are timed whole. Every one checks host keys but Ansible and ssh alike ask for
the cheapest key exchange and cipher that we use ourselves.
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

AT_ONCE = 32
KEX, CIPHER = "curve25519-sha256", "aes128-gcm@openssh.com"


def ours(task: dict[str, Any]) -> Work:
    """This project: one agent a host, facts and file asked of it in one go."""
    from ci.agent.ask_all import call_all, gather  # noqa: PLC0415 - likewise
    from ci.agent.connected import connected  # noqa: PLC0415
    from ci.connect import ssh  # noqa: F401, PLC0415 - Fabric, imported untimed as for the others
    from ci.inventory.target import Target  # noqa: PLC0415

    way = {"user": "root", "port": 22, "identity": task["identity"]}
    way["known_hosts"] = task["known_hosts"]
    targets = [Target(name, address, **way) for name, address in task["hosts"].items()]

    def work() -> dict[str, str]:
        data = Path(task["payload"]).read_bytes()
        with connected(targets) as agents:
            asked = []
            for host, agent in agents.items():
                facts = agent.ask("facts", ports=[], paths=[])
                file = agent.ask("write", data, path=task["target"], mode=0o600)
                asked += [(host, agent, "facts", facts), (f"{host} file", agent, "write", file)]
            answers: dict[str, Any] = gather(asked, 60)
            names = {host: answers[host].value["hostname"] for host in agents}
            task["aside"].append(spent()[0])
            for _ in range(task["further"]):
                empty = timed(lambda: call_all(agents, "beat"))
                again = timed(lambda: call_all(agents, "facts", ports=[], paths=[]))
                task["rounds"].append({"empty": empty, "facts": again})
            task["aside"].append(spent()[0])
        return names

    return work


def asyncssh(task: dict[str, Any]) -> Work:
    """asyncssh: all at once up to 32, script and file in two channels, or tuned in one."""
    asyncio = importlib.import_module("asyncio")
    library = importlib.import_module("asyncssh")
    script, data = Path(task["script"]).read_bytes(), Path(task["payload"]).read_bytes()

    async def one(address: str, given: dict[str, Any], turn: Any) -> str:  # noqa: ANN401
        async with turn, library.connect(address, **given) as connection:
            if task["tuned"]:
                done = await connection.run(tuned(task), input=script + data, encoding=None)
            else:
                put = f"cat > {task['target']}"
                done, _ = await asyncio.gather(
                    connection.run("python3 -", input=script, encoding=None),
                    connection.run(put, input=data, encoding=None),
                )
            return str(json.loads(done.stdout)["hostname"])

    async def every() -> dict[str, str]:
        given = {
            "username": "root",
            "client_keys": [library.read_private_key(task["identity"])],
            "known_hosts": library.read_known_hosts(task["known_hosts"]),
            "config": None,
            "agent_path": None,
            "kex_algs": [KEX],
            "encryption_algs": [CIPHER],
            "compression_algs": None,
        }
        turn = asyncio.Semaphore(AT_ONCE)
        jobs = [one(address, given, turn) for address in task["hosts"].values()]
        return dict(zip(task["hosts"], await asyncio.gather(*jobs), strict=True))

    return lambda: dict(asyncio.run(every()))


def openssh(task: dict[str, Any]) -> Work:
    """OpenSSH: one batched call a host, 32 in parallel."""
    stdin, script = Path(task["folder"], "stdin"), Path(task["script"]).read_bytes()
    stdin.write_bytes(script + Path(task["payload"]).read_bytes())
    plain = f"head -c {len(script)} | python3 -; cat > {task['target']}"
    command = tuned(task) if task["tuned"] else plain

    def one(address: str) -> str:
        argv = ["ssh", *ssh_options(task), "-i", task["identity"], f"root@{address}"]
        with stdin.open("rb") as file:
            done = subprocess.run([*argv, command], stdin=file, capture_output=True, check=True)
        return str(json.loads(done.stdout)["hostname"])

    def work() -> dict[str, str]:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return dict(zip(task["hosts"], pool.map(one, task["hosts"].values()), strict=True))

    return work


def pyinfra(task: dict[str, Any]) -> Work:
    """pyinfra: its API, a fact of its own and files.put, without waiting between operations."""
    importlib.import_module("gevent.monkey").patch_all()
    api = importlib.import_module("pyinfra.api")
    connect = importlib.import_module("pyinfra.api.connect")
    operation = importlib.import_module("pyinfra.api.operation")
    operations = importlib.import_module("pyinfra.api.operations")
    context = importlib.import_module("pyinfra.context")
    facts = importlib.import_module("pyinfra.api.facts")
    files = importlib.import_module("pyinfra.operations.files")
    script = Path(task["script"]).read_text()

    class Everything(api.FactBase):  # type: ignore[misc, name-defined]
        def command(self) -> str:
            return f"python3 {'-ISB' if task['tuned'] else ''} -c {shlex.quote(script)}"

        def process(self, output: list[str]) -> str:
            return str(json.loads("".join(output))["hostname"])

    def work() -> dict[str, str]:
        data = {"ssh_user": "root", "ssh_key": task["identity"], "ssh_config_file": os.devnull}
        data |= {"ssh_known_hosts_file": task["known_hosts"], "ssh_allow_agent": False}
        data["ssh_look_for_keys"] = False
        hosts = [(name, {"ssh_hostname": at}) for name, at in task["hosts"].items()]
        inventory = api.Inventory((hosts, data))
        state = api.State(inventory, api.Config(PARALLEL=AT_ONCE))
        connect.connect_all(state)
        names = facts.get_facts(state, Everything)
        put = {"src": task["payload"], "dest": task["target"]}
        with context.ctx_state.use(state):
            # As its command line does: add_op itself goes host by host.
            spawn = functools.partial(state.pool.spawn, operation.add_op, state, files.put)
            for one in [spawn(host=host, **put) for host in inventory]:
                one.get()
        operations.run_ops(state, no_wait=True)
        connect.disconnect_all(state)
        return {host.name: name for host, name in names.items()}

    return work


def ansible(task: dict[str, Any]) -> Work:
    """Ansible: pipelining, the least facts that it has, and copy; 25 forks."""
    folder = Path(task["folder"])
    shared = f"ansible_user=root ansible_ssh_private_key_file={task['identity']}"
    hosts = (f"{name} ansible_host={at}" for name, at in task["hosts"].items())
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
    """What makes OpenSSH quick, and independent of who runs it."""
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
    """One Python for both, started as ours is, where anybody would write `python3 -; cat`."""
    size = Path(task["script"]).stat().st_size
    both = f"exec(i.read({size})); open({task['target']!r}, 'wb').write(i.read())"
    return shlex.join(["python3", "-ISBc", f"import sys; i = sys.stdin.buffer; {both}"])


def timed(work: Callable[[], object]) -> float:
    """Give the wall seconds of some work."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def spent() -> tuple[float, int]:
    """CPU seconds of this process and of those that it has waited for; the largest one's KiB."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used), max(one.ru_maxrss for one in used)


CONTENDERS = {one.__name__: one for one in (ours, asyncssh, openssh, pyinfra, ansible)}


def main() -> None:
    """Do one run."""
    task = {**json.load(sys.stdin), "rounds": [], "aside": []}
    work = CONTENDERS[sys.argv[1]](task)
    before, began = spent()[0], time.perf_counter()
    names = work()
    seconds = time.perf_counter() - began - sum(sum(one.values()) for one in task["rounds"])
    after, peak = spent()
    aside = task["aside"][1] - task["aside"][0] if task["aside"] else 0.0
    told = {"names": names, "seconds": seconds, "peak_kib": peak}
    told["cpu_s"] = after - before - aside
    sys.__stdout__.write(json.dumps({**told, "rounds": task["rounds"]}))  # type: ignore[union-attr]


if __name__ == "__main__":
    main()
