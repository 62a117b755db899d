"""A real HTTP server that knows a dataset's answers and gets a chosen share of them right."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import random
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MODEL = "oracle"


@dataclass(frozen=True)
class Question:
    """One item of a dataset: what is asked, and the number that is right.

    Attributes:
        replies: the right reply and a wrong one, where the answer is not a number.
        image: digest of the image that has to come with the question; empty for none.
    """

    text: str
    answer: str = ""
    replies: tuple[str, str] = ("", "")
    image: str = ""


@dataclass
class Oracle:
    """What the server knows and does.

    Attributes:
        questions: the items, in the dataset's order.
        right: indexes of the items that are answered rightly.
        die_after: after so many completions every connection is cut and no new one answered.
        silent: answer with no text and zero tokens.
        error_after: after so many completions every stream sends one token and an error event, then
            ends as any other, as vLLM's do when the engine has failed; what is no stream gets 500.
        asked: how often each item was asked for.
        salts: the `cache_salt` of the requests; None of one without.
    """

    questions: tuple[Question, ...]
    right: frozenset[int]
    die_after: int | None = None
    silent: bool = False
    error_after: int | None = None
    asked: dict[int, int] = field(default_factory=dict)
    salts: set[str | None] = field(default_factory=set)
    completions: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def reply(self, prompt: str, images: tuple[str, ...] = ()) -> str:
        """Answer the question that stands last in the prompt."""
        matches = [(prompt.rfind(q.text), i) for i, q in enumerate(self.questions)]
        at, index = max(matches, default=(-1, -1))
        if self.silent:
            return ""
        if at < 0:
            return "I do not know this question."
        with self.lock:
            self.asked[index] = self.asked.get(index, 0) + 1
        question = self.questions[index]
        if question.image and images != (question.image,):
            return "I do not see the image."
        if question.replies[0]:
            return question.replies[index not in self.right]
        answer = question.answer
        number = answer if index in self.right else str(int(answer) + 1)
        return f"Let me think.\nanswer: \\boxed{{{number}}}"

    def fails(self) -> bool:
        """Whether the completion that was counted last ends in an error."""
        return self.error_after is not None and self.completions > self.error_after

    def dead(self) -> bool:
        """Count a completion; true once the server has had enough."""
        with self.lock:
            self.completions += 1
            return self.die_after is not None and self.completions > self.die_after


def choose(total: int, share: float) -> frozenset[int]:
    """Pick exactly `share` of `total` items, scattered, always the same ones."""
    return frozenset(random.Random(0).sample(range(total), round(total * share)))  # noqa: S311


def read_gsm8k(path: Path, count: int) -> tuple[Question, ...]:
    """Read the first `count` items of a file in GSM8K's form."""
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()[:count]]
    return tuple(
        Question(r["question"], r["answer"].split("#### ")[1].replace(",", "")) for r in rows
    )


def read_aime(path: Path, count: int) -> tuple[Question, ...]:
    """Read the first `count` items of a file in AISBench's AIME form."""
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()[:count]]
    return tuple(Question(r["origin_prompt"], str(int(r["gold_answer"]))) for r in rows)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    oracle: Oracle

    def log_message(self, *_: object) -> None:
        """Say nothing: the tests look at what was counted."""

    def do_GET(self) -> None:
        if self.path == "/health":
            self._send(200, {})
        elif self.path == "/v1/models":
            self._send(200, {"object": "list", "data": [{"id": MODEL, "object": "model"}]})
        else:
            self._send(404, {"error": {"message": f"no {self.path}"}})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if body.get("model") != MODEL:
            self._send(404, {"error": {"message": f"The model `{body.get('model')}` is unknown"}})
        elif self.oracle.dead():
            self.close_connection = True
            self.connection.close()
        else:
            self._complete(body, chat=self.path == "/v1/chat/completions")

    def _complete(self, body: dict[str, Any], *, chat: bool) -> None:
        prompt = _prompt(body)
        self.oracle.salts.add(body.get("cache_salt"))
        text, reason = _to_its_end(self.oracle.reply(prompt, _images(body)), body)
        usage = _usage(prompt, text)
        if self.oracle.fails():
            self._fail(chat=chat, stream=bool(body.get("stream")))
            return
        if body.get("stream"):
            self._stream(text, usage, reason, chat=chat)
            return
        reply = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
        choice = {"index": 0, "finish_reason": reason, **reply}
        self._send(200, {"id": "1", "model": MODEL, "choices": [choice], "usage": usage})

    def _stream(self, text: str, usage: dict[str, int], reason: str, *, chat: bool) -> None:
        self._begin_stream()
        for piece in text.split(" ") if text else []:
            self._token(piece, chat=chat)
        end: dict[str, Any] = {"delta": {}} if chat else {"text": ""}
        self._event({"choices": [{"index": 0, "finish_reason": reason, **end}]})
        self._event({"choices": [], "usage": usage})
        self._end_stream()

    def _fail(self, *, chat: bool, stream: bool) -> None:
        error = {"message": "EngineCore encountered an issue", "type": "InternalServerError"}
        error |= {"param": None, "code": 500}
        if not stream:
            self._send(500, {"error": error})
            return
        self._begin_stream()
        self._token("Let", chat=chat)
        self.wfile.write(f"data: {json.dumps({'error': error})}\n\n".encode())
        self._end_stream()

    def _begin_stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()

    def _token(self, piece: str, *, chat: bool) -> None:
        part = {"delta": {"content": piece + " "}} if chat else {"text": piece + " "}
        self._event({"choices": [{"index": 0, "finish_reason": None, **part}]})

    def _end_stream(self) -> None:
        self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def _event(self, value: dict[str, Any]) -> None:
        chunk = {"id": "1", "model": MODEL, **value}
        self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())

    def _send(self, status: int, value: dict[str, Any]) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _prompt(body: dict[str, Any]) -> str:
    if "messages" not in body:
        prompt = body["prompt"]
        return prompt if isinstance(prompt, str) else str(prompt[0])
    content = body["messages"][-1]["content"]
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)


def _images(body: dict[str, Any]) -> tuple[str, ...]:
    """Return the digest of each image of the last message."""
    content = body.get("messages", [{}])[-1].get("content")
    parts = content if isinstance(content, list) else []
    urls = [part["image_url"]["url"] for part in parts if part.get("type") == "image_url"]
    return tuple(
        hashlib.sha256(base64.b64decode(url.partition("base64,")[2])).hexdigest() for url in urls
    )


def _to_its_end(text: str, body: dict[str, Any]) -> tuple[str, str]:
    """The answer and why it ends: where its end is to be ignored, it goes on to the last token."""
    if not body.get("ignore_eos") or not text:
        return text, "stop"
    missing = (body.get("max_tokens") or body["max_completion_tokens"]) - len(text.split())
    return " ".join([text, *["more"] * missing]), "length"


def _usage(prompt: str, text: str) -> dict[str, int]:
    asked, completed = len(prompt.split()), len(text.split())
    return {
        "prompt_tokens": asked,
        "completion_tokens": completed,
        "total_tokens": asked + completed,
    }


@contextlib.contextmanager
def serving(oracle: Oracle) -> Iterator[int]:
    """Serve the oracle on a free port of 127.0.0.1, which is yielded."""
    handler = type("Handler", (_Handler,), {"oracle": oracle})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
