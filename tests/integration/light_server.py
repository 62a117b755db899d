"""A light real server process for nights that need no model: OpenAI's routes, and bad manners.

usage: light_server.py PORT [MANNER]

MANNER: good; slow (a second for each answer); busy (503 for ever); mute (hangs on completions);
tired (hangs on completions after the first three); deaf (never listens); crash (exits 3 at once);
late (exits 3 after 20 s); a number (refuses completions with that status); worker (a headless rank:
serves nothing); family (a child of its own serves, and is busy; a file lies in the temporary
folder); twins (the same, and good); warming (503 for 20 s, then good); stubborn (busy, and ignores
TERM); tough (good, and ignores TERM); wordy (logs a cause, hundreds of lines that follow from it,
and exits); phases (good, and logs the phases of its start as vLLM does); killed (ends itself with
SIGKILL); litter (good, and leaves a file in /dev/shm); front (a router in front of `--to URL`);
echo (answers with the prompt, and streams it character by character).

With VLLM_API_KEY in its environment, or after --api-key, it refuses other keys, as vLLM does. With
--ssl-keyfile and --ssl-certfile it serves https, but not with --no-tls. It says
which model it serves, and refuses others. It listens on all addresses, or on that of `--host`.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

MODEL = "light"
MISSING = "cannot open shared object file: No such file or directory"
PHASES = """\
INFO 11-25 12:00:00 [default_loader.py:1] Loading weights took 4.20 seconds
INFO 11-25 12:00:09 [gpu_model_runner.py:2] Graph capturing finished in 0 secs, took 0.01 GiB
"""
CRASH_CODE = 3
LATE_S = 20
WARM_AFTER_S = 20
FRESH = 3
FOR_EVER = threading.Event()
COMPLETIONS = itertools.count(1)
BEGAN_S = time.monotonic()


class Server(ThreadingHTTPServer):
    request_queue_size = 512  # many users may come at once
    daemon_threads = True


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    manner = "good"
    keys: frozenset[str] = frozenset()

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        warming = self.manner == "warming" and time.monotonic() - BEGAN_S < WARM_AFTER_S
        busy = self.manner in {"busy", "stubborn"} or warming
        if self.path == "/v1/models":
            self.answer(200, {"data": [{"id": MODEL}]})
            return
        self.answer(503 if busy else 200, {"version": "0.0.0-light"})

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if self.manner == "front":
            self.forward(data)
            return
        request = json.loads(data)
        number = next(COMPLETIONS)
        refused = self.refusal(request)
        if refused:
            self.answer(refused, {"error": {"message": f"the light server says {refused}"}})
            return
        if self.manner == "mute" or (self.manner == "tired" and number > FRESH):
            FOR_EVER.wait()
        if self.manner == "slow":
            FOR_EVER.wait(1)
        text = prompt_of(request) if self.manner == "echo" else "yes"
        choice = {"index": 0, "finish_reason": "stop", "text": text}
        choice["message"] = {"role": "assistant", "content": text}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        if self.path == "/v1/messages":
            self.message(text, stream=bool(request.get("stream")))
        elif request.get("stream") and self.manner == "echo":
            self.stream_slowly(text)
        elif request.get("stream"):
            self.stream(usage)
        else:
            self.answer(200, {"model": MODEL, "choices": [choice], "usage": usage})

    def forward(self, data: bytes) -> None:
        """Pass a request on, with this process's own key, and through its proxies if it has any."""
        key = os.environ.get("OPENAI_API_KEY", "")
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
        request = urllib.request.Request(after("--to") + self.path, data, headers)
        try:
            with urllib.request.urlopen(request, timeout=20) as reply:
                self.send(reply.headers["Content-Type"], reply.status, reply.read())
        except OSError as error:
            self.answer(getattr(error, "code", 502), {"error": {"message": str(error)}})

    def refusal(self, request: dict[str, object]) -> int:
        """The status for a request that is not served; 0 for one that is."""
        scheme, _, key = self.headers.get("Authorization", "").partition(" ")
        if self.keys and not (scheme == "Bearer" and key in self.keys):
            return 401
        if self.manner.isdecimal():
            return int(self.manner)
        return 0 if request.get("model", MODEL) == MODEL else 404

    def stream(self, usage: dict[str, int]) -> None:
        choice = {"index": 0, "delta": {"content": "yes"}, "finish_reason": "stop", "text": "yes"}
        pieces = [{"choices": [choice]}, {"choices": [], "usage": usage}]
        lines = [f"data: {json.dumps(piece)}\n\n" for piece in pieces] + ["data: [DONE]\n\n"]
        self.send("text/event-stream", 200, "".join(lines).encode())

    def message(self, text: str, *, stream: bool) -> None:
        """Answer as the Messages API does."""
        if stream:
            kinds = ("message_start", "content_block_delta", "message_stop")
            events = [f'event: {kind}\ndata: {{"type": "{kind}"}}\n\n' for kind in kinds]
            self.send("text/event-stream", 200, "".join(events).encode())
            return
        content = {"content": [{"type": "text", "text": text}], "usage": {"output_tokens": 1}}
        self.answer(200, {"type": "message", "role": "assistant", **content})

    def stream_slowly(self, text: str) -> None:
        """Send each character by itself, as chunks; the client's hang-up ends it."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for letter in text:
            piece = {"choices": [{"index": 0, "delta": {"content": letter}, "text": letter}]}
            self.chunk(f"data: {json.dumps(piece)}\n\n")
        self.chunk("data: [DONE]\n\n")
        self.chunk("")

    def chunk(self, text: str) -> None:
        data = text.encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def answer(self, status: int, value: object) -> None:
        self.send("application/json", status, json.dumps(value).encode())

    def send(self, kind: str, status: int, data: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        if self.headers.get("Connection") == "close":  # as uvicorn does
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)


def prompt_of(request: dict[str, object]) -> str:
    """The prompt, or the text of the last message."""
    messages = request.get("messages")
    return str(messages[-1]["content"] if isinstance(messages, list) else request.get("prompt"))


def after(flag: str) -> str:
    """The word after a flag; empty without it."""
    return sys.argv[sys.argv.index(flag) + 1] if flag in sys.argv else ""


def keys() -> frozenset[str]:
    """As vLLM takes them: all words after --api-key, else VLLM_API_KEY."""
    given = sys.argv[sys.argv.index("--api-key") + 1 :] if "--api-key" in sys.argv else []
    own = itertools.takewhile(lambda word: not word.startswith("-"), given)
    return frozenset(own) or frozenset(filter(None, [os.environ.get("VLLM_API_KEY")]))


def main() -> None:
    port, Handler.manner = int(sys.argv[1]), (sys.argv[2:] or ["good"])[0]
    if Handler.manner in {"crash", "late"}:
        FOR_EVER.wait(LATE_S if Handler.manner == "late" else 0)
        print("ValueError: the light server does not like this", flush=True)
        sys.exit(CRASH_CODE)
    if Handler.manner == "wordy":
        print("(Worker_TP0 pid=7) ERROR 11-25 12:00:00 [a.py:1] OSError: libatb.so: " + MISSING)
        for number in range(1000):
            print(f"(EngineCore pid=6) ERROR 11-25 12:00:01 [core.py:9] frame {number} of many")
        print("RuntimeError: Engine core initialization failed. See root cause above.", flush=True)
        sys.exit(1)
    sys.stdout.write(PHASES if Handler.manner == "phases" else "")
    if Handler.manner == "litter":
        Path(f"/dev/shm/light-{port}").write_bytes(bytes(1 << 20))
    if Handler.manner == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if Handler.manner in {"stubborn", "tough"}:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("the light server ignores TERM", flush=True)
    if Handler.manner in {"family", "twins"}:
        (Path(os.environ["TMPDIR"]) / "store").touch()
        child = "busy" if Handler.manner == "family" else "good"
        subprocess.run([sys.executable, __file__, str(port), child, *sys.argv[3:]], check=True)
    if Handler.manner in {"deaf", "worker"}:
        print(f"a {Handler.manner} server is up", flush=True)
        FOR_EVER.wait()
    Handler.keys = keys()
    server = Server((after("--host"), port), Handler)
    if "--ssl-certfile" in sys.argv and "--no-tls" not in sys.argv:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(after("--ssl-certfile"), after("--ssl-keyfile"))
        server.socket = context.wrap_socket(server.socket, server_side=True)
    print("light server is up", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
