"""A proxy for prefill and decode apart, with the arguments of vllm-ascend's example proxy.

    python prefill_decode_proxy.py --host 10.0.0.1 --port 8000 \
        --prefiller-hosts 10.0.0.1 --prefiller-ports 8100 \
        --decoder-hosts 10.0.0.2 --decoder-ports 8200

Copy it to the host of the router, and name it as `script` of the case's `router`. It needs Python
3.8 and nothing else. A generation goes to a prefill server for one token, without a stream; the
`kv_transfer_params` of its reply go with the request to a decode server, whose reply is passed on
as it comes. Everything else goes to a decode server. The servers take turns.

`/health` and `/healthcheck` say 200 only while every server says so: a router whose health hides a
dead server lets requests hang. An error of a server is passed on as it is.
https://github.com/vllm-project/vllm-ascend/blob/main/examples/disaggregated_prefill_v1
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Dict, Iterator, List, Mapping, Tuple

GENERATES = ("/v1/completions", "/v1/chat/completions")
HEALTH = ("/health", "/healthcheck")
# As vLLM's own connectors expect them of a request whose cache another server will take.
FOR_DECODE = {
    "do_remote_decode": True,
    "do_remote_prefill": False,
    "remote_engine_id": None,
    "remote_block_ids": None,
    "remote_host": None,
    "remote_port": None,
}
TIMEOUT_S = 3600.0
HEALTH_S = 5.0
PIECE = 65536
# They hold for one connection, and are not passed on.
HOP_BY_HOP = frozenset(
    {
        *("connection", "content-length", "host", "keep-alive", "proxy-authenticate"),
        *("proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade"),
    }
)

Target = Tuple[str, int]


class Turns:
    """Gives the servers of a role in turn, to several threads."""

    def __init__(self, targets: List[Target]) -> None:
        self.targets = targets
        self._turns = itertools.cycle(targets)
        self._lock = threading.Lock()

    def next(self) -> Target:
        """Return the next server."""
        with self._lock:
            return next(self._turns)


class Handler(BaseHTTPRequestHandler):
    """Handles the requests of one connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    prefill: Turns
    decode: Turns

    def do_GET(self) -> None:
        """Tell the servers' health, or pass the request on."""
        if self.path in HEALTH:
            ill = [
                f"{host}:{port}"
                for host, port in (*self.prefill.targets, *self.decode.targets)
                if not healthy(host, port)
            ]
            self.answer(503 if ill else 200, {"status": "ill" if ill else "ok", "ill": ill})
        else:
            self.pass_on(self.decode.next(), b"")

    def do_POST(self) -> None:
        """Prefill on one server, and generate on another."""
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path not in GENERATES:
            self.pass_on(self.decode.next(), data)
            return
        try:
            body = json.loads(data)
        except ValueError:
            body = None
        if not isinstance(body, dict):
            self.pass_on(self.decode.next(), data)  # whose error says what is wrong
            return
        try:
            params = self.prefilled(body)
        except Refused as refusal:
            self.send_whole(refusal.status, refusal.headers, refusal.data)
            return
        except OSError as error:
            self.failed("prefill", error)
            return
        if params is not None:
            body = {**body, "kv_transfer_params": params}
        self.pass_on(self.decode.next(), json.dumps(body).encode())

    def prefilled(self, body: Dict[str, Any]) -> Any:  # noqa: ANN401 - whatever the connector needs
        """Have the prompt prefilled; return the reply's `kv_transfer_params`.

        Raises:
            Refused: the server did not answer 200.
            OSError: it did not answer.
        """
        first = {**body, "stream": False, "max_tokens": 1, "kv_transfer_params": FOR_DECODE}
        first.pop("stream_options", None)
        if "max_completion_tokens" in first:
            first["max_completion_tokens"] = 1
        # One token is enough, whatever the request asks for; a minimum above it would be refused.
        first.pop("min_tokens", None)
        connection = self.connect(self.prefill.next())
        try:
            response = self.ask(connection, json.dumps(first).encode())
            data = response.read()
        except http.client.HTTPException as error:
            raise OSError(str(error)) from error
        finally:
            connection.close()
        if response.status != 200:  # noqa: PLR2004 - OK
            raise Refused(response.status, dict(response.getheaders()), data)
        try:
            return json.loads(data).get("kv_transfer_params")
        except (ValueError, AttributeError):
            return None

    def pass_on(self, target: Target, data: bytes) -> None:
        """Send the request to a server, and its reply to the client as it comes."""
        connection = self.connect(target)
        try:
            try:
                response = self.ask(connection, data)
            except (OSError, http.client.HTTPException) as error:
                self.failed("decode", error)
                return
            self.send_response(response.status)
            for name, value in response.getheaders():
                if name.lower() not in HOP_BY_HOP | {"date", "server"}:
                    self.send_header(name, value)
            # The end of the connection is the end of the reply: nothing has to be counted.
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
            while True:
                piece = response.read1(PIECE)
                if not piece:
                    break
                self.wfile.write(piece)
        except (OSError, http.client.HTTPException):
            # The client hung up, or the server died in the middle: both see a broken connection.
            self.close_connection = True
        finally:
            # Also frees a request whose client has hung up.
            connection.close()

    def connect(self, target: Target) -> http.client.HTTPConnection:
        """Return a connection to a server, not yet open."""
        return http.client.HTTPConnection(*target, timeout=TIMEOUT_S)

    def ask(self, connection: http.client.HTTPConnection, data: bytes) -> http.client.HTTPResponse:
        """Send this request, with other data, over a connection."""
        headers = {
            name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP
        }
        connection.request(self.command, self.path, data or None, headers)
        return connection.getresponse()

    def failed(self, role: str, error: Exception) -> None:
        """Answer that a server is not there, in OpenAI's shape."""
        message = f"the {role} server does not answer: {error}"
        self.answer(
            502, {"error": {"message": message, "type": "BadGateway", "param": None, "code": 502}}
        )

    def answer(self, status: int, value: object) -> None:
        """Send JSON."""
        data = json.dumps(value).encode()
        self.send_whole(status, {"Content-Type": "application/json"}, data)

    def send_whole(self, status: int, headers: Mapping[str, str], data: bytes) -> None:
        """Send a reply that is there as a whole."""
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in HOP_BY_HOP | {"date", "server"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, form: str, *values: object) -> None:
        """Log requests on standard error, as the server does by default."""
        sys.stderr.write(f"{self.address_string()} {form % values}\n")


