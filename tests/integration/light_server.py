"""A light real server process for nights that need no model: OpenAI's routes, and bad manners.

usage: light_server.py PORT [MANNER]

MANNER: good, busy (503 for ever), mute (hangs on completions), crash (exits 3 at once).
"""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODEL = "light"
CRASH_CODE = 3


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    manner = "good"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.answer(503 if self.manner == "busy" else 200, {"version": "0.0.0-light"})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.manner == "mute":
            threading.Event().wait()
        choice = {"index": 0, "finish_reason": "stop", "text": "yes"}
        choice["message"] = {"role": "assistant", "content": "yes"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        self.answer(200, {"model": MODEL, "choices": [choice], "usage": usage})

    def answer(self, status: int, value: object) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def main() -> None:
    port, Handler.manner = int(sys.argv[1]), (sys.argv[2:] or ["good"])[0]
    if Handler.manner == "crash":
        print("ValueError: the light server does not like this", flush=True)
        sys.exit(CRASH_CODE)
    server = ThreadingHTTPServer(("", port), Handler)
    server.daemon_threads = True
    print("light server is up", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
