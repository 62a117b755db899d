"""Source environment scripts with this host's bash, and read the resulting environment."""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import shutil
import signal
import subprocess
import time

from ci.remote.supervise.proc import KILL_PATIENCE_S, MARKER, is_marked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional

POLL_MS = 50
ENOUGH_LOOKS = 2
PIECE_BYTES = 65_536
MAX_ENVIRONMENT_BYTES = 1 << 20
MAX_OUTPUT_BYTES = 2_000
# Variables that bash itself sets in every shell.
OF_BASH = ("_", "SHLVL", "PWD", "OLDPWD", "PS1", "PS2", "COLUMNS", "LINES", MARKER)
HEAD_BYTES = 65_536
BEGAN, DONE = b"script", b"done"
END = b"\0" + DONE + b"\0"


def source(scripts: List[List[str]], timeout_s: float) -> Dict[str, Any]:
    """Source scripts in a single bash, in order.

    Args:
        scripts: each script's path, `~/` for this user's home, and its arguments.
        timeout_s: for all of them.

    Returns:
        `env`: variable → its new value, None if it was removed; or, if a script failed, `script`,
        `problem` and `output`, the last part of the printed text.
    """
    commands = [[os.path.expanduser(words[0]), *words[1:]] for words in scripts]
    for words in commands:
        problem = problem_of(words[0])
        if problem:
            return {"script": words[0], "problem": problem, "output": ""}
    bash = shutil.which("bash")
    if not bash:
        return {"script": commands[0][0], "problem": "needs bash, which is not there", "output": ""}
    mark = "script/%d-%s" % (os.getpid(), os.urandom(6).hex())
    (results, results_in), (output, output_in) = os.pipe(), os.pipe()
    try:
        process = subprocess.Popen(
            [bash, "--noprofile", "--norc", "-c", program(commands, results_in)],
            stdin=subprocess.DEVNULL,
            stdout=output_in,
            stderr=output_in,
            pass_fds=(results_in,),
            env=dict(os.environ, **{MARKER: mark}),
            start_new_session=True,
        )
    finally:
        os.close(results_in)
        os.close(output_in)
    read = Pipes(results, output)
    late = run(process, read, timeout_s)
    end_marked(("%s=%s" % (MARKER, mark)).encode())
    if read.too_much:
        problem = "made an environment of more than %d bytes" % MAX_ENVIRONMENT_BYTES
    elif late:
        problem = "did not end within %g s" % timeout_s
    elif process.returncode != 0 or END not in read.results:
        problem = ending(process.returncode)
    else:
        return {"env": changes(bytes(read.results))}
    began = bytes(read.results).split(b"\0").count(BEGAN)
    last = bytes(read.output).decode("utf-8", "replace")
    return {"script": commands[max(began, 1) - 1][0], "problem": problem, "output": last}


def run(process: subprocess.Popen[bytes], read: Pipes, timeout_s: float) -> bool:
    """Read what the shell writes until it ends; True if its time ran out."""
    deadline = time.monotonic() + timeout_s
    while process.poll() is None and time.monotonic() < deadline and not read.too_much:
        read.wait()
    late = process.poll() is None
    # Also ends the processes that the scripts started in its session.
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    read.rest()
    return late


def end_marked(marker: bytes) -> None:
    """Kill what the scripts started and took out of their session.

    While a program is loaded, its process has no environment for a moment: so nothing is left only
    if nothing is found twice.
    """
    deadline = time.monotonic() + KILL_PATIENCE_S
    looks = 0
    while time.monotonic() < deadline:
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
        left = [pid for pid in pids if is_marked(pid, marker)]
        looks = 0 if left else looks + 1
        if looks == ENOUGH_LOOKS:
            return
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(POLL_MS / 1000)


def problem_of(path: str) -> str:
    """Return why a script cannot be sourced; empty if it can be read."""
    path = os.path.expanduser(path)
    if not os.path.exists(path):
        return "does not exist"
    if not os.path.isfile(path):
        return "is not a file"
    try:
        with open(path, "rb") as file:
            windows = b"\r\n" in file.read(HEAD_BYTES)
    except OSError as error:
        return "may not be read by this user (%s)" % error.strerror
    return "has the line ends of Windows, which become part of values" if windows else ""


def program(commands: List[List[str]], results: int) -> str:
    """Return the program for bash: source each script, then write the environment to a pipe."""
    env = shutil.which("env") or "/usr/bin/env"
    lines = [
        "\\builtin printf '%s\\0' >&%d; . %s || \\builtin exit"
        % (BEGAN.decode(), results, " ".join(map(shlex.quote, words)))
        for words in commands
    ]
    # Scripts may define functions and aliases of these names.
    lines.append(
        r"\builtin printf '%s\0' >&%d && \builtin exec %s -0 >&%d"
        % (DONE.decode(), results, env, results)
    )
    return "\n".join(lines)


class Pipes:
    """The output of the shell: the environment, and the text that the scripts print."""

    def __init__(self, results: int, output: int) -> None:
        self.results = bytearray()
        self.output = bytearray()
        self.too_much = False
        self._fds = (results, output)
        self._poll = select.poll()
        for reader in self._fds:
            os.set_blocking(reader, False)
            self._poll.register(reader, select.POLLIN)

    def wait(self) -> None:
        """Read what arrives within POLL_MS."""
        for reader, _ in self._poll.poll(POLL_MS):
            self.take(reader)

    def rest(self) -> None:
        """Read the rest, but not what a process still writes."""
        for reader in self._fds:
            while not self.too_much and self.take(reader) == PIECE_BYTES:
                pass
            os.close(reader)

    def take(self, reader: int) -> int:
        """Read a piece; return its size."""
        try:
            piece = os.read(reader, PIECE_BYTES)
        except BlockingIOError:
            return 0
        if not piece:
            # The shell has closed it, and may run on.
            self._unregister(reader)
        elif reader == self._fds[0]:
            self.results += piece
            self.too_much = len(self.results) > MAX_ENVIRONMENT_BYTES
        else:
            self.output = (self.output + piece)[-MAX_OUTPUT_BYTES:]
        return len(piece)

    def _unregister(self, reader: int) -> None:
        with contextlib.suppress(KeyError):
            self._poll.unregister(reader)


def ending(code: int) -> str:
    """Describe the end of a shell that wrote no environment."""
    if code < 0:
        return "was ended by signal %d" % -code
    if code == 0:
        return "ends the shell (`exit` or `exec`), so nothing can be started after it"
    return "failed with exit code %d" % code


def changes(results: bytes) -> Dict[str, Optional[str]]:
    """Compare the environment that the shell wrote with this process's own."""
    entries = results.partition(END)[2].split(b"\0")
    after = dict(os.fsdecode(entry).split("=", 1) for entry in entries if b"=" in entry)
    names = {*after, *os.environ}.difference(OF_BASH)
    # A shell passes its functions on as BASH_FUNC_name%%; no program here needs them.
    variables = sorted(name for name in names if "%%" not in name)
    return {name: after.get(name) for name in variables if after.get(name) != os.environ.get(name)}
