"""Exit codes and messages of every task: mistakes, bugs in Lamplighter, and lost output."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from night import PROJECT, inv

if TYPE_CHECKING:
    from pathlib import Path

# 2 is the operator's; 1 would be a failed night.
MISTAKES = {
    "an unknown task": (("nope",), ["'nope'", "inv --list"]),
    "an unknown task of a group": (("hosts.trus",), ["'hosts.trus'", "inv --list"]),
    "a file without its flag": (("plan", "local.yaml"), ["'local.yaml'", "inv plan --help"]),
    "an unknown flag": (("plan", "--confg", "x"), ["'--confg'", "inv plan --help"]),
    "a flag without its value": (
        ("plan", "--config"),
        ["--config has no value", "inv plan --help"],
    ),
    "text for a number": (("lab.up", "--hosts", "two"), ["'two'", "inv lab.up --help"]),
    "help for no task": (("--help", "nope"), ["'nope'", "inv --list"]),
    "no group to list": (("--list", "nope"), ["'nope'", "inv --list"]),
    "a dry run of Invoke": (("--dry", "nightly", "--config", "local"), ["--dry-run"]),
    "a dry run of Invoke after the task": (("down", "--run", "x", "--dry"), ["--dry-run"]),
    "the case before the task": (
        ("--config", "local.yaml", "nightly"),
        ["`inv nightly --config FILE`"],
    ),
    "a case for a task without cases": (("report", "--config", "x"), ["`inv report` has no such"]),
    "only warnings": (("check", "-w"), ["--warn-only", "no effect"]),
    "Invoke's time limit": (("-T", "5", "check"), ["--command-timeout", "deadline_s"]),
    "Invoke's echo": (("check", "--echo"), ["--echo", "no effect"]),
    "an empty value": (("nightly", "--config", "local", "--runs", ""), ["--runs", "empty value"]),
    "an empty list's item": (("k8s.render", "--host-path", ""), ["--host-path", "empty value"]),
    "a lab without a name": (("lab.down", "--name", "../x"), ["'../x'", "expected a lab name"]),
    "a folder for a case": (("plan", "--config", "/tmp"), ["/tmp: is a folder"]),
    "a folder for a cluster": (
        ("plan", "--config", "local", "--cluster", "/tmp"),
        ["/tmp: is a folder"],
    ),
    "a file for the workspace": (
        ("plan", "--config", "local", "--workspace", "/etc/passwd"),
        ["/etc/passwd: is a file", "folder"],
    ),
    "a workspace below a file": (
        ("versions", "--workspace", "/etc/passwd/x"),
        ["/etc/passwd/x: is a file", "folder"],
    ),
    "an unknown kind of device": (
        ("plan", "--config", "local", "--device", "tpu"),
        ["--device tpu: unknown; choose one of cpu, cuda, ascend"],
    ),
    "an unknown kind of device without a case": (
        ("doctor", "--cluster", "x", "--device", "tpu"),
        ["--device tpu: unknown"],
    ),
    "a misspelt task": (("chek", "x"), ["'chek' is not a task; did you mean check?"]),
    "a misspelt flag": (("plan", "--confg", "x"), ["not a flag; did you mean --config?"]),
    "an abbreviated flag": (("datasets.list", "--conf", "x"), ["did you mean --config?"]),
    "another spelling of a flag": (
        ("nightly", "--config", "local", "--dryrun"),
        ["'--dryrun' is not a flag; did you mean --dry-run?"],
    ),
    "an unknown flag after a value": (
        ("compare", "--pair", "last-good,last", "--nope", "local"),
        ["'--nope' is not a flag", "inv compare --help"],
    ),
    "a flag given twice": (
        ("plan", "--config", "local", "--config", "local-pd"),
        ["--config is given 2 times; give it once"],
    ),
    "a value for a switch": (
        ("nightly", "--config", "local", "--dry-run=false"),
        ["'false' after --dry-run is not its value"],
    ),
    "a case without its flag": (("plan", "a/b.yaml"), ["did you mean --config a/b.yaml?"]),
    "a list without its value": (
        ("plan", "--config", "local", "--set"),
        ["--set has no value; write one after it"],
    ),
    "a list before a flag": (
        ("plan", "--set", "--config", "local"),
        ["--set has no value; write one after it"],
    ),
    "a setting without a value": (
        ("plan", "--config", "local", "--set", "benchmarks.acc.num_prompts"),
        ["expected a key, '=' and a value: benchmarks.acc.num_prompts=200"],
    ),
    "a run that is not there": (("down", "--run", "nope"), ["no run 'nope'", "`inv status`"]),
    "logs that are not there": (("logs", "--run", "nope"), ["no log of run 'nope'", "inv status"]),
}


def shell(line: str, *, cwd: Path = PROJECT, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in which `inv` is this Python's, and whose exit code is that of `inv`."""
    given = f'inv() {{ "{sys.executable}" -m invoke "$@"; }}; {line}; exit ${{PIPESTATUS[0]}}'
    return subprocess.run(
        ["bash", "-c", given],
        cwd=cwd,
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **env},
    )


