"""Findings from the facts of hosts, and how they are shown."""

import io
from dataclasses import replace

import pytest
from plans import plan_of, preparation, with_servers

from ci.commands import examination_table as table
from ci.doctor.checks import findings_of
from ci.doctor.datasets import dataset_findings, datasets_on
from ci.doctor.examine import clock
from ci.doctor.model import Examination, Pair
from ci.doctor.needs import devices_on, weights_on
from ci.inventory.target import Accelerator, Target
from ci.plan.model import Host
from ci.tools.model import Dataset

GIB = 2**30
SERVE = "/w/envs/vllm-1/bin/vllm serve /m/x --port 8000"
HEAD = f"{SERVE} -dp 2 -dpl 1 --data-parallel-address $MASTER_IP --data-parallel-rpc-port 13345"
WORKER = f"{HEAD} --headless --data-parallel-start-rank 1"
TWO = plan_of(HEAD, WORKER, names="ab", device="cpu", npu_per_node=0)
ALONE = plan_of(SERVE, names="a", device="cpu", npu_per_node=0)
TWO_GPUS = plan_of(SERVE, names="a", device="cuda", npu_per_node=2)


def facts_of(number=1, **more):
    """A healthy host's."""
    facts = {
        "python": "3.11.2",
        "cpu": "Kunpeng",
        "kernel": "6.1",
        "machine": "aarch64",
        "cores": 64,
        "cann": "8.3",
        "clock_offset_s": 0.01,
        "clock_uncertainty_s": 0.005,
        "memory_bytes": 64 * GIB,
        "memory_free_bytes": 60 * GIB,
        "disk_free_bytes": 500 * GIB,
        "disk_total_bytes": 1000 * GIB,
        "shm_free_bytes": 32 * GIB,
        "interfaces": [
            {"name": "lo", "mtu": 65536, "up": True},
            {"name": "eth0", "mtu": 1500, "up": True},
            {"name": "eth1", "mtu": 1500, "up": False},
        ],
        "addresses": [
            {"interface": "lo", "address": "127.0.0.1", "prefix": 8},
            {"interface": "eth0", "address": f"10.0.0.{number}", "prefix": 24},
        ],
        "ports_taken": {},
        "environments": {"vllm-1": {"fingerprint": "f1", "packages": {"vllm": "1", "torch": "2"}}},
        "vllm": None,
        "weights": {"/m/x": weights()},
        "accelerators": [],
        "errors": {},
    }
    return facts | more


def weights(**more):
    return {
        "exists": True,
        "files": 3,
        "bytes": 30,
        "has_config": True,
        "missing": [],
        "fingerprint": "00",
    } | more


def holder(**more):
    return {"pid": 7, "command": "python3 x", "user": "ann", "run": None, "memory_mb": 9} | more


def gpu(index=0, used=10, **more):
    return {
        "kind": "cuda",
        "index": index,
        "label": f"GPU {index}",
        "name": "H100",
        "memory_total_mb": 80000,
        "memory_used_mb": used,
        "processes": [],
        "driver": "550",
    } | more


def check(plan=TWO, a=None, b=None, **more):
    facts = {"a": facts_of(1, **(a or {})), "b": facts_of(2, **(b or {}))}
    known = {"silent": {}, "pairs": (), "targets": {}} | more
    return findings_of(plan, facts, **known)


def test_healthy_hosts_give_no_finding():
    assert check() == ()


OURS = holder(run="r1/server-0")


