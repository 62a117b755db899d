#!/usr/bin/env python3
"""A stand-in for vllm-ascend's load_balance_proxy_server_example.py, with the contract of its own.

It takes the same arguments, tells of its health at /healthcheck, and serves completions and chats
alone: no /v1/models, no /metrics. A request goes to a prefill server for one token, without a
stream; the `kv_transfer_params` of the reply go with the request to a decode server.
https://github.com/vllm-project/vllm-ascend/blob/main/examples/disaggregated_prefill_v1
"""

from __future__ import annotations

import argparse
import itertools
import json
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

REMOTE = {
    "do_remote_decode": True,
    "do_remote_prefill": False,
    "remote_engine_id": None,
    "remote_block_ids": None,
    "remote_host": None,
    "remote_port": None,
}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    prefill: itertools.cycle[str]
    decode: itertools.cycle[str]

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        known = self.path == "/healthcheck"
        self.answer(200 if known else 404, {"status": "ok"} if known else {"detail": "Not Found"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path not in {"/v1/completions", "/v1/chat/completions"}:
            self.answer(404, {"detail": "Not Found"})
            return
        first = {**body, "stream": False, "max_tokens": 1, "kv_transfer_params": REMOTE}
        first.pop("stream_options", None)
        with self.ask(next(self.prefill), first) as reply:
            params = json.load(reply)["kv_transfer_params"]
        with self.ask(next(self.decode), {**body, "kv_transfer_params": params}) as reply:
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.headers["Content-Type"])
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
            while data := reply.read1(65536):
                self.wfile.write(data)

    def ask(self, server: str, body: object) -> urllib.request._UrlopenRet:
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(server + self.path, json.dumps(body).encode(), headers)
        return urllib.request.urlopen(request, timeout=600)

    def answer(self, status: int, value: object) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="localhost")
    parser.add_argument("--port", type=int, default=8000)
    for role in ("prefiller", "decoder"):
        parser.add_argument(f"--{role}-hosts", nargs="+", default=["localhost"])
        parser.add_argument(f"--{role}-ports", type=int, nargs="+", default=[8001])
    given = parser.parse_args()
    pairs = zip(given.prefiller_hosts, given.prefiller_ports, strict=True)
    Handler.prefill = itertools.cycle([f"http://{host}:{port}" for host, port in pairs])
    pairs = zip(given.decoder_hosts, given.decoder_ports, strict=True)
    Handler.decode = itertools.cycle([f"http://{host}:{port}" for host, port in pairs])
    Server((given.host, given.port), Handler).serve_forever()


if __name__ == "__main__":
    main()
