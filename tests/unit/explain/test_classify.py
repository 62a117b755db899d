"""Why a server died: a table over logs of real vLLM, and over what devices were reported to say."""

import signal
from pathlib import Path

import pytest

from ci.explain.classify import classify
from ci.vllm.flags import REMOVED, REMOVED_SINCE

LOGS = Path(__file__).parents[1] / "captured" / "vllm_logs"

CAPTURED = {
    "unknown_flag": (2, "unknown_flag", "does not know --no-such-flag; correct server_cmd"),
    "removed_flag": (
        2,
        "unknown_flag",
        "--swap-space; newer vLLM has no --swap-space: leave it out",
    ),
    "invalid_choice": (2, "unknown_flag", "refuses --dtype: invalid choice: 'float17'"),
    "bad_value": (2, "unknown_flag", "refuses --max-num-seqs: invalid int value: 'many'"),
    "port_in_use": (1, "port_in_use", "port 8123 is in use"),
    "model_path_missing": (1, "model_not_found", "no model folder /models/nothing-here"),
    "model_hub_offline": (1, "model_not_found", "model Qwen/Qwen3-235B-A22B is not on this host"),
    "model_empty_folder": (1, "model_not_found", "no usable model in /models/empty"),
    "max_model_len": (1, "bad_config", "--max-model-len 1000000 is more than the model's 8192"),
    "tp_too_big": (
        1,
        "bad_parallel_config",
        "heads (9) must be divisible by tensor parallel size (7)",
    ),
    "kv_too_small": (1, "out_of_memory", "no memory is left for the KV cache"),
    "kv_500": (1, "out_of_memory", "the KV cache needs 500.0 GiB and 4.43 GiB are free"),
    "kv_one_request": (1, "out_of_memory", "one request of 1024 tokens needs 0.02 GiB"),
    "memory_limit_importing": (1, "out_of_memory", "the host is out of memory"),
    "memory_limit_serving": (1, "out_of_memory", "no memory for 1073479680 more bytes"),
    "module_missing": (1, "import_error", "Python module zmq.asyncio is not installed"),
    "import_error": (1, "import_error", "an import failed: cannot import name"),
    "worker_killed": (0, "killed", "Worker proc VllmWorker-0 was killed with SIGKILL"),
    "worker_killed_starting": (1, "killed", "ended without a log message"),
    "engine_killed": (0, "killed", "ended without a log message"),
    "engine_killed_starting": (1, "killed", "EngineCore was killed with SIGKILL"),
    "vllm_missing": (1, "import_error", "Python module vllm is not installed"),
    # Of vLLM 0.23.0 on an NVIDIA H100.
    "cuda_held": (1, "out_of_memory", "only 8.06 of 79.18 GiB are free on cuda:0 at start"),
    "cuda_one_request": (1, "out_of_memory", "one request of 8192 tokens needs 0.18 GiB"),
    "cuda_no_blocks": (1, "out_of_memory", "no memory is left for the KV cache"),
    "cuda_tp_too_big": (1, "device_count", "needs more devices than this host has or shows"),
    "cuda_hidden": (1, "device_count", "needs more devices than this host has or shows"),
    "cuda_no_such_device": (1, "device_missing", "no device that this build can use"),
    "cuda_engine_killed": (1, "killed", "ended without a log message"),
}


@pytest.mark.parametrize(
    ("name", "exit_code", "kind", "words"), [(n, *w) for n, w in CAPTURED.items()]
)
def test_captured_logs(name, exit_code, kind, words):
    reason = classify((LOGS / f"{name}.log").read_text(), exit_code, None)
    assert reason.kind == kind
    assert words in reason.message


def test_every_captured_log_is_in_the_table():
    assert {path.stem for path in LOGS.glob("*.log")} == set(CAPTURED)