@pytest.mark.parametrize(
    ("facts", "severity", "subject", "words"),
    [
        ({"python": "3.6.8"}, "error", "python", "3.6.8"),
        ({"clock_offset_s": 1.5}, "warning", "clock", "1.5 s ahead of"),
        ({"clock_offset_s": -3600.0}, "error", "clock", "3600.0 s behind"),
        (
            {"runs": [{"run": "r9", "owner": "bo@x"}]},
            "error",
            "run",
            "run r9 of bo@x is on this host",
        ),
        (
            {"runs": [{"run": "r9", "owner": "bo@x", "user": "eve", "pid": 9, "proven": None}]},
            "error",
            "run",
            "run r9 of bo@x (pid 9 of user eve announces it) is on this host",
        ),
        (
            {"runs": [{"run": "r9", "owner": "bo@x", "user": "eve", "pid": 9, "proven": False}]},
            "warning",
            "run",
            "pid 9 of user eve announces a run r9, but no process of it is there",
        ),
        ({"ports_taken": {"8000": holder()}}, "error", "port 8000", "pid 7 of ann (python3 x)"),
        ({"ports_taken": {"13345": OURS}}, "error", "port 13345", "of run r1/server-0"),
        (
            {"ports_taken": {"8000": holder(pid=None, command="a process of bob")}},
            "error",
            "port 8000",
            "server-0 needs this port, but a process of bob listens on it",
        ),
        ({"disk_free_bytes": 99 * GIB}, "warning", "disk", "99.0 GiB of 1000.0 GiB"),
        ({"disk_free_bytes": 10**6}, "error", "disk", "not enough for logs"),
        ({"shm_free_bytes": 64 * 2**20}, "warning", "/dev/shm", "0.1 GiB"),
        ({"memory_free_bytes": GIB}, "warning", "memory", "1.0 GiB of 64.0 GiB"),
        ({"interfaces": [{"name": "ib0", "up": True, "mtu": 1500}]}, "error", "interface", "eth0"),
        ({"weights": {"/m/x": {"exists": False}}}, "error", "weights", "/m/x does not exist"),
        ({"weights": {"/m/x": weights(missing=["m-2-of-2.bin"])}}, "error", "weights", "m-2-of-2"),
        ({"weights": {"/m/x": weights(has_config=False)}}, "error", "weights", "no config.json"),
        ({"weights": {"/m/x": weights(has_weights=False)}}, "error", "weights", "no file of"),
        ({"weights": {"/m/x": weights(damaged=["a.safetensors"])}}, "error", "weights", "damaged"),
        (
            {"weights": {"/m/x": weights(unreadable=["a.bin"])}},
            "error",
            "weights",
            "cannot be read",
        ),
        ({"ports_taken": None, "errors": {"ports_taken": "denied"}}, "warning", "ports_taken", "d"),
    ],
)
def test_problems_of_one_host(facts, severity, subject, words):
    (finding,) = check(a=facts)
    assert (finding.host, finding.severity, finding.subject) == ("a", severity, subject)
    assert words in finding.message
    assert finding.advice


def test_the_calling_run_gives_no_finding():
    assert check(a={"runs": [{"run": "r1", "owner": "bo@x"}]}, run="r1") == ()


def test_a_clock_offset_within_the_uncertainty_gives_no_finding():
    assert check(a={"clock_offset_s": 1.5, "clock_uncertainty_s": 0.9}) == ()


def test_the_clock_offset_leaves_out_the_time_that_the_host_worked():
    # Left at 100, one second there, five seconds of work there, one second back.
    seen = clock({"time_s": 141.0, "took_s": 5.0}, 100.0, 107.0)
    assert seen == {"clock_offset_s": 40.0, "clock_uncertainty_s": 1.0}


def test_a_port_of_one_of_our_runs_is_freed_by_ending_the_run():
    (finding,) = check(a={"ports_taken": {"8000": OURS}})
    assert "inv down --run r1`" in finding.advice


def test_a_headless_process_needs_no_api_port():
    assert check(b={"ports_taken": {"8000": holder()}}) == ()


@pytest.mark.parametrize(
    ("free", "stamp", "severity"),
    [(4 * GIB, "f1", "warning"), (4 * GIB, "old", "error"), (6 * GIB, "old", "warning")],
)
def test_an_environment_that_has_to_be_made_needs_room(free, stamp, severity):
    item = replace(preparation("vllm-1", "a"), fingerprint="f1")
    packages = {"vllm": "1", "torch": "2"}
    known = {"vllm-1": {"fingerprint": stamp, "packages": packages}}
    findings = check(
        replace(TWO, preparations=(item,)), a={"disk_free_bytes": free, "environments": known}
    )
    assert [(finding.subject, finding.severity) for finding in findings] == [("disk", severity)]


