"""Test what the lines of a server's log say about what it is doing."""

from __future__ import annotations

import pytest

from ci.vllm.progress import message_of, progress_of

SHARDS = "Loading safetensors checkpoint shards:"
AVERAGE = (
    "INFO 11-27 19:15:02 [loggers.py:259] Engine 000: Avg prompt throughput: 12.0 tokens/s, "
    "Avg generation throughput: 61.2 tokens/s, Running: 4 reqs, Waiting: 1 reqs, GPU KV "
    "cache usage: 1.0%, Prefix cache hit rate: 0.0%"
)
ENGINE = "INFO [core.py:402] init engine (profile, create kv cache, warmup model) took 0.66 s"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ((), ""),
        (("Traceback (most recent call last):",), ""),
        (
            ("INFO [cpu_model_runner.py:68] Starting to load model /m/Qwen3...",),
            "loading the model",
        ),
        ((f"{SHARDS}   0% Completed | 0/4 [00:00<?, ?it/s]",), "loading weights, 0 of 4 files"),
        (
            (f"{SHARDS}  25% Completed | 1/4 [00:01<\r{SHARDS}  75% Completed | 3/4 [00:03<",),
            "loading weights, 3 of 4 files",
        ),
        (("INFO [default_loader.py:501] Loading weights took 0.94 seconds",), "weights loaded"),
        (("INFO [backends.py:519] Dynamo bytecode transform time: 9.33 s",), "compiling"),
        (
            ("Capturing CUDA graphs (mixed prefill-decode, PIECEWISE):  34%|███▍  | 12/35 [",),
            "capturing graphs, 12 of 35",
        ),
        (("INFO [cpu_model_runner.py:80] Warming up model for the compilation...",), "warming up"),
        ((ENGINE,), "engine is up"),
        ((ENGINE, "INFO:     Application startup complete."), "API is up"),
        ((AVERAGE, 'INFO:     127.0.0.1:1 - "POST /v1"'), "61.2 tok/s, 4 running, 1 waiting"),
    ],
)
def test_the_newest_known_line_counts(lines, expected):
    assert progress_of(lines) == expected


# Lines of vLLM 0.32.0, uvicorn and AISBench of 2026-11-27, the messages shortened.
@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ((), ""),
        (("(EngineCore pid=47) INFO 11-27 22:26:14 [ompmultiprocessing.py:1] OMP",), "OMP"),
        (
            ("(APIServer pid=1) WARNING 11-27 22:26:01 [system_utils.py:255] ulimit",),
            "WARNING ulimit",
        ),
        (("[2026-11-27 22:26:50,083] [ais_bench] [INFO] Api infer task",), "Api infer task"),
        (("POST=12 (4.0/s) RECV=4 (4.0/s)",), "POST=12 (4.0/s) RECV=4 (4.0/s)"),
        (("INFO:     Application startup complete.",), "Application startup complete."),
        (
            (AVERAGE, '(APIServer pid=1) INFO:     127.0.0.1:1 - "POST /v1/c HTTP/1.1" 200 OK'),
            AVERAGE.partition("] ")[2],
        ),
        (('INFO:     127.0.0.1:1 - "GET /metrics HTTP/1.1" 200 OK',), ""),
        (
            ('INFO:     127.0.0.1:1 - "POST /v1/c HTTP/1.1" 500 Internal',),
            '127.0.0.1:1 - "POST /v1/c HTTP/1.1" 500 Internal',
        ),
        (("INFORMATION of a model", "  INFO 3"), "  INFO 3"),
    ],
)
def test_a_line_is_shown_by_its_message(lines, expected):
    assert message_of(lines) == expected
