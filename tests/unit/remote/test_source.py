"""Environment scripts, sourced by a real bash."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from ci.remote.requests import source as source_module
from ci.remote.requests.source import source
from ci.remote.supervise.child import environment
from ci.remote.supervise.proc import is_marked
from ci.run.source_scripts import environment_of

GENEROUS_S = 60


@pytest.fixture
def sourced(tmp_path):
    """Write scripts and source them, each with its arguments."""

    def run(*texts, timeout_s=GENEROUS_S, arguments=()):
        scripts = []
        for number, text in enumerate(texts):
            path = tmp_path / f"script {number}.sh"
            path.write_text(text)
            scripts.append([str(path), *arguments])
        return source(scripts, timeout_s)

    return run


@pytest.mark.parametrize(
    ("text", "env"),
    [
        ("", {}),
        ("export A=1", {"A": "1"}),
        ("A=1", {}),
        ("echo noise; echo A=2; export A=1", {"A": "1"}),
        ("export A='1\nB=2\n'", {"A": "1\nB=2\n"}),
        ("export A=$'\\xff'", {"A": "\udcff"}),
        ("unset GONE", {"GONE": None}),
        ("export GONE=there", {}),
        ("f() { :; }; export -f f; export A=1", {"A": "1"}),
        ("set -eu; false; export A=1", {"A": "1"}),
        ("cd /; export A=1", {"A": "1"}),
        ("exec > /dev/null 2>&1; export A=1", {"A": "1"}),
        ("env() { echo; }; printf '' ; export A=1", {"A": "1"}),
        ('export A="$1-$2"', {"A": "--force-a b"}),
        ("sleep 600 & export A=1", {"A": "1"}),
        ("printf() { :; }; exec() { :; }; export A=1", {"A": "1"}),
        ("shopt -s expand_aliases; alias printf=false exec=false; export A=1", {"A": "1"}),
        ("read -r line; export A=1$line", {"A": "1"}),
    ],
)
def test_what_a_script_changes(sourced, monkeypatch, text, env):
    monkeypatch.setenv("GONE", "there")
    assert sourced(text, arguments=("--force", "a b")) == {"env": env}


def test_a_later_script_sees_what_an_earlier_one_set(sourced):
    texts = ("load() { export B=$A$1; }; export A=1", "load 2")
    assert sourced(*texts) == {"env": {"A": "1", "B": "12"}}


@pytest.mark.parametrize(
    ("text", "problem", "output"),
    [
        ("echo why; return 3", "failed with exit code 3", "why"),
        ("echo why; exit 3", "failed with exit code 3", "why"),
        ("echo why; exit 0", "ends the shell", "why"),
        ("exec true", "ends the shell", ""),
        ("no_such_command", "failed with exit code 127", "no_such_command"),
        ("if then", "failed with exit code 2", "syntax error"),
        ("export A=1\r\n", "has the line ends of Windows", ""),
        ("kill -9 $$", "was ended by signal 9", ""),
        ("export A=$(head -c 3000000 /dev/zero | tr '\\0' x)", "failed", "too long"),
        (
            "x=$(head -c 100000 /dev/zero | tr '\\0' x); for i in {1..12}; do export A$i=$x; done",
            "made an environment of more",
            "",
        ),
    ],
)
def test_how_a_script_fails(sourced, text, problem, output):
    answer = sourced("echo before", text)
    assert answer["script"].endswith("script 1.sh")
    assert problem in answer["problem"]
    assert output in answer["output"]


def pids():
    return [int(path.name) for path in Path("/proc").glob("[0-9]*")]


@pytest.mark.parametrize(
    "start", ["setsid sleep 600 &", "set -m; nohup sleep 600 >/dev/null 2>&1 &"]
)
def test_what_a_script_starts_ends_with_it(sourced, monkeypatch, tmp_path, start):
    monkeypatch.setenv("MINE", str(tmp_path))
    assert sourced(f"{start}\nexport A=1") == {"env": {"A": "1"}}
    assert not [pid for pid in pids() if is_marked(pid, f"MINE={tmp_path}".encode())]


def test_a_process_that_is_being_replaced_by_a_program_is_not_overlooked(monkeypatch, tmp_path):
    """While a program is loaded, its process has no environment for a moment."""
    process = subprocess.Popen(["sleep", "600"], env={"MINE": str(tmp_path)})
    looked = []

    def is_marked_later(pid, marker):
        if pid == process.pid:
            looked.append(pid)
        return len(looked) > 1 and is_marked(pid, marker)

    monkeypatch.setattr(source_module, "is_marked", is_marked_later)
    try:
        source_module.end_marked(f"MINE={tmp_path}".encode())
        assert process.poll() is not None or process.wait(5) == -signal.SIGKILL
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("text", ["sleep 600", "while :; do echo spam; done"])
def test_a_script_that_does_not_end(sourced, text):
    answer = sourced("echo before", f"echo why\n{text}", timeout_s=2)
    assert "did not end within 2 s" in answer["problem"]
    assert len(answer["output"]) < 4000


@pytest.mark.parametrize(
    ("path", "problem"), [("/no/such", "does not exist"), ("/", "is not a file")]
)
def test_a_script_that_is_not_there(path, problem):
    assert source([[path]], GENEROUS_S) == {"script": path, "problem": problem, "output": ""}


def test_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "x.sh").write_text("export A=1")
    assert source([["~/x.sh"]], GENEROUS_S) == {"env": {"A": "1"}}


@pytest.mark.parametrize("answer", [None, [], {"env": {"A": 1}}, {"env": 3}, {"problem": "x\ny"}])
def test_an_answer_that_makes_no_sense_is_an_error_of_its_host(answer):
    assert str(environment_of(answer, "npu-1")).startswith("npu-1: the environment script ")


def spec(env, **fields):
    return {"run": "r", "process": "p", "tmp": "/t", "env": env, "expand": ["PATH"], **fields}


@pytest.fixture
def no_proxies(monkeypatch):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("no_proxies")
def test_the_case_overrides_what_a_script_sets(monkeypatch):
    monkeypatch.setenv("PATH", "/host")
    monkeypatch.setenv("GONE", "there")
    changes = {"PATH": "/cann:/host", "A": "script", "B": "script", "GONE": None, "TMPDIR": "/s"}
    env = environment(spec({"PATH": "/case:$PATH", "A": "case"}, sourced=changes))
    names = ("PATH", "A", "B", "GONE", "TMPDIR")
    assert [env.get(name) for name in names] == ["/case:/cann:/host", "case", "script", None, "/t"]


@pytest.mark.usefixtures("no_proxies")
@pytest.mark.parametrize(
    ("host", "given", "expected"),
    [
        ({}, {}, ["127.0.0.1", "localhost", "::1", os.uname().nodename, "10.0.0.1", "npu-1"]),
        (
            {"no_proxy": "a, b", "NO_PROXY": "b,10.0.0.1"},
            {},
            ["a", "b", "10.0.0.1", "127.0.0.1", "localhost", "::1", os.uname().nodename, "npu-1"],
        ),
        ({"NO_PROXY": "a,*"}, {}, ["*"]),
        ({"NO_PROXY": "a"}, {"no_proxy": "mine"}, ["mine"]),
        ({}, {"NO_PROXY": ""}, [""]),
    ],
)
def test_the_hosts_of_a_run_are_asked_without_a_proxy(monkeypatch, host, given, expected):
    for name, value in host.items():
        monkeypatch.setenv(name, value)
    env = environment(spec(given, direct=["10.0.0.1", "npu-1"]))
    assert env["no_proxy"] == env["NO_PROXY"] == ",".join(expected)