@pytest.mark.parametrize(
    ("python", "fingerprint", "others", "words"),
    [
        ("3.8.10", "f9", {}, ["python3 is 3.8", "vllm needs Python 3.11", "uv downloads"]),
        ("3.13.1", "f9", {"3.12": "/usr/bin/python3.12"}, ["python3 is 3.13"]),
        ("3.13.1", "f9", {"3.11": "/usr/bin/python3.11"}, []),
        ("3.11.9", "f9", {}, []),
        ("3.8.10", "f1", {}, []),  # it is made already
    ],
)
def test_where_another_python_comes_from(python, fingerprint, others, words):
    item = preparation("vllm", "a", path="/w/envs/vllm-1")
    item = replace(item, fingerprint=fingerprint, spec={"python": "3.11"})
    plan = replace(ALONE, preparations=(item,))
    findings = check(plan, a={"python": python, "pythons": others})
    text = "; ".join(f"{one.severity} {one.message}" for one in findings if one.subject == "python")
    assert bool(text) == bool(words)
    assert all(word in text for word in ["info", *words] if words)


@pytest.mark.parametrize(
    ("address", "interface", "severity", "words"),
    [
        ("10.0.0.9", "eth0", "error", "10.0.0.9 is not an address of this host"),
        ("127.0.0.7", "lo", None, ""),
        ("node-1", "eth0", None, ""),
        ("10.0.0.1", "lo", "warning", "is on eth0, the plan's interface is lo"),
        ("10.0.0.1", "", None, ""),
        ("10.0.0.1", "eth1", "error", "eth1 is down"),
    ],
)
def test_the_plans_address_and_interface(address, interface, severity, words):
    plan = replace(ALONE, hosts=(Host("a", address, interface, "/w"),))
    findings = findings_of(plan, {"a": facts_of(1)}, silent={}, pairs=(), targets={})
    assert [finding.severity for finding in findings][:1] == ([severity] if severity else [])
    assert words in "".join(finding.message for finding in findings)


@pytest.mark.parametrize(
    ("facts", "severity", "subject", "words"),
    [
        ({"kernel": "5.4"}, "info", "kernel", "6.1 on a; 5.4 on b"),
        ({"cpu": "Xeon"}, "info", "cpu", "Xeon on b"),
        ({"machine": "x86_64"}, "error", "machine", "x86_64 on b"),
        ({"cann": "8.2"}, "warning", "cann", "8.2 on b"),
        ({"weights": {"/m/x": weights(fingerprint="11")}}, "error", "weights", "differs between"),
        ({"weights": {"/m/x": weights(revision="c2")}}, "error", "weights", "revision c2"),
        (
            {"environments": {"vllm-1": {"fingerprint": "f1", "packages": {"vllm": "2"}}}},
            "error",
            "vllm",
            "1 on a; 2 on b",
        ),
        (
            {"interfaces": [{"name": "eth0", "mtu": 9000, "up": True}]},
            "warning",
            "mtu",
            "1500 on a; 9000 on b",
        ),
        (
            {"accelerators": [gpu(driver="535")]},
            "warning",
            "driver",
            "550 on a; 535 on b",
        ),
    ],
)
def test_how_hosts_differ(facts, severity, subject, words):
    first = {"accelerators": [gpu()]} if subject == "driver" else {}
    (finding,) = check(a=first, b=facts)
    assert (finding.host, finding.severity, finding.subject) == ("", severity, subject)
    assert words in finding.message


def test_the_hosts_own_vllm_is_compared_and_missed():
    plan = with_servers(TWO, argv=("vllm", "serve", "/m/x"))
    missed, *rest = check(plan, a={"vllm": {"path": "/v", "packages": {"vllm": "1"}}})
    assert (missed.host, missed.subject, rest) == ("b", "vllm", [])
    seen = [{"vllm": {"path": "/v", "packages": {"vllm": version}}} for version in "12"]
    (differ,) = check(plan, *seen)
    assert "1 on a; 2 on b" in differ.message
    scripted = with_servers(TWO, argv=("vllm", "serve", "/m/x"), env_script=("/set_env.sh",))
    assert check(scripted) == ()


BOTH = [gpu(0), gpu(1)]


