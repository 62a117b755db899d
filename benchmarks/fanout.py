"""Connect to every host, read its facts, push 100 KB: against the peers, in one run, in turn.

`python benchmarks/fanout.py --peers` installs the peers for itself, then measures; as root, for it
makes a lab of network namespaces. Every run is a process of its own, and is checked: the file
arrived on every host, and every host told its name. Run it on an idle machine, and quote both.
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

from ci.agent.bootstrap import REMOTE
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
FACTS = (
    "supervise.store",
    "facts.network",
    "facts.ports",
    "supervise.presence",
    "facts.software",
    "facts.facts",
)
# What any tool would run on a host: our own facts, from source.
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
print(json.dumps(gather("/root", [], [])), flush=True)
"""


def facts_script() -> str:
    """Give the facts as one script."""
    modules = dict.fromkeys(("ci", "ci.remote", "ci.remote.facts", "ci.remote.supervise"))
    named = {
        f"ci.remote.{one}": (REMOTE / f"{one.replace('.', '/')}.py").read_text() for one in FACTS
    }
    return SCRIPT.format(modules=modules | named)


def install_peers(folder: Path) -> None:
    """Make the environment that all peers run in, with uv."""
    uv = shutil.which("uv") or sys.exit("uv is not on the PATH: install it, or leave --peers out")
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    subprocess.run([uv, "venv", "--quiet", "--clear", "-p", python, folder], check=True)
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--compile-bytecode", "-p", folder, *PACKAGES], check=True
    )


def runs_with(name: str, peers: Path) -> Path | None:
    """Say which Python runs a contender; None where it is not installed."""
    if name == "ours":
        return Path(sys.executable)
    python = peers / "bin/python"
    if name == "openssh":
        return Path(sys.executable) if shutil.which("ssh") else None
    look = f"import importlib.util as u; raise SystemExit(not u.find_spec({name!r}))"
    if not python.exists() or subprocess.run([python, "-c", look], check=False).returncode:
        return None
    return python


class Stage:
    """The hosts, the file that is pushed, and what one run is told."""

    def __init__(self, lab: labs.Lab, folder: Path, *, tuned: bool) -> None:
        self.lab, self.folder, self.tuned = lab, folder, tuned
        self.script = folder / "facts.py"
        self.script.write_text(facts_script())

    def run(self, name: str, python: Path, count: int, *, watch_memory: bool) -> dict[str, Any]:
        """Run a contender once and check what it did; gives seconds, cpu_s, peak_mb, rounds."""
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
            told, peak_mb = self.client(name, python, task, watch_memory=watch_memory)
            self.check(name, told["names"], target, hashlib.sha256(data).digest())
        finally:
            end_masters(scratch / "m")
            shutil.rmtree(scratch)
        peak_mb = max(peak_mb, told["peak_kib"] / 1024)
        return {**told, "peak_mb": peak_mb}

    def client(
        self, name: str, python: Path, task: dict[str, Any], *, watch_memory: bool
    ) -> tuple[dict[str, Any], float]:
        """Start the contender's process and wait for what it tells."""
        environment = {**os.environ, "PYTHONPATH": str(REMOTE.parents[2])}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # all are compiled, as once installed
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
        told: dict[str, Any] = json.loads(out)
        return told, peak.mb if isinstance(peak, Peak) else 0.0

    def check(self, name: str, names: dict[str, str], target: str, digest: bytes) -> None:
        """See on every host that the file is there, and take it away."""
        for host, said in names.items():
            path = Path(f"{root_of(self.lab, host)}{target}")
            if said != host or hashlib.sha256(path.read_bytes()).digest() != digest:
                sys.exit(f"{name}: {host} told the name {said}, or has another file")
            path.unlink()


class Peak:
    """The most memory that a process and all below it had at once, shared pages counted once."""

    def __init__(self, pid: int) -> None:
        self.pid, self.mb = pid, 0.0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.look, daemon=True)

    def __enter__(self) -> None:
        self.thread.start()

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()

    def look(self) -> None:
        """Sample until it is over."""
        while not self.over.wait(SAMPLE_S):
            self.mb = max(self.mb, sum(map(pss_kib, family(self.pid))) / 1024)


