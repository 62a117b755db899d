"""Compare with peers: connect to every host, read its facts, push 100 KB, in alternating runs.

`python benchmarks/fanout.py --peers` first installs the peers. Needs root, since it makes a lab of
network namespaces. Every run is a separate process, and is verified: the file arrived on every
host, and every host returned its name. Run it on an idle machine, and quote the figures with it.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ci.lab import lab as labs
from ci.lab.inside import root_of
from ci.paths import workspace_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CLIENTS = Path(__file__).with_name("fanout_clients.py")
CONTENDERS = ("ours", "asyncssh", "openssh", "pyinfra", "ansible")
PACKAGES = ("asyncssh", "pyinfra", "ansible-core")
SIZES = (2, 8, 32, 128)
PUSHED_BYTES = 100_000
SLOW_S = 10.0
FURTHER = 5
COLUMNS = ("seconds", "cpu_s", "peak_mb")
ROW = "{hosts:5} {contender:9} {seconds:8.3f} {ratio:7.2f} {cpu_s:13.3f} {peak_mb:8.0f} {n:2}"
SAMPLE_S = 0.1
PROJECT = Path(__file__).resolve().parent.parent
# Prints the modules that the facts need, of those that travel to a host.
MODULES = """\
import json, sys
import ci.remote.facts.facts
print(json.dumps([name for name in sys.modules if name.split(".")[0] == "ci"]))
"""
# The facts script of this project as one source, which every peer runs on the hosts.
SCRIPT = """\
import json, sys
P = {modules!r}
class Carried:
    find_spec = staticmethod(lambda name, path=None, target=None: type(sys.__spec__)(
        name, Carried, is_package=P[name] is None) if name in P else None)
    create_module = staticmethod(lambda spec: None)
    exec_module = staticmethod(lambda module: exec(P[module.__name__] or "", module.__dict__))
sys.meta_path.insert(0, Carried)
from ci.remote.facts.facts import gather
print(json.dumps(gather("/root", [])), flush=True)
"""


def facts_script() -> str:
    """Return the facts script as one source text."""
    listed = subprocess.run(
        [sys.executable, "-c", MODULES], cwd=PROJECT, check=True, capture_output=True
    )
    paths = {name: PROJECT / f"{name.replace('.', '/')}.py" for name in json.loads(listed.stdout)}
    modules = {name: path.read_text() if path.exists() else None for name, path in paths.items()}
    return SCRIPT.format(modules=modules)


def install_peers(folder: Path) -> None:
    """Make an environment with all peers, with uv."""
    uv = shutil.which("uv") or sys.exit("uv is not on the PATH; install it, or leave --peers out")
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    subprocess.run([uv, "venv", "--quiet", "--clear", "-p", python, folder], check=True)
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--compile-bytecode", "-p", folder, *PACKAGES], check=True
    )


def runs_with(name: str, peers: Path) -> Path | None:
    """Return the Python that runs a contender; None if the contender is not installed."""
    if name == "ours":
        return Path(sys.executable)
    python = peers / "bin/python"
    if name == "openssh":
        return Path(sys.executable) if shutil.which("ssh") else None
    find = f"import importlib.util as u; raise SystemExit(not u.find_spec({name!r}))"
    if not python.exists() or subprocess.run([python, "-c", find], check=False).returncode:
        return None
    return python


class Stage:
    """The hosts, the pushed file and the task of a run."""

    def __init__(self, lab: labs.Lab, folder: Path, *, tuned: bool) -> None:
        self.lab, self.folder, self.tuned = lab, folder, tuned
        self.script = folder / "facts.py"
        self.script.write_text(facts_script())

    def run(self, name: str, python: Path, count: int, *, watch_memory: bool) -> dict[str, Any]:
        """Run a contender once and verify it; return seconds, cpu_s, peak_mb and rounds."""
        hosts = self.lab.hosts[:count]
        scratch = self.folder / "run"
        scratch.mkdir()
        data = os.urandom(PUSHED_BYTES)
        (scratch / "payload").write_bytes(data)
        target = f"/root/pushed-{data[:6].hex()}"
        task = {
            "hosts": {host.name: host.address for host in hosts},
            "identity": str(self.lab.identity),
            "known_hosts": str(self.lab.known_hosts),
            "script": str(self.script),
            "payload": str(scratch / "payload"),
            "target": target,
            "folder": str(scratch),
            "further": FURTHER,
            "tuned": self.tuned,
        }
        try:
            result, peak_mb = self.client(name, python, task, watch_memory=watch_memory)
            self.check(name, result["names"], target, hashlib.sha256(data).digest())
        finally:
            end_masters(scratch / "m")
            shutil.rmtree(scratch)
        peak_mb = max(peak_mb, result["peak_kib"] / 1024)
        return {**result, "peak_mb": peak_mb}

    def client(
        self, name: str, python: Path, task: dict[str, Any], *, watch_memory: bool
    ) -> tuple[dict[str, Any], float]:
        """Run the contender's process; return its result and its peak memory in MB."""
        environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # compile all, as after an installation
        argv = [str(python), str(CLIENTS), name]
        with subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        ) as process:
            try:
                peak = Peak(process.pid) if watch_memory else contextlib.nullcontext()
                with peak:
                    out, _ = process.communicate(json.dumps(task).encode())
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            sys.exit(f"{name} failed at {len(task['hosts'])} hosts")
        result: dict[str, Any] = json.loads(out)
        return result, peak.mb if isinstance(peak, Peak) else 0.0

    def check(self, name: str, names: dict[str, str], target: str, digest: bytes) -> None:
        """Verify that the file is on every host, and remove it."""
        for host, reported in names.items():
            path = Path(f"{root_of(self.lab, host)}{target}")
            if reported != host or hashlib.sha256(path.read_bytes()).digest() != digest:
                sys.exit(f"{name}: expected the name {host}, got {reported}; or the file differs")
            path.unlink()


