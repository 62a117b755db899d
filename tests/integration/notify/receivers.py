"""Local receivers of notifications: stand-ins for the services, and a real SMTP server.

The HTTP receiver keeps what it is given, and answers what the test says: bodies that the services
document, see tests/unit/notify/test_answers_of_services.py.
"""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from aiosmtpd.smtp import SMTP

TOKEN = "T0KEN-5f2a91c0de77"  # noqa: S105 - to be looked for
OK = {
    "slack": b"ok",
    "json": b"",
    "feishu": b'{"StatusCode":0,"StatusMessage":"success","code":0,"data":{},"msg":"success"}',
    "wecom": b'{"errcode":0,"errmsg":"ok"}',
    "dingtalk": b'{"errcode":0,"errmsg":"ok"}',
}


class Receiver:
    """A webhook.

    Attributes:
        requests: path with query, headers and body of each.
        answers: status, headers and body of the next answers; then `ok` again. None closes the
            connection without one.
        ok: the body of a good answer.
    """

    def __init__(self, server, ok):
        self.server, self.ok = server, ok
        self.requests, self.answers = [], []
        self.release = threading.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}/hook/{TOKEN}?access_token={TOKEN}"

    @property
    def payloads(self):
        return [json.loads(body) for _, _, body in self.requests]


@contextmanager
def http_receiver(service):
    """Serve a webhook on this machine."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.requests.append((self.path, dict(self.headers), body))
            answer = receiver.answers.pop(0) if receiver.answers else (200, {}, receiver.ok)
            if answer == "hang":
                receiver.release.wait(60)
            if answer is None or answer == "hang":
                self.close_connection = True
                return
            status, headers, content = answer
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver = Receiver(server, OK[service])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield receiver
    finally:
        receiver.release.set()
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def smtp_server(handler, tls=None, **settings):
    """Serve SMTP with aiosmtpd on this machine; yield its port.

    Args:
        handler: what it does with e-mails, see the documentation of aiosmtpd.
        tls: context of a server that speaks TLS from the beginning.
        settings: of `aiosmtpd.smtp.SMTP`.
    """
    loop = asyncio.new_event_loop()

    def protocol():
        smtp = SMTP(handler, loop=loop, hostname="mail.example.org", **settings)
        # It counts only STARTTLS as encryption.
        smtp._auth_require_tls = smtp._auth_require_tls and not tls
        return smtp

    server = loop.run_until_complete(loop.create_server(protocol, "127.0.0.1", 0, ssl=tls))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        asyncio.run_coroutine_threadsafe(_closed(server), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _closed(server):
    server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
