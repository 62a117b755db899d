"""Start the supervised process: its environment, argv and exec."""

from __future__ import annotations

import ctypes
import os

from ci.remote.lean import signal
from ci.remote.supervise import cgroup
from ci.remote.supervise.proc import MARKER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Mapping, NoReturn

    from ci.remote.supervise.store import State

PR_SET_PDEATHSIG = 1
NOT_STARTED = 127  # as of a shell
# Python ignores some of these signals, and a shell ignores some for its background jobs and nohup.
IGNORED = (
    signal.SIGPIPE,
    signal.SIGXFSZ,
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
)
# Some programs read only the first, others only the second.
NO_PROXY = ("no_proxy", "NO_PROXY")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
LIBC = ctypes.CDLL(None, use_errno=True)


def spawn(argv: List[str], env: Dict[str, str], cwd: str, output: int, group: str = "") -> int:
    """Start a process in its own session; the kernel kills it if this process ends.

    Not with `subprocess.Popen`, because a supervisor itself reaps all children, adopted ones too.

    Args:
        argv: the command, looked for in the PATH of `env`.
        env: the whole environment.
        cwd: the working folder.
        output: descriptor for stdout and stderr.
        group: the cgroup; empty for this process's own.

    Returns:
        The pid, after the exec.

    Raises:
        OSError: the process cannot be started.
    """
    reader, writer = os.pipe()  # exec closes its end
    pid = os.fork()
    if pid == 0:
        _become(argv, env, cwd, output, writer, group)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        failure = pipe.read().decode()
    if failure:
        os.waitpid(pid, 0)
        number, why, name = failure.split("\0", 2)
        raise OSError(int(number), why, name)
    return pid


def _become(  # noqa: PLR0913, PLR0917 - see `spawn`
    argv: List[str], env: Dict[str, str], cwd: str, output: int, writer: int, group: str
) -> NoReturn:
    """Become the process; runs in the child."""
    name = cwd
    try:
        os.setsid()
        if group:
            cgroup.join(group)
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        for number in IGNORED:
            signal.signal(number, signal.SIG_DFL)
        null = os.open(os.devnull, os.O_RDONLY)
        for place, handle in enumerate((null, output, output)):
            os.dup2(handle, place)
        os.chdir(cwd)
        name = argv[0]
        os.execvpe(name, argv, env)  # noqa: S606 - no shell is wanted
    except BaseException as error:  # noqa: BLE001 - the parent gets every error
        code = getattr(error, "errno", None) or 0
        why = os.strerror(code) if code else str(error)
        os.write(writer, ("%d\0%s\0%s" % (code, why, name)).encode())
    finally:
        os._exit(NOT_STARTED)


def environment(spec: State) -> Dict[str, str]:
    """Build the child's environment: the host's, changed by the scripts, then by the case.

    The names in `expand` stand for the host's values.
    """
    host = {**os.environ, **spec.get("sourced", {})}
    host = {name: value for name, value in host.items() if value is not None}
    given = {name: expanded(text, spec["expand"], host) for name, text in spec["env"].items()}
    env = {**host, "TMPDIR": spec["tmp"], **direct(host, given, spec.get("direct", [])), **given}
    # SPT_NOENV keeps setproctitle, which vLLM uses, from wiping the marker.
    env.update({MARKER: f"{spec['run']}/{spec['process']}", "SPT_NOENV": "1"})
    return env


def direct(host: Mapping[str, str], given: Mapping[str, str], own: List[str]) -> Dict[str, str]:
    """Return `no_proxy`: the case's own, or the host's with loopback and the run's hosts."""
    chosen = [given[name] for name in NO_PROXY if name in given]
    if chosen:
        return dict.fromkeys(NO_PROXY, chosen[0])
    listed = ",".join(host.get(name, "") for name in NO_PROXY).replace(",", " ").split()
    if "*" in listed:  # has no effect in a list with other names
        return dict.fromkeys(NO_PROXY, "*")
    names = [*listed, *LOOPBACK, os.uname().nodename, *own]
    return dict.fromkeys(NO_PROXY, ",".join(dict.fromkeys(names)))


def expanded(text: str, names: List[str], values: Mapping[str, str]) -> str:
    """Replace `$X` and `${X}` of these names by values; a missing value is empty.

    Without `re`: to import it takes 4 ms, and a forked process must not import it (`workers.py`).
    """
    first, *parts = text.split("$")
    return first + "".join(_expanded_start(part, names, values) for part in parts)


def _expanded_start(part: str, names: List[str], values: Mapping[str, str]) -> str:
    """Replace the name at the start of the text after a `$`."""
    if part.startswith("{"):
        name, closing, rest = part[1:].partition("}")
    else:
        ends = (at for at, letter in enumerate(part) if not (letter.isalnum() or letter == "_"))
        length = next(ends, len(part))
        name, closing, rest = part[:length], "no brace", part[length:]
    return values.get(name, "") + rest if name in names and closing else "$" + part
