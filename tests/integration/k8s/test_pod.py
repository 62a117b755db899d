"""What runs in a rendered pod, run here: the launcher out of the manifest, with light commands."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hosts_here import PATIENCE_S, held_port, until

from ci.case.load import parse
from ci.k8s.options import Options
from ci.k8s.render import planned, render

OPTIONS = Options(namespace="night", image="i", pvc="p", name="pair", grace_s=2)
# Says what it was started with, and stays.
SHOW = (
    "import json, os, sys, time; "
    "print(json.dumps([sys.argv[1:], dict(os.environ)]), flush=True); time.sleep(600)"
)


def plan_of(*words, env="{}", timeout_s=600):
    """A plan of one server per host, each started by this Python with the words given."""
    text = "test_name: t\nmodel: m\ndevice: cpu\nnpu_per_node: 0\n"
    text += f"num_nodes: {len(words)}\nready_timeout_s: {timeout_s}\nenv_common: {env}\n"
    text += "deployment:\n" + "".join(
        f"  - server_cmd: {json.dumps('serve ' + word)}\n" for word in words
    )
    plan = planned(parse(text.encode(), "c.yaml")[0], OPTIONS)
    processes = (with_code(server, SHOW) for server in plan.servers)
    return replace(plan, servers=tuple(processes))


def with_code(process, code, **more):
    return replace(process, argv=(sys.executable, "-c", code, *process.argv[1:]), **more)


class Pod:
    """One pod of a plan, made of nothing but its manifest and what LeaderWorkerSet adds."""

    def __init__(self, folder, plan, index=0, size=None, leader="127.0.0.1"):
        manifest = {
            document["kind"]: document for document in yaml.safe_load_all(render(plan, OPTIONS))
        }
        for name, text in manifest["ConfigMap"]["data"].items():
            (folder / name).write_text(text, "utf-8")
        template = manifest["LeaderWorkerSet"]["spec"]["leaderWorkerTemplate"]
        pod = template["workerTemplate" if index else "leaderTemplate"]["spec"]
        (container,) = pod["containers"]
        self.last_words = folder / "last-words"
        self.command = [word.replace("/lamplighter", str(folder)) for word in container["command"]]
        self.probe = [
            word.replace("/lamplighter", str(folder))
            for word in container["readinessProbe"]["exec"]["command"]
        ]
        self.env = {
            "PATH": os.environ["PATH"],
            "TMPDIR": str(folder),
            **{
                variable["name"]: variable["value"]
                for variable in container["env"]
                if "value" in variable
            },
            "POD_IP": "127.0.0.1",
            "LAST_WORDS": str(self.last_words),
            "LWS_LEADER_ADDRESS": leader,
            "LWS_GROUP_SIZE": str(size or template["size"]),
            "LWS_WORKER_INDEX": str(index),
        }

    def start(self):
        return subprocess.Popen(
            self.command, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def run(self, timeout_s=PATIENCE_S):
        process = self.start()
        try:
            out, _ = process.communicate(timeout=timeout_s)
        finally:
            process.kill()
        return process.returncode, out

    def ready(self):
        return subprocess.run(self.probe, env=self.env, check=False, capture_output=True).returncode


def lines_until(process, enough):
    """Read lines until `enough` of them are not the launcher's own."""
    started = {}
    for line in process.stdout:
        name, _, rest = line.partition("] ")
        if name != "[lamplighter":
            started[name.lstrip("[")] = json.loads(rest)
        if len(started) == enough:
            return started
    raise AssertionError(f"it ended; so far: {started}")


def ended(process):
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=PATIENCE_S)
    return process.returncode, out


