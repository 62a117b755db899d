"""In the place of a host's python3: runs the agent that it is sent, which then lies and floods.

Every frame comes three times, with replies and events that nobody asked for, and with megabytes
that are no frames. The run that it lists has a name that leads out of every folder.
"""

import sys

LIE = r"""
import os
from ci.remote.loop import agent
honest = agent.Agent.send
def send(self, frame, data=b""):
    ok = frame.get("ok")
    if isinstance(ok, dict) and "processes" in ok:
        row = {"run": "../../../lied", "process": "x", "alive": False, "folder": "/", "state": "x"}
        frame = dict(frame, ok=dict(ok, processes=[row]))
    for _ in range(3):
        honest(self, dict(frame), data)
    for number in range(1000000, 1000100):
        honest(self, {"id": number, "ok": "\x1b[2J" * 100})
        honest(self, {"event": "state", "folder": "/x", "state": {"state": "exited"}})
    os.write(1, b"\n" + b"no frame \x1b]0;x\x07" * 100000 + b"\n")
agent.Agent.send = send
"""
START = "from ci.remote.loop.agent import main"
# `agent/bootstrap.py` passes hexadecimal digits in quotes, then the mark of the frames.
words, mark = sys.argv[-2:]
sys.argv = ["-c", mark]
code = bytes.fromhex(words.split('"')[1]).decode()
exec(code.replace(START, LIE + START))  # noqa: S102 - as the shell of a host would
