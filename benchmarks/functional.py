"""Measure the functional suite's own time: `python benchmarks/functional.py`.

1,000 cases run against a server that answers at once, in a process of its own. OpenAI's own client
sends the same requests to the same server, for comparison. Quote the figures with the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import platform
import time
from typing import TYPE_CHECKING

import openai

from ci.documents.source import read
from ci.functional.client import Endpoint
from ci.functional.load import parse_suite
from ci.functional.run import PARALLEL, Options, run_suite

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

BODY = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1_795_715_909,
    "model": "light",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "yes"},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
}
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
MODELS = {
    "object": "list",
    "data": [{"id": "light", "object": "model", "created": 1_795_715_909, "owned_by": "vllm"}],
}


def serve(port: Connection) -> None:
    """Answer every request at once; send the port first."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = 0
                for line in head.split(b"\r\n"):
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                await reader.readexactly(length)
                data = json.dumps(MODELS if head.startswith(b"GET") else BODY).encode()
                writer.write(HEAD % len(data) + data)
        except asyncio.IncompleteReadError:
            writer.close()

    async def run() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


def suite_of(count: int) -> str:
    """Return a suite with so many cases."""
    lines = [
        f"  - {{id: c{index}, type: chat, messages: [{{role: user, content: Hi {index}}}], "
        "params: {temperature: 0, max_tokens: 8}, expect: {text: 'yes', finish_reason: stop}}"
        for index in range(count)
    ]
    return "cases:\n" + "\n".join(lines)


def by_openai(url: str, count: int) -> None:
    """Send the same requests with OpenAI's client."""

    async def run() -> None:
        queue = iter(range(count))
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none") as client:

            async def work() -> None:
                for index in queue:
                    await client.chat.completions.create(
                        model="light",
                        messages=[{"role": "user", "content": f"Hi {index}"}],
                        temperature=0,
                        max_tokens=8,
                    )

            await asyncio.gather(*(work() for _ in range(PARALLEL)))

    asyncio.run(run())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--times", type=int, default=3)
    arguments = parser.parse_args()
    print(f"{platform.platform()}, {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]}")
    receiver, sender = multiprocessing.Pipe(duplex=False)
    server = multiprocessing.Process(target=serve, args=(sender,), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{receiver.recv()}"
    try:
        suite = parse_suite(read(suite_of(arguments.cases).encode(), "suite", "configuration"))
        for _ in range(arguments.times):
            began = time.perf_counter()
            report = run_suite(suite, suite.cases, Endpoint(url, "light"), Options())
            own_s = time.perf_counter() - began
            assert all(result.outcome == "passed" for result in report.results)
            began = time.perf_counter()
            by_openai(url, arguments.cases)
            peer_s = time.perf_counter() - began
            print(
                f"{arguments.cases} cases: {own_s:.2f} s; OpenAI's client: {peer_s:.2f} s; "
                f"{own_s / peer_s:.2f} times"
            )
    finally:
        server.kill()


if __name__ == "__main__":
    main()