def test_a_pod_starts_the_processes_of_its_own_host_and_no_others(tmp_path):
    plan = plan_of("--first $LOCAL_IP", "--at $MASTER_IP 'a b' --own $LOCAL_IP", env="{A: '1'}")
    more = [
        replace(plan.servers[1], name="rank-1", env={**plan.servers[1].env, "RANK": "1"}),
        replace(plan.servers[1], name="rank-0", env={**plan.servers[1].env, "RANK": "0"}),
    ]
    pod = Pod(tmp_path, replace(plan, servers=(plan.servers[0], *more)), index=1)
    with pod.start() as process:
        started = lines_until(process, 2)
        code, _ = ended(process)
    assert code == 128 + signal.SIGTERM
    assert set(started) == {"rank-0", "rank-1"}
    for name, (argv, env) in started.items():
        assert argv == ["--at", "127.0.0.1", "a b", "--own", "127.0.0.1"]
        assert (env["RANK"], env["A"]) == (name[-1], "1")
        assert env["VLLM_HOST_IP"] == "127.0.0.1"
        assert env["GLOO_SOCKET_IFNAME"] == "eth0"


def test_values_that_only_the_pod_knows_are_filled_in_there(tmp_path):
    plan = plan_of("--x", env="{LD_LIBRARY_PATH: '/own:$LD_LIBRARY_PATH', B: '$(date) ;'}")
    pod = Pod(tmp_path, plan)
    pod.env["LD_LIBRARY_PATH"] = "/of/image"
    with pod.start() as process:
        ((_, env),) = lines_until(process, 1).values()
        ended(process)
    assert env["LD_LIBRARY_PATH"] == "/own:/of/image"
    assert env["B"] == "$(date) ;"


@pytest.mark.parametrize(
    ("code", "exit_code", "message"),
    [
        ("raise SystemExit(7)", 7, "rank-1 ended with exit code 7"),
        ("pass", 1, "rank-1 ended with exit code 0"),
        ("import os; os.kill(os.getpid(), 9)", 137, "rank-1 ended with signal 9"),
    ],
)
def test_the_pod_ends_with_its_first_process(tmp_path, code, exit_code, message):
    plan = plan_of("--x")
    (server,) = plan.servers
    # It starts a grandchild, which has to go too.
    has_begun = tmp_path / "begun"
    lasting = (
        "import pathlib, subprocess, time; "
        "print(subprocess.Popen(['sleep', '600']).pid, flush=True); "
        f"pathlib.Path({str(has_begun)!r}).touch(); time.sleep(600)"
    )
    failing = replace(
        server, name="rank-1", argv=(sys.executable, "-c", f"{once_there(has_begun)}\n{code}")
    )
    stays = replace(server, argv=(sys.executable, "-c", lasting))
    pod = Pod(tmp_path, replace(plan, servers=(stays, failing)))
    got, out = pod.run()
    assert got == exit_code
    assert pod.last_words.read_text("utf-8") == message + "\n"
    (grandchild,) = (line.split()[1] for line in out.splitlines() if line.startswith("[server-0]"))
    assert not alive(int(grandchild))


def once_there(path):
    """Return code that waits for a file."""
    return f"import os, time\nwhile not os.path.exists({str(path)!r}): time.sleep(0.02)"


def alive(pid):
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8")
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}


def test_a_process_that_ignores_term_is_killed(tmp_path):
    plan = plan_of("--x")
    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "print('[]', flush=True); time.sleep(600)"
    )
    (server,) = plan.servers
    plan = replace(plan, servers=(replace(server, argv=(sys.executable, "-c", deaf)),))
    with Pod(tmp_path, plan).start() as process:
        lines_until(process, 1)
        began = time.monotonic()
        code, _ = ended(process)
    assert code == 128 + signal.SIGTERM
    assert time.monotonic() - began >= OPTIONS.grace_s


@pytest.mark.parametrize(
    ("argv", "message"),
    [(("/no/such/program",), "server-0 cannot be started"), ((sys.executable, "-x"), "ended with")],
)
def test_a_process_that_cannot_start_is_reported(tmp_path, argv, message):
    plan = plan_of("--x")
    plan = replace(plan, servers=(replace(plan.servers[0], argv=argv),))
    pod = Pod(tmp_path, plan)
    code, _ = pod.run()
    assert code != 0
    assert message in pod.last_words.read_text("utf-8")