def family(pid: int) -> Iterator[int]:
    """A process and every process below it."""
    yield pid
    with contextlib.suppress(OSError):
        for path in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in path.read_text().split():
                yield from family(int(child))


def pss_kib(pid: int) -> int:
    """A process's share of memory."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("Pss:")).split()[1])
    return 0


def end_masters(folder: Path) -> None:
    """End the connections that Ansible leaves open for a later run."""
    for master in folder.iterdir() if folder.is_dir() else ():
        argv = ["ssh", "-F", "none", "-o", f"ControlPath={master}", "-O", "exit", "any"]
        subprocess.run(argv, capture_output=True, check=False)


def measured(
    stage: Stage, pythons: dict[str, Path], size: int, times: int
) -> dict[str, list[dict[str, Any]]]:
    """Run all in turn; the first of each is for memory and warmth, and is not timed.

    Whoever takes more than SLOW_S is timed but once.
    """
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in pythons}
    first = {
        name: stage.run(name, python, size, watch_memory=True) for name, python in pythons.items()
    }
    for number in range(times):
        for name, python in pythons.items():
            if number == 0 or first[name]["seconds"] < SLOW_S:
                told = stage.run(name, python, size, watch_memory=False)
                runs[name].append({**told, "peak_mb": first[name]["peak_mb"]})
    return runs


def table(size: int, runs: dict[str, list[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    """A row for each contender: medians; the ratio is that of runs that followed each other."""
    for name, each in runs.items():
        middle = {key: statistics.median(one[key] for one in each) for key in COLUMNS}
        pairs = zip(each, runs["ours"], strict=False)
        ratio = statistics.median(one["seconds"] / mine["seconds"] for one, mine in pairs)
        yield {"hosts": size, "contender": name, "ratio": ratio, "n": len(each), **middle}


def further_rounds(runs: list[dict[str, Any]]) -> dict[str, float]:
    """Seconds of a further round over the connections that are open: an empty one, and facts."""
    rounds = [one for run in runs for one in run["rounds"]]
    return {kind: statistics.median(one[kind] for one in rounds) for kind in ("empty", "facts")}


def present(names: Sequence[str], peers: Path) -> dict[str, Path]:
    """Contender → the Python that runs it; says who is left out."""
    found = {name: runs_with(name, peers) for name in dict.fromkeys(("ours", *names))}
    for name in (name for name, python in found.items() if python is None):
        print(f"{name} is not installed and is left out: --peers installs it")
    return {name: python for name, python in found.items() if python}


@contextlib.contextmanager
def staged(folder: Path, count: int, *, tuned: bool) -> Iterator[Stage]:
    """Bring the hosts up; takes all away again, whatever happens."""
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
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="how many hosts")
    parser.add_argument("--times", type=int, default=5, help="of each, of which medians are told")
    parser.add_argument("--only", nargs="+", default=CONTENDERS, choices=CONTENDERS)
    parser.add_argument("--peers", action="store_true", help="install the peers first, with uv")
    parser.add_argument("--tuned", action="store_true", help="give peers our remote tricks too")
    parser.add_argument("--json", type=Path, help="write everything there too")
    asked = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):  # the lab is taken away all the same
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    folder = Path(workspace_of("")) / "benchmarks"
    if asked.peers:
        install_peers(folder / "peers")
    pythons = present(asked.only, folder / "peers")
    print(f"{platform.platform()}, {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]}")
    print("hosts contender   wall s  × ours  client CPU s  peak MB  n")
    rows, further = [], {}
    with staged(folder, max(asked.sizes), tuned=asked.tuned) as stage:
        for size in asked.sizes:
            runs = measured(stage, pythons, size, asked.times)
            further[size] = further_rounds(runs["ours"])
            for row in table(size, runs):
                print(ROW.format_map(row), flush=True)
                rows.append(row)
    for size, each in further.items():
        print(
            f"a further round over {size} open connections: {each['empty']:.3f} s empty, "
            f"{each['facts']:.3f} s facts"
        )
    if asked.json:
        asked.json.write_text(json.dumps({"rows": rows, "further": further}, indent=1) + "\n")


if __name__ == "__main__":
    main()