# What no machine without a device can log. Each is quoted from the named public report.
REPORTED = {
    "vllm-project/vllm-ascend issue 1987": (
        (
            "RuntimeError: NPU out of memory. Tried to allocate 3.47 GiB (NPU 0; 60.97 GiB total "
            "capacity; 58.92 GiB already allocated; 58.92 GiB current active; 1.66 GiB free; "
            "58.95 GiB reserved in total by PyTorch)"
        ),
        "NPU out of memory allocating 3.47 GiB; lower --gpu-memory-utilization",
    ),
    "vllm-project/vllm-ascend issue 19, a log line of vLLM 0.7": (
        (
            "(VllmWorkerProcess pid=20493) ERROR 03-05 07:15:39 multiproc_worker_utils.py:240] "
            "RuntimeError: NPU out of memory. Tried to allocate 22.00 MiB (NPU 6; 60.97 GiB total"
        ),
        "NPU out of memory allocating 22.00 MiB",
    ),
    "vllm-project/vllm-ascend issue 3141": (
        (
            "ERR00100 PTA call acl api failed\n[Error]: Failed to apply for memory.\n"
            "EL0004: [PID: 316198] 2025-09-28-07:22:29.827.496 Failed to allocate memory.\n"
            "        Possible Cause: Available memory is insufficient."
        ),
        "the device is out of memory",
    ),
    "vllm-project/vllm-ascend pull request 14648": (
        (
            "ValueError: Free memory on NPU device (2.1/60.97 GiB) on startup is less than desired "
            "NPU memory utilization (0.9, 54.87 GiB)."
        ),
        "only 2.1 of 60.97 GiB are free on the device at start",
    ),
    "vllm-project/vllm issue 20581": (
        (
            "(VllmWorker rank=5 pid=50999) ERROR 07-07 15:19:48 [multiproc_executor.py:492] "
            "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.50 GiB. GPU 5 has a "
            "total capacity of 79.25 GiB of which 1.79 GiB is free.\n"
            "ERROR 07-07 15:19:51 [core.py:515] EngineCore failed to start."
        ),
        "CUDA out of memory allocating 2.50 GiB",
    ),
    "pytorch/pytorch issue 175666": (
        (
            "ValueError: Free memory on device cuda:0 (19.77/22.05 GiB) on startup is less than "
            "desired GPU memory utilization (0.9, 19.84 GiB). Decrease GPU memory"
        ),
        "only 19.77 of 22.05 GiB are free on cuda:0 at start",
    ),
    "vllm-project/vllm issue 17431": (
        (
            "ERROR 04-30 10:20:36 [core.py:396] ValueError: No available memory for the "
            "cache blocks. Try increasing `gpu_memory_utilization` when initializing the engine."
        ),
        "no memory is left for the KV cache; raise --gpu-memory-utilization",
    ),
}


@pytest.mark.parametrize(("log", "words"), REPORTED.values(), ids=REPORTED)
def test_reported_device_memory(log, words):
    reason = classify(log, 1, None)
    assert reason.kind == "out_of_memory"
    assert words in reason.message


@pytest.mark.parametrize(
    ("log", "kind", "words"),
    [
        ("OSError: [Errno 98] Address already in use", "port_in_use", "port of the server is"),
        (
            "non-default args: {'model': '/m'}\nOSError: Address already in use",
            "port_in_use",
            "port 8000 is",
        ),
        (
            (
                "ERROR:    [Errno 98] error while attempting to bind on address ('0.0.0.0', 8010): "
                "address already in use"
            ),
            "port_in_use",
            "port 8010 is in use",
        ),
        (
            "zmq.error.ZMQError: Address already in use (addr='tcp://192.0.2.1:13345')",
            "port_in_use",
            "port 13345 is",
        ),
        (
            (
                "The server socket has failed to listen on any local network address. port: 29500, "
                "useIpv6: false, code: -98, name: EADDRINUSE, message: address already in use"
            ),
            "port_in_use",
            "port 29500 is in use",
        ),
        (
            "ValueError: Invalid repository ID or local directory specified: '/models/x'.\nPlease",
            "model_not_found",
            "no usable model in /models/x",
        ),
        (
            "OSError: a/b is not a local folder and is not a valid model identifier listed on",
            "model_not_found",
            "no usable model in a/b",
        ),
        (
            "OSError: /models/x does not appear to have a file named config.json.",
            "model_not_found",
            "no usable model in /models/x",
        ),
        (
            "terminate called after throwing an instance of 'std::bad_alloc'",
            "out_of_memory",
            "the host is",
        ),
        ("(EngineCore_DP0 pid=9) MemoryError", "out_of_memory", "the host is out of memory"),
        (
            "vllm: error: unrecognized arguments: --task=embed --x",
            "unknown_flag",
            "know --task --x; newer vLLM has no --task",
        ),
        ("vllm serve: error: unrecognized arguments: stray", "unknown_flag", "does not know stray"),
    ],
)
def test_other_words_for_the_same(log, kind, words):
    reason = classify(log, 1, None)
    assert reason.kind == kind
    assert words in reason.message


