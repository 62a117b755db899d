"""This machine's own facts, as a host would give them."""

import contextlib
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import time

import pytest

from ci.agent.bootstrap import LOADER, parcel, sources
from ci.remote.facts import facts, ports, software

OLDEST = next(filter(None, map(shutil.which, ("/usr/bin/python3", sys.executable))))


def gather(tmp_path, ports=()):
    return facts.gather(str(tmp_path), list(ports))


def test_the_machine(tmp_path):
    seen = gather(tmp_path)
    assert seen["errors"] == {}
    assert seen["hostname"] == socket.gethostname()
    assert abs(seen["time_s"] - time.time()) < 60
    assert seen["cores"] == len(os.sched_getaffinity(0))
    assert seen["memory_bytes"] >= seen["memory_free_bytes"] > 0
    assert seen["disk_total_bytes"] == shutil.disk_usage(tmp_path).total
    assert seen["shm_total_bytes"] == shutil.disk_usage("/dev/shm").total
    assert len(seen["boot_id"]) == 36
    assert seen["cpu"]
    assert {"interface": "lo", "address": "127.0.0.1", "prefix": 8} in seen["addresses"]
    assert [link["up"] for link in seen["interfaces"] if link["name"] == "lo"] == [True]
    json.dumps(seen)


def test_it_travels_to_a_host_with_nothing_but_python(tmp_path):
    loader = LOADER
    gather_it = "print(json.dumps(facts.gather('/', [])))"
    asked = f"import json\nfrom ci.remote.facts import facts\n{gather_it}"
    done = subprocess.run(
        [OLDEST, "-ISB", "-c", "PASSED=0\n" + loader + asked],
        check=True,
        cwd=tmp_path,
        env={"PATH": os.defpath, "SSH_CONNECTION": "192.0.2.1 5 192.0.2.2 22"},
        input=parcel() + sources(),
        stdout=subprocess.PIPE,
    )
    seen = json.loads(done.stdout.splitlines()[-1])
    assert (seen["errors"], seen["ssh_address"]) == ({}, "192.0.2.2")
    assert seen["boot_id"] == gather(tmp_path)["boot_id"]