# A module of a copy of the project, what is put at its end, and the command that meets it.
CRASHES = {
    "a broken import of the tasks": ("ci/commands/flags.py", "def (", ["invoke", "--list"]),
    "an import that fails": ("ci/errors.py", "1 / 0", ["invoke", "plan", "--config", "local"]),
    "a broken import of a task": ("ci/resolve.py", "def (", ["invoke", "plan", "--config", "x"]),
    "a task that exits by itself": (
        "ci/commands/check.py", "import sys; sys.exit(1)", ["invoke", "check"],
    ),
    "a thread": (
        "ci/commands/check.py",
        "import threading; t = threading.Thread(target=lambda: 1 / 0); t.start(); t.join()",
        ["invoke", "check", "local"],
    ),
    "making an environment": ("ci/catalog/environments.py", "1 / 0", ["ci.prepare", "lm_eval"]),
    "the lab's packages": ("ci/lab/programs.py", "1 / 0", ["ci.lab"]),
    "the reference": ("ci/reference/files.py", "1 / 0", ["ci.reference"]),
}  # fmt: skip


@pytest.mark.parametrize("crash", CRASHES)
def test_a_crash_of_lamplighter_is_3_and_never_a_failed_night(crash: str, tmp_path: Path):
    module, line, words = CRASHES[crash]
    for name in ("benchmarks", "ci", "configs"):
        shutil.copytree(PROJECT / name, tmp_path / name, ignore=shutil.ignore_patterns("*.pyc"))
    shutil.copy(PROJECT / "tasks.py", tmp_path)
    with (tmp_path / module).open("a") as file:
        file.write(f"\n{line}\n")
    ended = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 3, ended.stderr
    assert "please report it" in " ".join(ended.stderr.lower().split())


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_ends_with_2_and_a_next_step(mistake: str):
    words, expected = MISTAKES[mistake]
    ended = inv(*words)
    assert ended.returncode == 2, ended.stderr
    assert all(text in ended.stderr for text in expected), ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    "words", ["--config", "--config=", "-c", "-p", "--format text -c", "-f text"]
)
def test_check_reads_the_file_after_config(words: str, tmp_path: Path):
    (tmp_path / "bad.yaml").write_text("test_name: x\nmodle: y\n")
    ended = shell(f"inv check {words} {tmp_path}/bad.yaml".replace("= ", "="))
    assert ended.returncode == 2
    assert f"{tmp_path}/bad.yaml:2:1: error: modle: unknown key" in ended.stdout


@pytest.mark.parametrize("task", ["nightly", "up"])
def test_a_dry_run_shows_the_plan_and_starts_nothing(task: str, tmp_path: Path):
    runs = tmp_path / "runs"
    ended = shell(f"inv {task} --config local.yaml --runs {runs} --dry-run")
    assert ended.returncode == 0, ended.stderr
    assert "vllm serve" in ended.stdout
    assert "no host was contacted" in ended.stdout
    assert not runs.exists()


@pytest.mark.parametrize(
    "line",
    ["inv", "inv --list", "inv --list k8s", "inv --version", "inv plan --help", "inv --help"],
)
def test_what_invoke_does_by_itself_it_still_does(line: str):
    ended = shell(line)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout


@pytest.fixture
def broken_project(tmp_path: Path) -> Path:
    """Make a project whose only task raises the unexpected error $RAISES."""
    (tmp_path / "tasks.py").write_text(
        "import os\n"
        "from invoke import Collection, task\n"
        "from ci.commands.entry import report_errors, require_parsable\n"
        "@task\n"
        "@report_errors\n"
        "def work(_):\n"
        "    exec(os.environ['RAISES'])\n"
        "namespace = Collection(work)\n"
        "require_parsable(namespace)\n"
    )
    return tmp_path


def test_a_fault_of_ours_is_unknown_and_asks_to_be_reported(broken_project: Path):
    ended = shell("inv work", cwd=broken_project, RAISES="{}['host']", PYTHONPATH=str(PROJECT))
    assert ended.returncode == 3
    assert "Lamplighter itself failed: KeyError: 'host'" in ended.stderr
    assert "report it" in ended.stderr
    assert "Traceback" in ended.stderr


@pytest.mark.parametrize(
    ("name", "code"),
    [
        # The machine lacks something: unknown. The path is wrong: the operator's mistake.
        *(("ENOSPC", 3), ("EROFS", 3), ("EMFILE", 3)),
        *(("EACCES", 2), ("EISDIR", 2), ("ENAMETOOLONG", 2)),
    ],
)
def test_an_unexpected_error_of_a_path(broken_project: Path, name: str, code: int):
    raises = f"import errno; raise OSError(errno.{name}, os.strerror(errno.{name}), '/srv/runs')"
    ended = shell("inv work", cwd=broken_project, RAISES=raises, PYTHONPATH=str(PROJECT))
    assert ended.returncode == code
    assert "/srv/runs: " in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "words", ["plan --config local", "status", "versions", "--list", "plan --help", "nope"]
)
def test_a_reader_that_leaves_ends_a_command_quietly(words: str, unbuffered: str):
    ended = shell(f"inv {words} 2>&1 | exec true", PYTHONUNBUFFERED=unbuffered)
    # 2: for want of a task; 0: all was done before anything had to be written.
    assert ended.returncode in {0, 2, 128 + signal.SIGPIPE}
    quiet = shell(f"inv {words} | exec true", PYTHONUNBUFFERED=unbuffered)
    assert "Broken" not in quiet.stderr


