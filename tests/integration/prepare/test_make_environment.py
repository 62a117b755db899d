"""make_environment.py as a host runs it: a real uv, a real environment, no network."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from pythons_here import key, pythons
from uv import find_uv_bin

RECIPE = Path(__file__).parents[3] / "ci" / "prepare" / "recipes" / "make_environment.py"
WAIT_S = 600
LACKS = {"1.0": False, "1.1": True}  # whether it needs a package that nobody has
WORKS = [
    "python",
    "-c",
    "import tiny; from importlib.metadata import version as v; assert v('other') == '1.0+cpu'",
]


@pytest.fixture
def wheels(tmp_path):
    """A folder that holds the two wheels there are."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for version in ("1.0", "1.1"):
        name, info = f"tiny-{version}-py3-none-any.whl", f"tiny-{version}.dist-info"
        with zipfile.ZipFile(folder / name, "w") as wheel:
            wheel.writestr("tiny.py", "")
            metadata = f"Metadata-Version: 2.1\nName: tiny\nVersion: {version}\n"
            wheel.writestr(
                f"{info}/METADATA", metadata + "Requires-Dist: absent\n" * LACKS[version]
            )
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")
    return folder


@pytest.fixture
def host(tmp_path, wheels):
    """What the recipe is started with on a host whose pip knows the wheels."""
    (tmp_path / "home").mkdir()
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "UV_"))}
    return {
        **kept,
        "HOME": str(tmp_path / "home"),
        "PIP_NO_INDEX": "1",
        "UV_CACHE_DIR": str(tmp_path / "cache"),
        "PIP_FIND_LINKS": str(wheels),
    }


def spec_of(tmp_path, **changes):
    spec = {
        "path": str(tmp_path / "work" / "envs" / "toy"),
        "fingerprint": "f1",
        "uv": find_uv_bin(),
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "packages": ["tiny==1.0"],
        "overrides": ["absent; python_version < '3'"],
        "metadata_for": "other==1.0+cpu",
        "verify": WORKS,
        **changes,
    }
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(spec))
    return path


def run(spec, env, python=sys.executable):
    return subprocess.run(
        [python, RECIPE, spec],
        env=env,
        check=False,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
    )


def stamp(tmp_path):
    path = tmp_path / "work" / "envs" / "toy" / ".lamplighter.json"
    return json.loads(path.read_text()) if path.exists() else None


def test_it_is_made_once_and_says_what_is_in_it(tmp_path, host):
    made = run(spec_of(tmp_path), host)
    assert made.returncode == 0, made.stdout + made.stderr
    assert "installing tiny==1.0" in made.stdout
    first = stamp(tmp_path)
    assert first["fingerprint"] == "f1"
    assert "tiny==1.0" in first["packages"]
    again = run(spec_of(tmp_path), host)
    assert (again.returncode, "already" in again.stdout) == (0, True)
    assert stamp(tmp_path) == first


def test_an_environment_that_works_stays_when_it_cannot_be_made_again(tmp_path, host):
    assert run(spec_of(tmp_path), host).returncode == 0
    first, envs = stamp(tmp_path), tmp_path / "work" / "envs"
    failed = run(spec_of(tmp_path, fingerprint="f2", packages=["absent==1"]), host)
    assert failed.returncode == 1
    assert stamp(tmp_path) == first
    subprocess.run([envs / "toy" / "bin" / "python", "-c", "import tiny"], check=True)
    assert run(spec_of(tmp_path, fingerprint="f2"), host).returncode == 0
    assert stamp(tmp_path)["fingerprint"] == "f2"
    assert [path.name for path in envs.iterdir()] == ["toy"]