def test_waiting_for_a_pods_address_ends_at_the_deadline(tmp_path):
    plan = plan_of("--peer $MASTER_IP", "--x", timeout_s=1)
    peer = replace(plan.servers[0], argv=(*plan.servers[0].argv, plan.hosts[1].address))
    pod = Pod(
        tmp_path, replace(plan, servers=(peer, plan.servers[1])), leader="no.such.name.invalid"
    )
    code, out = pod.run()
    assert code == 1
    assert "server-0 waits for the address of no-1.such.name.invalid" in out
    assert "timed out after 1 s waiting for" in pod.last_words.read_text("utf-8")


def test_a_group_of_another_size_is_refused(tmp_path):
    pod = Pod(tmp_path, plan_of("--x", "--y"), size=3)
    code, out = pod.run()
    assert code == 2
    assert "the plan has 2 hosts, but the group 3 pods" in out


@pytest.fixture
def free_ports():
    with held_port() as first, held_port() as second, held_port() as third:
        yield first, second, third


def answering(port, before=""):
    """The code of a server that answers /health, after what it does before."""
    return (
        f"import http.server as h, time, json, sys, os\n{before}\n"
        "class A(h.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        self.send_response(200 if self.path == '/health' else 404)\n"
        "        self.end_headers()\n"
        "    def log_message(self, *_): pass\n"
        f"h.HTTPServer(('127.0.0.1', {port}), A).serve_forever()\n"
    )


def test_a_pod_is_ready_when_its_server_answers(tmp_path, free_ports):
    port, *_ = free_ports
    plan = plan_of(f"--port {port}", "--headless")
    server = replace(plan.servers[0], argv=(sys.executable, "-c", answering(port)))
    pod = Pod(tmp_path, replace(plan, servers=(server, plan.servers[1])))
    assert pod.ready() == 1
    with pod.start() as process:
        until(lambda: pod.ready() == 0)
        ended(process)
    assert pod.ready() == 1
    pod.env["LWS_WORKER_INDEX"] = "1"  # headless: it has nothing that could be asked
    assert pod.ready() == 0


def test_services_servers_and_router_start_one_after_the_other(tmp_path, free_ports):
    store_port, port, router_port = free_ports
    plan = plan_of(f"--port {port}")
    (server,) = plan.servers
    store_may, server_may = tmp_path / "store may", tmp_path / "server may"
    shows = "print(json.dumps(open(sys.argv[1]).read()), flush=True)"
    store = replace(
        server,
        name="store",
        argv=(
            *(sys.executable, "-c", answering(store_port, f"{shows}\n{once_there(store_may)}")),
            f"{plan.workspace}/.lamplighter/<host>/<run>/inputs/store/conf/a.json",
        ),
        ports=(store_port,),
        health_url=None,
        files={"conf/a.json": f"at {plan.hosts[0].address}"},
    )
    server = replace(server, argv=(sys.executable, "-c", answering(port, once_there(server_may))))
    url = f"http://{plan.hosts[0].address}:{router_port}/health"
    argv = (sys.executable, "-c", answering(router_port))
    router = replace(server, name="router", argv=argv, health_url=url)
    plan = replace(plan, servers=(server,), services=(store,), router=router)
    pod = Pod(tmp_path, plan)
    with pod.start() as process:
        lines = []
        for words, file in (("server-0 waits for", store_may), ("starts server-0", server_may)):
            while not any(words in line for line in lines):
                lines.append(next(process.stdout).rstrip())
            file.touch()
        until(lambda: pod.ready() == 0)
        process.send_signal(signal.SIGTERM)
        lines += process.stdout.read().splitlines()
    began = [line.split()[2].rstrip(":") for line in lines if " starts " in line]
    assert began == ["store", "server-0", "router"]
    assert '[store] "at 127.0.0.1"' in lines
    waits = [line for line in lines if " waits for " in line]
    assert waits[0].startswith(f"[lamplighter] server-0 waits for tcp://127.0.0.1:{store_port}")