@pytest.mark.parametrize(
    ("facts", "severities", "words"),
    [
        ({"accelerators": BOTH}, [], ""),
        ({"accelerators": []}, ["error"], "nvidia-smi shows 0 GPUs, the plan uses 2"),
        ({"accelerators": BOTH[:1]}, ["error"], "shows 1 GPUs"),
        ({"accelerators": [], "errors": {"cuda": "hung"}}, ["error"], "nvidia-smi failed: hung"),
        ({"accelerators": [gpu(0), gpu(1, 70000)]}, ["error"], "70000 of 80000 MiB"),
        ({"accelerators": [*BOTH, gpu(2, 70000)]}, ["info"], "70000"),
        (
            {"accelerators": [gpu(0, processes=[OURS]), gpu(1)]},
            ["error"],
            "pid 7 of ann (python3 x, of run r1/server-0)",
        ),
        ({"accelerators": [gpu(0, health="Alarm"), gpu(1)]}, ["error"], "Alarm"),
    ],
)
def test_accelerators(facts, severities, words):
    findings = findings_of(TWO_GPUS, {"a": facts_of(1, **facts)}, silent={}, pairs=(), targets={})
    assert [finding.severity for finding in findings] == severities
    assert words in "".join(finding.message for finding in findings)


@pytest.mark.parametrize(
    ("devices", "facts", "words"),
    [
        (1, {"accelerators": [gpu(0, 70000)]}, "70000 of 80000 MiB"),
        (2, {"accelerators": [gpu(0)]}, "nvidia-smi shows 1 GPUs, the plan uses 2"),
        (1, {"errors": {"cuda": "driver mismatch"}}, "nvidia-smi failed: driver mismatch"),
        (1, {"accelerators": []}, "neither nvidia-smi nor npu-smi shows a device, and the case"),
        (0, {"accelerators": []}, ""),
        (0, {"accelerators": [gpu(0, 70000)]}, ""),
        (1, {"accelerators": [gpu(0, 70000), gpu(0, 70000) | {"kind": "ascend"}]}, ""),
    ],
)
def test_without_a_device_kind_the_accelerators_of_the_host_count(devices, facts, words):
    plan = plan_of(SERVE, names="a", npu_per_node=devices)
    findings = findings_of(plan, {"a": facts_of(1, **facts)}, silent={}, pairs=(), targets={})
    assert [words in each.message for each in findings] == [True] * bool(words)


@pytest.mark.parametrize(
    ("keys", "targets", "severities"),
    [
        ({}, {}, ["error"]),
        ({}, {"a": Target("a", "10.0.0.1")}, ["error"]),
        ({}, {"a": Target("a", "localhost")}, ["warning"]),
        ({"device": "cpu"}, {}, []),
        ({}, {"a": Target("a", "10.0.0.1", accelerator=Accelerator("cpu", 0))}, []),
        ({"env_common": "{CUDA_VISIBLE_DEVICES: ''}"}, {}, []),
    ],
)
def test_a_host_without_an_accelerator_serves_on_its_cpu_only_if_that_is_chosen(
    keys, targets, severities
):
    plan = plan_of(SERVE, names="a", npu_per_node=1, **keys)
    found = findings_of(plan, {"a": facts_of()}, silent={}, pairs=(), targets=targets)
    assert [each.severity for each in found] == severities
    assert all("or give `--device cpu`" in each.advice for each in found)


def test_fewer_accelerators_than_the_cluster_file_declares():
    target = Target("a", "10.0.0.1", accelerator=Accelerator("cuda", 8))
    (finding,) = findings_of(
        TWO_GPUS,
        {"a": facts_of(1, accelerators=BOTH)},
        silent={},
        pairs=(),
        targets={"a": target},
    )
    assert (finding.severity, "the cluster file declares 8" in finding.message) == ("warning", True)


def test_the_case_may_choose_its_devices():
    plan = plan_of(SERVE, names="a", npu_per_node=8)
    plan = with_servers(plan, env={"ASCEND_RT_VISIBLE_DEVICES": "4, 5"})
    needed = devices_on(plan, "a", None, "ascend", {})
    assert (needed.count, needed.chosen) == (2, (4, 5))