def test_who_listens_on_a_port_that_is_wanted(tmp_path):
    code = (
        "import socket, sys; s = socket.create_server(('127.0.0.1', 0)); "
        "print(s.getsockname()[1], flush=True); sys.stdin.read()"
    )
    env = {**os.environ, "LAMPLIGHTER_RUN": "r1/server-0"}
    with subprocess.Popen(
        [sys.executable, "-c", code, "--api-key", "hush"],
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as server:
        port = int(server.stdout.readline())
        seen = gather(tmp_path, [port, 1])
        server.stdin.close()
    assert port in seen["listening"]
    holder = seen["ports_taken"].pop(str(port))
    assert seen["ports_taken"] == {}
    assert (holder["pid"], holder["run"]) == (server.pid, "r1/server-0")
    assert holder["addresses"] == ["127.0.0.1"]
    assert holder["command"].endswith("--api-key ***")


def test_a_workspace_that_is_not_there_yet_counts_where_it_would_be(tmp_path):
    seen = gather(tmp_path / "not" / "yet")
    assert seen["disk_total_bytes"] == shutil.disk_usage(tmp_path).total
    assert seen["environments"] == {}


def test_environments_and_what_is_beside_the_vllm_on_the_path(tmp_path, monkeypatch):
    made = tmp_path / "envs" / "vllm-1"
    (made / "bin").mkdir(parents=True)
    (tmp_path / "envs" / "half-made").mkdir()
    stamp = {"fingerprint": "f", "packages": ["vllm==1.0", "torch==2.0", "six==1"]}
    (made / ".lamplighter.json").write_text(json.dumps(stamp), "utf-8")
    library = made / "lib" / "python3.11" / "site-packages"
    for name in ("vllm-1.0+cpu.dist-info", "torch_npu-2.0.dist-info", "six-1.dist-info", "vllm"):
        (library / name).mkdir(parents=True)
    (made / "bin" / "vllm").write_text(f"#!{made}/bin/python\n", "utf-8")
    (made / "bin" / "vllm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{made}/bin", prepend=os.pathsep)
    seen = gather(tmp_path)
    packages = {"vllm": "1.0", "torch": "2.0"}
    known = {"fingerprint": "f", "packages": packages, "machine": None, "runs": False}
    assert seen["environments"] == {"vllm-1": known}
    packages = {"vllm": "1.0+cpu", "torch-npu": "2.0"}
    assert seen["vllm"] == {"path": f"{made}/bin/vllm", "packages": packages}


def test_everything_that_is_installed_now(tmp_path, monkeypatch):
    made = tmp_path / "envs" / "vllm-1"
    library = made / "lib" / "python3.11" / "site-packages"
    for name in ("vllm-1.0+cpu", "Torch_NPU-2.0", "zope.interface-5"):
        (library / f"{name}.dist-info").mkdir(parents=True)
    (library / "vllm").mkdir()
    (made / "bin").mkdir()
    program = made / "bin" / "vllm"
    program.write_text("#!/nowhere/bin/python\n", "utf-8")
    program.chmod(0o755)
    listed = ["torch-npu==2.0", "vllm==1.0+cpu", "zope-interface==5"]
    monkeypatch.setenv("PATH", f"{made}/bin")
    asked = [str(made), str(program), "vllm", str(tmp_path / "none"), "absent"]
    assert software.packages(asked) == {
        str(made): listed,
        str(program): listed,
        "vllm": listed,
        str(tmp_path / "none"): None,
        "absent": None,
    }


@pytest.mark.parametrize("name", ["addresses", "cpu", "boot_id"])
def test_a_fact_that_is_not_to_be_had_hides_no_other(tmp_path, monkeypatch, name):
    def fail():
        raise PermissionError(13, "no")

    monkeypatch.setitem(facts._MACHINE, name, fail)
    seen = gather(tmp_path)
    assert seen[name] is None
    assert set(seen["errors"]) == {name}
    assert seen["hostname"] == socket.gethostname()


def test_the_kernels_answer_and_proc_agree_on_who_listens():
    with contextlib.ExitStack() as stack:
        opened = set()
        for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::")):
            with contextlib.suppress(OSError):  # a machine without IPv6
                server = stack.enter_context(socket.create_server((address, 0), family=family))
                opened.add((server.getsockname()[1], address, os.geteuid()))
        asked, read = (
            {
                values
                for values in (tuple(vars(one).values()) for one in found)
                if values[:3] in opened
            }
            for found in (ports.listeners(), ports._read())
        )
    assert {values[:3] for values in asked} == opened
    assert asked == read


def looked_at(workspace, **environment):
    """What a fresh process finds, as a host's agent would."""
    code = "import json, sys; from ci.remote.facts import places; "
    code += "print(json.dumps(places.find(sys.argv[1], sys.argv[2:])))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(workspace)],
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
        text=True,
    )
    return {one["purpose"]: one for one in json.loads(done.stdout)}


def mounted(folder, *options):
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join(options), "none", folder], check=True)
    return folder


def test_folders_that_cannot_be_written(as_root, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to(tmp_path / "none")
    with contextlib.ExitStack() as ends:
        for name, options in {
            "read-only": ("ro",),
            "noexec": ("noexec",),
            "few": ("nr_inodes=2",),
            "full": ("size=64k",),
        }.items():
            mounted(tmp_path / name, *options)
            ends.callback(subprocess.run, ["umount", tmp_path / name], check=True)
        (tmp_path / "few" / "last").touch()
        with contextlib.suppress(OSError):
            (tmp_path / "full" / "last").write_bytes(bytes(2**17))
        found = {
            name: looked_at(tmp_path / name / "w", TMPDIR=str(tmp_path / name))
            for name in ("file", "dangling", "read-only", "noexec", "few", "full", "none")
        }
    assert {name: one["workspace"]["error"] for name, one in found.items()} == {
        "file": "Not a directory",
        "dangling": "No such file or directory",
        "read-only": "Read-only file system",
        "noexec": "",
        "few": "No space left on device",
        "full": "",
        "none": "",
    }
    assert found["read-only"]["temporary"]["error"] == "Read-only file system"
    assert [name for name, one in found.items() if one["workspace"]["noexec"]] == ["noexec"]
    assert [name for name, one in found.items() if not one["temporary"]["exists"]] == [
        "dangling",
        "none",
    ]
    assert found["few"]["workspace"]["files"] == 0
    assert found["full"]["temporary"]["free_bytes"] == 0


def test_limits_are_the_kernels(tmp_path):
    seen = gather(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert (seen["limits"]["open_files"], seen["limits"]["open_files_most"]) == (soft, hard)
    assert set(seen["huge_pages"]) == {"free", "total"}