@pytest.mark.parametrize("minor", range(8, 14))
def test_a_host_with_any_python_makes_one_of_another(tmp_path, host, minor):
    """Older or newer than the environment's; uv brings no pip and needs no ensurepip."""
    found = [path for version, path in pythons().items() if key(version)[1] == minor]
    if not found:
        pytest.skip(f"no Python 3.{minor} on this machine: the recipe is not run on it")
    made = run(spec_of(tmp_path), host, found[0])
    assert made.returncode == 0, made.stdout + made.stderr
    assert "tiny==1.0" in stamp(tmp_path)["packages"]
    ask = "import sys; print('%d.%d' % sys.version_info[:2])"
    answer = subprocess.check_output([tmp_path / "work/envs/toy/bin/python", "-c", ask], text=True)
    assert answer.strip() == f"{sys.version_info.major}.{sys.version_info.minor}"


def test_what_another_host_uses_is_not_made_anew(tmp_path, host):
    assert run(spec_of(tmp_path), host).returncode == 0
    folder = tmp_path / "work" / ".lamplighter" / "npu-2" / "run-7" / "server-0"
    folder.mkdir(parents=True)
    argv = [str(tmp_path / "work/envs/toy/bin/python"), "-c", "0"]
    (folder / "spec.json").write_text(json.dumps({"argv": argv}))
    (folder / "state.json").write_text('{"complete": false}')
    refused = run(spec_of(tmp_path, fingerprint="f2"), host)
    assert refused.returncode == 1
    assert "run run-7 on host npu-2 uses" in refused.stdout
    assert "`inv down --run run-7`" in refused.stdout
    assert stamp(tmp_path)["fingerprint"] == "f1"
    (folder / "state.json").write_text('{"complete": true}')
    assert run(spec_of(tmp_path, fingerprint="f2"), host).returncode == 0


def test_a_lock_is_installed_as_it_is(tmp_path, host):
    lock = {os.uname().machine: ["tiny==1.1"], "another": ["tiny==9.9"]}
    made = run(spec_of(tmp_path, packages=["tiny"], locks=lock), host)
    assert made.returncode == 0, made.stdout + made.stderr
    assert "installing 1 packages from its lock" in made.stdout
    assert {"tiny==1.1", "other==1.0+cpu"} == set(stamp(tmp_path)["packages"])
    assert stamp(tmp_path)["locked"] is True


def test_the_lock_of_another_machine_is_not_installed(tmp_path, host):
    made = run(spec_of(tmp_path, locks={"another": ["tiny==9.9"]}), host)
    assert made.returncode == 0, made.stdout + made.stderr
    assert "tiny==1.0" in stamp(tmp_path)["packages"]
    assert stamp(tmp_path)["locked"] is False


def test_a_lock_that_cannot_be_had_says_which_package(tmp_path, host):
    failed = run(spec_of(tmp_path, locks={os.uname().machine: ["tiny==9.9"]}), host)
    assert failed.returncode == 1
    assert "tiny==9.9" in failed.stdout
    assert stamp(tmp_path) is None


def test_another_fingerprint_makes_it_anew_from_nothing(tmp_path, host):
    assert run(spec_of(tmp_path), host).returncode == 0
    left = tmp_path / "work" / "envs" / "toy" / "left-over"
    left.write_text("")
    assert run(spec_of(tmp_path, fingerprint="f2"), host).returncode == 0
    assert stamp(tmp_path)["fingerprint"] == "f2"
    assert not left.exists()


def test_pips_own_setting_reaches_uv(tmp_path, host, wheels):
    if not shutil.which("pip3"):
        pytest.skip("no pip3 on this machine whose setting could be read")
    del host["PIP_FIND_LINKS"]
    (tmp_path / "pip.conf").write_text(f"[global]\nfind-links = {wheels}\n")
    host["PIP_CONFIG_FILE"] = str(tmp_path / "pip.conf")
    made = run(spec_of(tmp_path), host)
    assert made.returncode == 0, made.stdout + made.stderr


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"packages": ["missing==2.0"]}, ["missing==2.0", "run again"]),
        ({"packages": ["tiny==9.9"]}, ["tiny==9.9", "run again"]),
        ({"python": "3.99"}, ["no Python 3.99", "Put `python3.99` on its PATH", "run again"]),
        ({"verify": ["python", "-c", "import nothing_of_this_name"]}, ["nothing_of_this_name"]),
    ],
)
def test_a_failure_has_a_reason_and_leaves_no_stamp(tmp_path, host, change, expected):
    failed = run(spec_of(tmp_path, **change), host)
    assert failed.returncode == 1
    for words in expected:
        assert words in failed.stdout
    assert "Traceback" not in failed.stderr
    assert stamp(tmp_path) is None