@pytest.mark.parametrize(
    ("argv", "seen", "wanted", "severity"),
    [
        (("vllm", "serve", "org/x"), {"hub": "huggingface", "offline": True}, "org/x", "error"),
        (("vllm", "serve", "org/x"), {"hub": "modelscope"}, "org/x", "warning"),
        (("vllm", "serve", "o/x", "--revision", "r"), {"hub": "huggingface"}, "o/x@r", "warning"),
        (("python", "-m", "vllm", "--model=/m/y"), {}, "/m/y", "error"),
        (("./serve.sh",), {}, "", None),
        (("vllm", "serve", "/w/models/tiny"), {}, "", None),
    ],
)
def test_which_weights_must_exist(argv, seen, wanted, severity):
    tiny = preparation("tiny", "a", "model", "/w/models/tiny")
    plan = with_servers(ALONE, argv=argv, env={"PATH": "/opt"})
    plan = replace(plan, preparations=(tiny,))
    assert [source.key for source in weights_on(plan, "a")] == [wanted] * bool(wanted)
    seen = facts_of(1, weights={wanted: {"exists": False, **seen}})
    findings = findings_of(plan, {"a": seen}, silent={}, pairs=(), targets={})
    assert [finding.severity for finding in findings] == ([severity] if severity else [])


@pytest.mark.parametrize(
    ("target", "vllm", "model"),
    [
        (Target("a", "localhost"), "not on the PATH here", "put the model there, or correct"),
        (Target("a", "10.0.0.1"), "not on the PATH of an SSH command", "inv weights.sync"),
    ],
)
def test_the_advice_fits_this_machine_or_another(target, vllm, model):
    plan = with_servers(ALONE, argv=("vllm", "serve", "/m/y"), env={})
    seen = facts_of(1, vllm=None, weights={"/m/y": {"exists": False}})
    findings = findings_of(plan, {"a": seen}, silent={}, pairs=(), targets={"a": target})
    assert [finding.subject for finding in findings] == ["vllm", "weights"]
    assert vllm in findings[0].message
    assert model in findings[1].advice


def test_an_unreachable_port_is_reported_once():
    lost = [Pair(source, "b", "10.0.0.2", 13345, "timed_out", "") for source in ("a", "c")]
    good = Pair("b", "a", "10.0.0.1", 13345, "ok", "")
    (finding,) = check(pairs=(*lost, good))
    assert (finding.host, finding.severity) == ("b", "error")
    assert "10.0.0.2:13345 cannot be reached from a, c: timed out" in finding.message


def test_a_host_that_cannot_be_asked_comes_first():
    findings = check(a={"shm_free_bytes": 0}, silent={"c": "c: port 22 is filtered; see to it"})
    assert (findings[0].host, findings[0].message) == ("c", "port 22 is filtered; see to it")
    assert findings[1].severity == "warning"


def examination(**facts):
    known = {"a": facts_of(1, **facts)}
    silent = {"b": "b: no route to host"}
    findings = findings_of(TWO, known, silent=silent, pairs=(), targets={})
    return Examination(known, silent, (), findings), TWO


def test_the_table_in_plain_text():
    stream = io.StringIO()
    table.show(*examination(accelerators=[gpu(0, processes=[OURS]), gpu(1)]), stream)
    lines = stream.getvalue().splitlines()
    assert lines[0].split() == " ".join(table.HEADINGS).split()
    assert "2 × H100 (1 busy)" in lines[1]
    assert "+0.01 s" in lines[1]
    assert lines[2].split() == ["b", "10.0.0.2", "eth0", "no", "reply"]
    assert "✗ b: connection: no route to host" in lines
    assert lines[-1].startswith("NOT fit for the plan: 1 of 2 hosts replied; 1 error")