def test_a_reader_that_leaves_does_not_change_a_verdict():
    assert shell("inv check -- /nope 2>&1 | exec true").returncode in {2, 128 + signal.SIGPIPE}


@pytest.mark.parametrize("words", ["plan --config local", "status", "versions --json"])
def test_output_that_cannot_be_written_is_not_a_success(words: str):
    ended = shell(f"inv {words} > /dev/full")
    assert ended.returncode == 3
    assert "No space left on device" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("words", ["plan --config local", "status", "doctor"])
def test_closed_output_is_no_fault(words: str):
    ended = shell(f"inv {words} >&-")
    assert (ended.returncode, ended.stderr) == (0, "")


UNREADABLE = {
    "a case": ("plan --config {0}/file.yaml", "file.yaml: cannot be read: Permission denied"),
    "a cluster": ("plan --config local --cluster {0}/file.yaml", "file.yaml: cannot be read: Perm"),
    "a folder of cases": ("check -- {0}/folder", "folder: this user may not read it"),
    "weights": ("weights.sync --config local.yaml --source {0}/folder", "folder: not readable"),
    "a part of the weights": (
        "weights.sync --config local.yaml --source {0}/w",
        "w/part: not readable",
    ),
    "a folder of runs": ("down --run r --runs {0}/folder", "folder/r/run.json: Permission denied"),
    "logs": ("logs --run r --runs {0}/folder", "folder/r/run.json: Permission denied"),
    "new runs": ("nightly --config local --runs {0}/folder/x", "cannot make "),
    "the workspace": ("plan --config local --workspace {0}/folder/x", "cannot be read: Permission"),
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_what_may_not_be_read_is_named(what: str, tmp_path: Path):
    words, expected = UNREADABLE[what]
    (tmp_path / "file.yaml").write_text("test_name: t")
    (tmp_path / "folder").mkdir()
    (tmp_path / "w" / "part").mkdir(parents=True)
    for path in (tmp_path / "folder", tmp_path / "w" / "part", tmp_path / "file.yaml"):
        path.chmod(0)
        if os.geteuid() == 0:
            os.chown(path, 65534, 65534)
    # Root may read everything, unless it gives that up.
    plainly = "setpriv --bounding-set=-dac_override,-dac_read_search" if os.geteuid() == 0 else ""
    ended = shell(f"{plainly} {sys.executable} -m invoke {words.format(tmp_path)}")
    assert ended.returncode == 2, ended.stderr
    assert expected in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("words", ["doctor --config local", "plan --config local", "check"])
def test_a_terminal_without_unicode_is_no_fault(words: str, tmp_path: Path):
    ended = shell(f"inv {words}", PYTHONIOENCODING="ascii", LAMPLIGHTER_WORKSPACE=str(tmp_path))
    assert ended.returncode in {0, 3}
    assert "Traceback" not in ended.stderr
    assert "\\u" not in ended.stdout
    assert not words.startswith("plan") or "acc, perf -> server-0" in ended.stdout


def test_a_name_that_is_not_utf_8_is_shown(tmp_path: Path):
    ended = shell(
        f"cp configs/cases/local.yaml {tmp_path}/$'\\xff.yaml'; "
        f"inv plan --config {tmp_path}/$'\\xff.yaml'"
    )
    assert ended.returncode == 0, ended.stderr


def test_this_machine_has_no_key_to_trust():
    ended = shell("inv hosts.trust --config local.yaml")
    assert ended.returncode == 0
    assert "localhost: is this machine, used without SSH" in ended.stdout


# `inv` that receives Ctrl-C while it imports a module.
INV_WITH_CTRL_C = """\
import os, signal, sys
class Finder:
    def find_spec(self, name, *_):
        if name == sys.argv[2]:
            try:
                os.kill(os.getpid(), signal.SIGINT)
                exec("for _ in range(100): pass")
            except KeyboardInterrupt:
                if sys.argv[3] == "replaced":
                    raise RuntimeError("a library replaced it") from None
                raise
sys.meta_path.insert(0, Finder())
from invoke.main import program
program.run(["inv", sys.argv[1]])
"""


@pytest.mark.parametrize("how", ["raised", "replaced"])
@pytest.mark.parametrize("module", ["ci.commands.pod_flags", "ci.commands.check", "pydantic"])
def test_ctrl_c_ends_with_130_and_no_traceback(module: str, how: str):
    ended = subprocess.run(
        [sys.executable, "-c", INV_WITH_CTRL_C, "check", module, how],
        cwd=PROJECT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert (ended.returncode, ended.stderr) == (130, "interrupted\n")