@pytest.mark.parametrize(
    ("exit_code", "number", "kind", "words"),
    [
        (None, signal.SIGKILL, "killed", "killed with SIGKILL, which this run did not send"),
        (137, None, "killed", "killed with SIGKILL"),
        (-9, None, "killed", "killed with SIGKILL"),
        (None, signal.SIGTERM, "killed", "ended by SIGTERM, which this run did not send"),
        (None, signal.SIGSEGV, "killed", "crashed with SIGSEGV"),
        (None, signal.SIGILL, "killed", "CPU instructions that the host lacks"),
        (None, signal.SIGBUS, "killed", "/dev/shm is full"),
        (None, 250, "killed", "signal 250"),
        (0, None, "unknown", "exited with code 0: INFO only"),
        (255, None, "unknown", "exited with code 255"),
        (None, None, "unknown", "it exited: INFO only"),
    ],
)
def test_signals_and_codes(exit_code, number, kind, words):
    reason = classify("INFO only\n", exit_code, number)
    assert reason.kind == kind
    assert words in reason.message


def test_an_empty_log():
    assert classify("", 1, None).message == "exited with code 1: no message in its log"


def test_a_cause_in_the_log_outweighs_the_signal_that_followed():
    assert classify("OSError: Address already in use", None, signal.SIGTERM).kind == "port_in_use"


def test_an_unknown_cause_is_told_in_its_own_words_not_in_those_of_its_wrapper():
    log = (
        "(Worker pid=3) ERROR 11-21 04:40:34 [multiproc_executor.py:1063] ZeroDivisionError: by 0\n"
        "(EngineCore pid=2) ERROR 11-21 04:40:34 [core.py:1510] RuntimeError: Worker failed with "
        "error 'by 0', please check the stack trace above for the root cause\n"
        "RuntimeError: Engine core initialization failed. See root cause above. Failed: {}\n"
        "  warnings.warn('resource_tracker')"
    )
    assert classify(log, 1, None).message == "exited with code 1: ZeroDivisionError: by 0"


@pytest.mark.parametrize(
    "harmless",
    [
        "(APIServer pid=1) WARNING 11-21 04:28:04 [utils.py:1] Address already in use. Retrying.",
        "(EngineCore pid=1) INFO 11-21 04:28:04 [utils.py:1] ImportError: no triton",
        "WARNING 11-21 04:28:04 [utils.py:1] CUDA out of memory. Tried to allocate 1 GiB",
    ],
)
def test_what_is_logged_at_a_harmless_level_is_no_cause(harmless):
    assert classify(harmless + "\nValueError: the cause", 1, None).kind == "unknown"


def test_every_message_is_one_short_line():
    logs = [path.read_text() for path in LOGS.glob("*.log")] + [log for log, _ in REPORTED.values()]
    for log in logs:
        message = classify(log, 1, None).message
        assert "\n" not in message
        assert len(message) < 500


def test_the_table_is_sound():
    assert all(flag.startswith("--") and advice for flag, advice in REMOVED.items())
    assert set(REMOVED_SINCE) == set(REMOVED)