def test_the_table_on_a_terminal(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("COLUMNS", "200")
    stream = Terminal()
    table.show(*examination(), stream)
    assert all(heading in stream.getvalue() for heading in table.HEADINGS)
    assert "no route to host" in stream.getvalue()


def test_json_holds_everything():
    found, _ = examination()
    values = table.as_json(found)
    assert (values["ok"], values["silent"]) == (False, {"b": "b: no route to host"})
    assert values["findings"][0]["subject"] == "connection"
    assert values["facts"]["a"]["cores"] == 64


def place(purpose, **more):
    known = {"path": f"/{purpose}", "exists": True, "above": f"/{purpose}", "error": ""}
    known |= {"purpose": purpose, "noexec": False, "files": 10**6, "free_bytes": 10**9}
    return known | more


READ_ONLY = {"error": "Read-only file system"}


@pytest.mark.parametrize(
    ("seen", "severity", "subject", "words", "advice"),
    [
        (place("workspace", **READ_ONLY), "error", "workspace", "Read-only", "`workspace:`"),
        (
            place("workspace", exists=False, above="/", error="Permission denied"),
            "error",
            "workspace",
            "/workspace cannot be written: Permission denied (it would be made in /)",
            "`workspace:`",
        ),
        (place("workspace", files=5), "error", "workspace", "inodes for 5 more", "`workspace:`"),
        (place("home", **READ_ONLY), "warning", "home", "Read-only", "XDG_CACHE_HOME"),
        (place("temporary", exists=False), "error", "TMPDIR", "does not exist", "profile"),
        (place("TMPDIR", exists=False), "error", "TMPDIR", "does not exist", "`env: TMPDIR`"),
        (place("TMPDIR", **READ_ONLY), "error", "TMPDIR", "cannot be written", "`env: TMPDIR`"),
        (place("temporary", free_bytes=2**20), "error", "TMPDIR", "1 MiB are free", "profile"),
        (place("home", free_bytes=0), "warning", "home", "0 MiB are free", "XDG_CACHE_HOME"),
        (place("temporary", noexec=True), "warning", "TMPDIR", "noexec", "profile"),
    ],
)
def test_a_folder_that_a_run_cannot_use(seen, severity, subject, words, advice):
    (finding,) = check(a={"places": [seen]})
    assert (finding.host, finding.severity, finding.subject) == ("a", severity, subject)
    assert words in finding.message
    assert advice in finding.advice


def test_an_environment_in_a_noexec_workspace():
    seen = place("workspace", path="/w", noexec=True)
    (finding,) = check(a={"places": [seen]})
    assert (finding.severity, finding.subject) == ("error", "workspace")
    assert "vllm-1" in finding.message
    assert check(with_servers(ALONE, argv=("sleep", "9")), a={"places": [seen]}) == ()


@pytest.mark.parametrize("more", [{"machine": "x86_64"}, {"runs": False}])
def test_an_environment_that_another_kind_of_host_has_made(more):
    stamp = facts_of()["environments"]["vllm-1"] | more
    seen = {"places": [place("workspace", path="/w")], "environments": {"vllm-1": stamp}}
    (finding,) = check(a=seen)
    assert finding.severity == "error"
    assert "another host with this workspace has made it" in finding.message


def shared(name, hosts, identity, boot="1"):
    seen = {"hosts": hosts, "identity": identity}
    return {"name": name, "sharing": seen, "boot_id": boot, "places": [place("workspace")]}


@pytest.mark.parametrize(
    ("a", "b", "severities"),
    [
        (shared("a-1", [], "7-9"), shared("b-1", [], "7-9"), ["info"]),
        (shared("a-1", ["a-1", "b-1"], "7-9"), shared("b-1", ["a-1", "b-1"], "7-8"), ["info"]),
        (shared("a-1", ["a-1"], "7-9"), shared("b-1", ["b-1"], "7-8"), []),
        (shared("a-1", [], None), shared("b-1", [], None), []),
        (shared("a-1", [], "7-9"), shared("a-1", [], "7-9", boot="2"), ["error", "info"]),
    ],
)
def test_a_workspace_that_hosts_share(a, b, severities):
    findings = check(a=a, b=b)
    assert [finding.severity for finding in findings] == severities
    assert all("/workspace is shared by a, b" in finding.message for finding in findings)


KIB = 1024
TENSOR = ("vllm", "serve", "/m/x", "-tp", "2")
MOONCAKE = {"argv": ("mooncake_master", "--port", "1")}


@pytest.mark.parametrize(
    ("of", "facts", "severity", "subject"),
    [
        ({"argv": TENSOR}, {"shm_free_bytes": 2**26, "shm_total_bytes": 2**26}, "error", "shm"),
        ({"argv": TENSOR}, {"shm_free_bytes": 2**29, "shm_total_bytes": 2**29}, "warning", "shm"),
        (MOONCAKE, {"limits": {"memlock_bytes": 64 * KIB}}, "error", "ulimit -l"),
        (MOONCAKE, {"limits": {"memlock_bytes": None}}, None, ""),
        ({}, {"limits": {"memlock_bytes": 64 * KIB}}, None, ""),
        ({"argv": ("router",)}, {"limits": {"open_files": 1024}}, "warning", "ulimit -n"),
        ({"argv": ("router",)}, {"limits": {"open_files": 256}}, "error", "ulimit -n"),
        ({"argv": ("router",)}, {"limits": {"open_files": 4096}}, None, ""),
        ({"argv": TENSOR}, {"limits": {"open_files": 256, "open_files_most": 4096}}, None, ""),
        (
            {"env": {"MC_STORE_USE_HUGEPAGE": "1"}, "argv": ("x",)},
            {"huge_pages": {"free": 0, "total": 0}},
            "error",
            "huge pages",
        ),
        (
            {"env": {"MC_STORE_USE_HUGEPAGE": "0"}, "argv": ("x",)},
            {"huge_pages": {"free": 0, "total": 0}},
            None,
            "",
        ),
    ],
)
def test_a_limit_that_the_plan_meets(of, facts, severity, subject):
    load = (
        "{case_type: performance, dataset_path: d, num_prompts: 9, max_out_len: 4, batch_size: 400}"
    )
    datasets = {"datasets": {"acc": Dataset("d", "/d", "gsm8k", 40)}}
    keys = {"device": "cpu", "npu_per_node": 0, "benchmarks": f"{{acc: {load}}}"}
    plan = with_servers(plan_of(SERVE, names="a", site=datasets, **keys), **of)
    plan = replace(plan, evaluations=(replace(plan.evaluations[0], host="b"),))
    known = facts_of(vllm={"packages": {}}) | facts
    findings = [
        finding
        for finding in findings_of(plan, {"a": known}, silent={}, pairs=(), targets={})
        if finding.subject != "vllm"
    ]
    assert [finding.severity for finding in findings] == ([severity] if severity else [])
    assert all(subject in finding.subject for finding in findings)


def test_hosts_that_exchange_data_through_devices_lock_memory():
    plan = plan_of(HEAD, WORKER, names="ab", device="cuda", npu_per_node=1)
    limits = {"limits": {"memlock_bytes": 64 * KIB}, "accelerators": [gpu()]}
    findings = check(plan, a=limits, b={"accelerators": [gpu()]})
    assert [(f.host, f.subject, f.severity) for f in findings] == [("a", "ulimit -l", "warning")]


@pytest.mark.parametrize(
    ("place", "there", "found"),
    [
        ("controller", [], True),
        ("controller", ["~/nltk_data/tokenizers/punkt_tab"], False),
        ("controller", ["/usr/share/nltk_data/tokenizers/punkt_tab"], False),
        ("host", [], True),
        ("host", ["/d/nltk_data/tokenizers/punkt_tab"], False),
    ],
)
def test_what_counts_the_sentences_of_ifeval_is_missed(place, there, found):
    conf = "ifeval/ifeval_0_shot_gen_str"
    ask = f"{{case_type: accuracy, dataset_path: d, dataset_conf: {conf}, max_out_len: 4"
    dataset = Dataset("d", "/d", "ifeval", 4, place=place, lacks="nltk_data/tokenizers/punkt_tab")
    keys = {"device": "cpu", "npu_per_node": 0, "benchmarks": f"{{acc: {ask}, batch_size: 4}}}}"}
    plan = plan_of(SERVE, names="a", site={"datasets": {"acc": dataset}}, **keys)
    looked = datasets_on(plan, "a")
    assert {"~/nltk_data/tokenizers/punkt_tab"} <= set(looked)
    weights = {path: {"exists": path in [*there, "/d"]} for path in looked}
    findings = list(dataset_findings(plan, {"a": {"weights": weights}}))
    assert bool(findings) == found
    if found:
        assert (findings[0].host, findings[0].severity) == ("a", "error")
        assert "punkt_tab.zip into /d/nltk_data/tokenizers/" in findings[0].advice
