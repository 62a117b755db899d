#!/usr/bin/env python3
"""A stand-in for `vllm serve MODEL …` on lab hosts: vLLM's API and metrics, and no model.

It accepts the command line of a case and obeys those flags that a night can see: the served name,
host, port, key, data-parallel ranks, and the role of `--kv-transfer-config`. It answers the
questions of ANSWERS: question → the reply. With a role it keeps to the contract of disaggregated
prefill, as vLLM's NixlConnector and vllm-ascend's MooncakeConnector do: a producer prefills one
token and returns `kv_transfer_params`; a consumer answers only where the request brings those of
its own prompt. So a router that skips prefill, or mixes requests up, costs accuracy. Where caches
arrive damaged, it answers such requests from DAMAGED. SALTED has other replies to the requests with
a `cache_salt`: salt → question → the reply; or salt → how many of them it answers at all.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
import threading
import zlib
from collections import Counter, defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

ANSWERS = Path(os.environ.get("STAND_IN_ANSWERS", "/opt/stand-in/answers.json"))
DAMAGED = Path(os.environ.get("STAND_IN_DAMAGED", ANSWERS))
SALTED = os.environ.get("STAND_IN_SALTED", "")
VERSION = os.environ.get("STAND_IN_VERSION", "0.0.0+stand.in")
NUMBERS = itertools.count()
SALTED_NUMBERS = defaultdict(itertools.count)
TOKENS_A_WRITE = 100


def after(flag: str, default: str = "") -> str:
    """The word after a flag; the default without it."""
    return sys.argv[sys.argv.index(flag) + 1] if flag in sys.argv else default


MODEL = after("--served-model-name") or sys.argv[2]
RANKS = int(after("--data-parallel-size", "1"))
ROLE = json.loads(after("--kv-transfer-config", "{}")).get("kv_role", "")
KEY = after("--api-key")
REPLIES = json.loads(ANSWERS.read_text("utf-8"))
BY_SALT = json.loads(Path(SALTED).read_text("utf-8")) if SALTED else {}
AFTER_HANDOVER = json.loads(DAMAGED.read_text("utf-8"))


class Counted:
    """What the metrics show, for each engine."""

    lock = threading.Lock()
    totals: ClassVar[Counter[tuple[str, int]]] = Counter()

    @classmethod
    def add(cls, engine: int, **values: int) -> None:
        with cls.lock:
            cls.totals.update({(name, engine): value for name, value in values.items()})

    @classmethod
    def page(cls) -> str:
        return "".join(cls._lines(engine) for engine in range(RANKS))

    @classmethod
    def _lines(cls, engine: int) -> str:
        own = f'engine="{engine}",model_name="{MODEL}"'
        with cls.lock:
            value = {name: cls.totals[name, engine] for name in NAMES}
        ends = "".join(
            f'vllm:request_success_total{{{own},finished_reason="{end}"}} {value[end]}\n'
            for end in ("stop", "length")
        )
        return f"""\