class Refused(Exception):  # noqa: N818 - an answer, no error of this program
    """A server's answer other than 200."""

    def __init__(self, status: int, headers: Mapping[str, str], data: bytes) -> None:
        super().__init__(str(status))
        self.status, self.headers, self.data = status, headers, data


def healthy(host: str, port: int) -> bool:
    """Whether a server's /health says 200."""
    connection = http.client.HTTPConnection(host, port, timeout=HEALTH_S)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200  # noqa: PLR2004 - OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


class Server(ThreadingHTTPServer):
    """A server whose threads end with it."""

    daemon_threads = True
    request_queue_size = 1024


def targets(hosts: List[str], ports: List[int], role: str) -> Iterator[Target]:
    """Yield host and port of each server; one port for all hosts is enough.

    Raises:
        SystemExit: the numbers do not fit.
    """
    if len(ports) == 1:
        ports = ports * len(hosts)
    if len(hosts) != len(ports):
        raise SystemExit(
            f"--{role}-hosts has {len(hosts)} and --{role}-ports {len(ports)} entries; give each "
            "host its port"
        )
    yield from zip(hosts, ports)


def main() -> None:
    """Parse the arguments, and serve until stopped."""
    parser = argparse.ArgumentParser(description="A proxy for prefill and decode apart.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    for role in ("prefiller", "decoder"):
        parser.add_argument(f"--{role}-hosts", f"--{role}-host", nargs="+", default=["127.0.0.1"])
        parser.add_argument(f"--{role}-ports", f"--{role}-port", nargs="+", type=int, required=True)
    arguments = parser.parse_args()
    Handler.prefill = Turns(
        [*targets(arguments.prefiller_hosts, arguments.prefiller_ports, "prefiller")]
    )
    Handler.decode = Turns([*targets(arguments.decoder_hosts, arguments.decoder_ports, "decoder")])
    Server((arguments.host, arguments.port), Handler).serve_forever()


if __name__ == "__main__":
    main()