def test_a_missing_library_is_the_operators_to_install(tmp_path, host):
    """As root on Debian too: `apt-get` is there, and is not started."""
    started = tmp_path / "started"
    host["PATH"] = f"{tmp_path / 'bin'}:{host['PATH']}"
    program(tmp_path / "bin" / "apt-get", f"touch {started}")
    libraries = {"libnothing.so.1": "no-such-b", "libnone.so.2": "no-such-a", "libc.so.6": "libc6"}
    failed = run(spec_of(tmp_path, libraries=libraries), host)
    assert failed.returncode == 1
    assert "lacks libnothing.so.1, libnone.so.2, and nothing is installed outside" in failed.stdout
    assert "apt-get install --no-install-recommends no-such-a no-such-b`" in failed.stdout
    assert not started.exists()
    assert stamp(tmp_path) is None


def test_a_python_that_uv_fetches_lies_in_the_workspace(tmp_path, host):
    calls = tmp_path / "calls"
    uv = program(tmp_path / "bin" / "uv", f'echo "$1 $UV_PYTHON_INSTALL_DIR" >> {calls}; exit 1')
    assert run(spec_of(tmp_path, uv=uv, python="3.99"), host).returncode == 1
    assert f"venv {tmp_path}/work/uv/python" in calls.read_text("utf-8").splitlines()


def test_a_python_that_was_fetched_is_found_again(tmp_path, host):
    calls = tmp_path / "calls"
    uv = program(tmp_path / "bin" / "uv", f'echo "$@" >> {calls}; exit 1')
    fetched = program(tmp_path / "work/uv/python/cpython-3.99.1-linux/bin/python3", "exit 0")
    program(tmp_path / "work/uv/python/cpython-3.9.9-linux/bin/python3", "exit 0")
    assert run(spec_of(tmp_path, uv=uv, python="3.99"), host).returncode == 1
    assert f"--python {fetched} " in calls.read_text("utf-8")


def test_what_another_architecture_left_in_a_shared_home_is_passed_over(tmp_path, host):
    other = program(tmp_path / "bin" / "uv", "")
    Path(other).write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xff\xff" + bytes(99))
    host["PATH"] = f"{tmp_path / 'bin'}:{host['PATH']}"
    mark = "" if os.uname().machine == "x86_64" else f"-{os.uname().machine}"
    own = tmp_path / f"work/uv{mark}/bin/uv"
    own.parent.mkdir(parents=True)
    own.symlink_to(find_uv_bin())
    made = run(spec_of(tmp_path, uv=None), host)
    assert made.returncode == 0, made.stdout + made.stderr
    assert "installing uv" not in made.stdout


def program(path, script):
    """Write a program that stands in for one of the system's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_an_interrupted_environment_is_made_again(tmp_path, host):
    started = tmp_path / "started"
    stuck = ["python", "-c", f"import time; open({str(started)!r}, 'w'); time.sleep({WAIT_S})"]
    process = subprocess.Popen(
        [sys.executable, RECIPE, spec_of(tmp_path, verify=stuck)],
        env=host,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + WAIT_S
        while not started.exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert stamp(tmp_path) is None
    assert run(spec_of(tmp_path), host).returncode == 0
    assert stamp(tmp_path)["fingerprint"] == "f1"
