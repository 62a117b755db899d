"""A server whose children do all that makes processes survive their owner's end.

Prints one line `children <pid> ...` when all of them are out of reach, then obeys `--then`.
"""

import argparse
import os
import signal
import sys
import time

HOUR_S = 3600


def leave_session():
    os.setsid()


def fork_twice():
    os.setsid()
    if os.fork():
        os._exit(0)


def wipe_and_rename():
    """Be an orphan in its own session, with an empty environment, under another name."""
    fork_twice()
    code = f"import os,time;os.write(3,b'%d ' % os.getpid());os.close(3);time.sleep({HOUR_S})"
    os.execve(sys.executable, ["[kworker/0:0]", "-ISc", code], {})  # noqa: S606 - no shell in between is the point


def spawn(escape):
    """Fork a child that ignores TERM and escapes; returns its last pid."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        os.dup2(writer, 3, inheritable=True)
        if writer != 3:
            os.close(writer)
        escape()
        os.write(3, b"%d " % os.getpid())
        os.close(3)
        time.sleep(HOUR_S)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        return int(pipe.read())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--then", choices=["hang", "defy", "exit"], default="hang")
    options = parser.parse_args()
    children = [spawn(escape) for escape in (leave_session, fork_twice, wipe_and_rename)]
    if options.then == "defy":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.stdout.write(f"children {' '.join(map(str, children))}\n")
    sys.stdout.flush()
    if options.then != "exit":
        time.sleep(HOUR_S)
    sys.exit(3)


if __name__ == "__main__":
    main()