class Peak:
    """Peak memory of a process and its descendants; shared pages are counted once."""

    def __init__(self, pid: int) -> None:
        self.pid, self.mb = pid, 0.0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.sample, daemon=True)

    def __enter__(self) -> None:
        self.thread.start()

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()

    def sample(self) -> None:
        """Sample the memory until the end."""
        while not self.over.wait(SAMPLE_S):
            self.mb = max(self.mb, sum(map(pss_kib, family(self.pid))) / 1024)


def family(pid: int) -> Iterator[int]:
    """Yield a process and all of its descendants."""
    yield pid
    with contextlib.suppress(OSError):
        for path in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in path.read_text().split():
                yield from family(int(child))


def pss_kib(pid: int) -> int:
    """Return the proportional set size of a process in KiB; 0 if it has ended."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("Pss:")).split()[1])
    return 0


def end_masters(folder: Path) -> None:
    """Close the connections that Ansible leaves open for a later run."""
    for master in folder.iterdir() if folder.is_dir() else ():
        argv = ["ssh", "-F", "none", "-o", f"ControlPath={master}", "-O", "exit", "any"]
        subprocess.run(argv, capture_output=True, check=False)


def measured(
    stage: Stage, pythons: dict[str, Path], size: int, times: int
) -> dict[str, list[dict[str, Any]]]:
    """Run all contenders alternately; the first run of each measures memory and is not timed.

    A contender that takes more than SLOW_S is timed only once.
    """
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in pythons}
    first = {
        name: stage.run(name, python, size, watch_memory=True) for name, python in pythons.items()
    }
    for number in range(times):
        for name, python in pythons.items():
            if number == 0 or first[name]["seconds"] < SLOW_S:
                result = stage.run(name, python, size, watch_memory=False)
                runs[name].append({**result, "peak_mb": first[name]["peak_mb"]})
    return runs


def table(size: int, runs: dict[str, list[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    """Yield a row of medians for each contender; the ratio is that of consecutive runs."""
    for name, results in runs.items():
        medians = {key: statistics.median(run[key] for run in results) for key in COLUMNS}
        pairs = zip(results, runs["ours"], strict=False)
        ratio = statistics.median(theirs["seconds"] / ours["seconds"] for theirs, ours in pairs)
        yield {"hosts": size, "contender": name, "ratio": ratio, "n": len(results), **medians}


def further_rounds(runs: list[dict[str, Any]]) -> dict[str, float]:
    """Return the median seconds of another round over open connections, empty and with facts."""
    rounds = [seconds for run in runs for seconds in run["rounds"]]
    return {kind: statistics.median(r[kind] for r in rounds) for kind in ("empty", "facts")}


def present(names: Sequence[str], peers: Path) -> dict[str, Path]:
    """Return contender → the Python that runs it; report the contenders that are left out."""
    found = {name: runs_with(name, peers) for name in dict.fromkeys(("ours", *names))}
    for name in (name for name, python in found.items() if python is None):
        print(f"{name} is not installed and is left out: --peers installs it")
    return {name: python for name, python in found.items() if python}


@contextlib.contextmanager
def staged(folder: Path, count: int, *, tuned: bool) -> Iterator[Stage]:
    """Bring the hosts up, and remove everything at the end."""
    shutil.rmtree(folder / "fanout", ignore_errors=True)
    (folder / "fanout").mkdir(parents=True)
    home = folder / "fanout-lab"
    labs.down(home)
    try:
        lab = labs.up(home, count, name="fanout", cluster_file=folder / "fanout.yaml")
        yield Stage(lab, folder / "fanout", tuned=tuned)
    finally:
        labs.down(home)
        shutil.rmtree(folder / "fanout")


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of hosts")
    parser.add_argument("--times", type=int, default=5, help="timed runs of each contender")
    parser.add_argument("--only", nargs="+", default=CONTENDERS, choices=CONTENDERS)
    parser.add_argument("--peers", action="store_true", help="install the peers first, with uv")
    parser.add_argument("--tuned", action="store_true", help="give the peers our optimisations too")
    parser.add_argument("--json", type=Path, help="also write everything to this file")
    arguments = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):  # exit in a way that removes the lab
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    folder = Path(workspace_of("")) / "benchmarks"
    if arguments.peers:
        install_peers(folder / "peers")
    pythons = present(arguments.only, folder / "peers")
    print(f"{platform.platform()}, {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]}")
    print("hosts contender   wall s  × ours  client CPU s  peak MB  n")
    rows, further = [], {}
    with staged(folder, max(arguments.sizes), tuned=arguments.tuned) as stage:
        for size in arguments.sizes:
            runs = measured(stage, pythons, size, arguments.times)
            further[size] = further_rounds(runs["ours"])
            for row in table(size, runs):
                print(ROW.format_map(row), flush=True)
                rows.append(row)
    for size, seconds in further.items():
        print(
            f"another round over {size} open connections: {seconds['empty']:.3f} s empty, "
            f"{seconds['facts']:.3f} s facts"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps({"rows": rows, "further": further}, indent=1) + "\n")


if __name__ == "__main__":
    main()
