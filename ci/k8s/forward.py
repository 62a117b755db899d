"""Forward a port of this machine to a pod, with kubectl."""

from __future__ import annotations

import re
import subprocess
import threading
from contextlib import contextmanager, nullcontext
from queue import Empty, Queue
from typing import TYPE_CHECKING

from ci.errors import InfrastructureError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

BEGUN_S, ENDED_S = 60.0, 10.0
KEPT_LINES = 20
_FORWARDING = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+) -> \d+")


@contextmanager
def forwarded(argv: Sequence[str], on_end: Callable[[BaseException], None]) -> Iterator[int]:
    """Run kubectl port-forward while inside; yields the port of this machine.

    Args:
        argv: from `ci.k8s.kubectl.forward_argv`.
        on_end: called with the reason, from another thread, if it ends by itself.

    Raises:
        InfrastructureError: it did not begin; the message has its output.
    """
    process = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # Ctrl-C is for this program alone
    )
    port: Queue[int] = Queue()
    lines: list[str] = []
    left = threading.Event()

    def read() -> None:
        with process.stdout or nullcontext() as output:
            for line in output or ():
                lines.append(line.strip())
                del lines[:-KEPT_LINES]
                if found := _FORWARDING.match(line):
                    port.put(int(found[1]))
        process.wait()
        port.put(0)
        if not left.is_set():
            on_end(_ended(lines))

    reader = threading.Thread(target=read, daemon=True, name="kubectl port-forward")
    reader.start()
    try:
        try:
            number = port.get(timeout=BEGUN_S)
        except Empty:
            number = 0
        if not number:
            left.set()
            raise _ended(lines)
        yield number
    finally:
        left.set()
        process.terminate()
        try:
            process.wait(ENDED_S)
        except subprocess.TimeoutExpired:
            process.kill()
        reader.join(ENDED_S)


def _ended(lines: Sequence[str]) -> InfrastructureError:
    output = "; ".join(line for line in lines if not line.startswith(("Forwarding", "Handling")))
    return InfrastructureError(
        f"kubectl port-forward does not forward to the pod: {output or 'no output'}; check the pod "
        "with `inv k8s.logs`, and that your account may use pods/portforward"
    )