vllm:num_requests_running{{{own}}} {value["running"]}
vllm:num_requests_waiting{{{own}}} 0
vllm:kv_cache_usage_perc{{{own}}} 0.1
vllm:prompt_tokens_total{{{own}}} {value["prompt"]}
vllm:generation_tokens_total{{{own}}} {value["generated"]}
vllm:external_prefix_cache_queries_total{{{own}}} {value["queries"]}
vllm:external_prefix_cache_hits_total{{{own}}} {value["hits"]}
{ends}"""


NAMES = ("running", "prompt", "generated", "queries", "hits", "stop", "length")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.path == "/metrics":
            self.send("text/plain; version=0.0.4", 200, Counted.page().encode())
            return
        models = [{"id": MODEL, "object": "model", "root": sys.argv[2]}]
        pages = {"/health": {}, "/version": {"version": VERSION}}
        pages["/v1/models"] = {"object": "list", "data": models}
        status = 200 if self.path in pages else 404
        self.answer(status, pages.get(self.path, {"detail": "Not Found"}))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if KEY and self.headers.get("Authorization") != f"Bearer {KEY}":
            self.answer(401, {"error": "Unauthorized"})
        elif body.get("model", MODEL) != MODEL:
            message = f"The model `{body['model']}` does not exist."
            self.answer(404, {"error": {"message": message, "code": 404}})
        elif is_refused(body.get("cache_salt")):
            self.answer(500, {"error": {"message": "the stand-in refuses this salt"}})
        elif self.path == "/tokenize":
            tokens = list(range(len(prompt_of(body).split())))
            self.answer(200, {"count": len(tokens), "tokens": tokens, "max_model_len": 4096})
        elif self.path in {"/v1/completions", "/v1/chat/completions"}:
            self.complete(body, next(NUMBERS) % RANKS)
        else:
            self.answer(404, {"detail": "Not Found"})

    def complete(self, body: dict[str, object], engine: int) -> None:
        prompt = prompt_of(body)
        Counted.add(engine, running=1)
        try:
            words, reason = to_its_end(reply_to(prompt, body).split(" "), body)
            usage = {"prompt_tokens": len(prompt.split()), "completion_tokens": len(words)}
            usage["total_tokens"] = sum(usage.values())
            if body.get("stream"):
                self.stream(words, usage, reason, body)
            else:
                self.whole(words, usage, reason, body)
        finally:
            Counted.add(engine, running=-1)
        known = {"prompt": usage["prompt_tokens"], "generated": len(words), reason: 1}
        if ROLE == "kv_consumer" and body.get("kv_transfer_params"):
            known |= {"queries": known["prompt"], "hits": known["prompt"]}
        Counted.add(engine, **known)

    def whole(self, words: list[str], usage: dict, reason: str, body: dict) -> None:
        text = " ".join(words)
        chat = {"message": {"role": "assistant", "content": text}}
        part = chat if "messages" in body else {"text": text}
        reply = {"id": "1", "created": 1, "model": MODEL, "usage": usage}
        reply["object"] = "chat.completion" if "messages" in body else "text_completion"
        reply["choices"] = [{"index": 0, "finish_reason": reason, **part}]
        if ROLE == "kv_producer":
            reply["kv_transfer_params"] = {
                "do_remote_prefill": True,
                "do_remote_decode": False,
                "remote_engine_id": MODEL,
                "remote_block_ids": [zlib.crc32(prompt_of(body).encode())],
                "remote_host": after("--host"),
                "remote_port": 1,
            }
        self.answer(200, reply)

    def stream(self, words: list[str], usage: dict, reason: str, body: dict) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        pieces = [words[0], *(f" {word}" for word in words[1:])]
        events = [self.event(piece, None, body) for piece in pieces[:-1]]
        if "messages" in body:
            role = {"index": 0, "finish_reason": None, "delta": {"role": "assistant"}}
            events.insert(0, f"data: {json.dumps({**common(body), 'choices': [role]})}\n\n")
        events.append(self.event(pieces[-1], reason, body))
        if (body.get("stream_options") or {}).get("include_usage"):
            end = {**common(body), "choices": [], "usage": usage}
            events.append(f"data: {json.dumps(end)}\n\n")
        events.append("data: [DONE]\n\n")
        self.wfile.write(events[0].encode())
        for at in range(1, len(events), TOKENS_A_WRITE):
            self.wfile.write("".join(events[at : at + TOKENS_A_WRITE]).encode())

    @staticmethod
    def event(piece: str, reason: str | None, body: dict) -> str:
        part = {"delta": {"content": piece}} if "messages" in body else {"text": piece}
        choice = {"index": 0, "finish_reason": reason, **part}
        return f"data: {json.dumps({**common(body), 'choices': [choice]})}\n\n"

    def answer(self, status: int, value: object) -> None:
        self.send("application/json", status, json.dumps(value).encode())

    def send(self, kind: str, status: int, data: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def common(body: dict) -> dict[str, object]:
    """What all events of a stream have."""
    form = "chat.completion.chunk" if "messages" in body else "text_completion"
    return {"id": "1", "object": form, "created": 1, "model": MODEL}


def prompt_of(body: dict) -> str:
    if "messages" not in body:
        prompt = body["prompt"]
        return prompt if isinstance(prompt, str) else str(prompt[0])
    content = body["messages"][-1]["content"]
    return content if isinstance(content, str) else "".join(p.get("text", "") for p in content)


def reply_to(prompt: str, body: dict) -> str:
    """The reply to the known question that stands last in the prompt, if the cache is there."""
    params = body.get("kv_transfer_params") or {}
    if ROLE == "kv_producer" and not params.get("do_remote_decode"):
        return "This server prefills for another."
    blocks = [zlib.crc32(prompt.encode())]
    if ROLE == "kv_consumer" and params.get("remote_block_ids", blocks) != blocks:
        return "The cache of this prompt did not arrive."
    taken = ROLE == "kv_consumer" and "remote_block_ids" in params
    salted = BY_SALT.get(body.get("cache_salt"))
    own = salted if isinstance(salted, dict) else REPLIES
    replies = AFTER_HANDOVER if taken else own
    at, question = max(((prompt.rfind(known), known) for known in replies), default=(-1, ""))
    return replies[question] if at >= 0 else "Wednesday, Thursday, Friday, Saturday"


def is_refused(salt: str | None) -> bool:
    """Whether as many requests with this salt came before as are answered."""
    most = BY_SALT.get(salt)
    return isinstance(most, int) and next(SALTED_NUMBERS[salt]) >= most


def to_its_end(words: list[str], body: dict) -> tuple[list[str], str]:
    """Cut a reply at its largest length; where its end is to be ignored, fill it up to that."""
    most = body.get("max_completion_tokens") or body.get("max_tokens") or len(words)
    if body.get("ignore_eos"):
        words = words + ["more"] * (most - len(words))
    return words[:most], "length" if len(words) >= most else "stop"


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024


def main() -> None:
    if sys.argv[1:2] == ["--version"]:
        print(VERSION)
        return
    print(f"stand-in for vLLM: {RANKS} ranks, {ROLE or 'no role'}", *sys.argv[1:], flush=True)
    if "--headless" in sys.argv:
        signal.pause()
    Server((after("--host"), int(after("--port", "8000"))), Handler).serve_forever()


if __name__ == "__main__":
    main()
