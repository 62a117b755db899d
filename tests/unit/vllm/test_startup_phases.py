"""Lines of vLLM's logs → phases of a start with seconds."""

from pathlib import Path

import pytest

from ci.vllm.startup_phases import PHASES, slowest_start, startup_phases

UNIT = Path(__file__).parents[1]
# From the logs of real servers on 2 CPU cores, with SmolLM2-135M-Instruct, 2026-11-27.
CPU_0_11_0 = """\
INFO 11-27 01:23:24 [__init__.py:216] Automatically detected platform cpu.
\x1b[1;36m(APIServer pid=10038)\x1b[0;0m INFO 11-27 01:23:27 [api_server.py:1839] vLLM API server \
version 0.11.0
\x1b[1;36m(EngineCore_DP0 pid=10141)\x1b[0;0m INFO 11-27 01:23:38 [default_loader.py:267] Loading \
weights took 0.61 seconds
\x1b[1;36m(EngineCore_DP0 pid=10141)\x1b[0;0m INFO 11-27 01:23:40 [cpu_model_runner.py:117] \
Warming up model for the compilation...
\x1b[1;36m(EngineCore_DP0 pid=10141)\x1b[0;0m INFO 11-27 01:24:19 [cpu_model_runner.py:121] \
Warming up done.
\x1b[1;36m(EngineCore_DP0 pid=10141)\x1b[0;0m INFO 11-27 01:24:19 [core.py:210] init engine \
(profile, create kv cache, warmup model) took 41.40 seconds
\x1b[1;36m(APIServer pid=10038)\x1b[0;0m INFO 11-27 01:24:20 [api_server.py:1912] Starting vLLM \
API server 0 on http://127.0.0.1:8111
\x1b[1;36m(APIServer pid=10038)\x1b[0;0m INFO:     Application startup complete.
"""
CPU_0_30_0 = """\
INFO 11-27 01:13:22 [importing.py:74] Triton is installed but 0 active driver(s) found
(Worker pid=5898) INFO 11-27 01:13:42 [default_loader.py:430] Loading weights took 0.77 seconds
(Worker pid=5898) INFO 11-27 01:13:43 [cpu_model_runner.py:149] Warming up \
model for the compilation...
(Worker pid=5898) INFO 11-27 01:14:39 [monitor.py:81] Initial profiling/warmup run took 0.57 s
(Worker pid=5898) INFO 11-27 01:14:43 [cpu_model_runner.py:153] Warming up done.
(EngineCore pid=5876) INFO 11-27 01:14:44 [core.py:379] init engine (profile, create kv cache, \
warmup model) took 61.15 s
(APIServer pid=5613) INFO 11-27 01:14:46 [entry.py:139] Starting vLLM server on \
http://127.0.0.1:8130
(APIServer pid=5613) INFO:     Application startup complete.
(APIServer pid=5613) INFO 11-27 01:20:00 [x.py:1] Graph capturing finished in 9 secs, took 1.00 GiB
"""


def phases(text):
    return startup_phases(text.splitlines(keepends=True))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (CPU_0_11_0, {"weights": 0.61, "warm_up": 39.0, "engine_init": 41.4, "api": 56.0}),
        (
            CPU_0_30_0,
            {"weights": 0.77, "profiling": 0.57, "warm_up": 60.0, "engine_init": 61.15}
            | {"api": 84.0},
        ),
    ],
    ids=["0.11.0", "0.30.0"],
)
def test_a_server_on_the_cpu(text, expected):
    assert phases(text) == expected
    assert list(phases(text)) == list(expected)


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        (
            "explain/healthy/vllm_0.32.0_cpu.log",
            {"weights": 0.54, "engine_init": 1.27, "api": 109.0},
        ),
        (
            "captured/vllm_logs/cuda_engine_killed.log",
            {"model_load": 1.667017, "engine_init": 17.37, "api": 45.0},
        ),
        ("captured/vllm_logs/cuda_no_blocks.log", {"model_load": 1.601812}),
        ("captured/vllm_logs/cuda_hidden.log", {}),
        ("captured/vllm_logs/unknown_flag.log", {}),
        ("explain/failures/scatter_507011.log", {"graph_capture": 21.0}),  # of vllm-ascend
        ("explain/failures/w4a4_310p.log", {"weights": 10.68}),  # of vllm-ascend
        ("explain/failures/internvl_shape.log", {}),  # a size, and no seconds
        ("explain/failures/nvcc_template_stub.log", {"compile": 61.85}),
        ("explain/failures/worker_minus_15.log", {"weights": 41.8}),
        ("explain/healthy/vllm_bench.log", {}),
        ("explain/healthy/lm_eval.log", {}),
    ],
)
def test_captured_logs(log, expected):
    assert phases((UNIT / log).read_text("utf-8", errors="replace")) == expected


INIT = "init engine (profile, create kv cache, warmup model)"
MODELS = "language_model: 40.00 s, encoder: 2.18 s"
HEAD = "(Worker_TP{} pid={}) INFO 07-07 12:54:22 [file.py:1] "


# The formats of the sources: gpu_model_runner.py, monitor.py, core.py, mm_encoder_model_runner.py.
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Loading weights took 24.84 seconds", {"weights": 24.84}),
        ("Loading model weights took 16.3816 GB", {}),
        ("Loading model weights took 12.50 seconds", {"weights": 12.5}),
        ("Model loading took 12.6603 GiB and 31.657031 seconds", {"model_load": 31.657031}),
        ("Model loading took 12.66 GiB memory and 31.657031 seconds", {"model_load": 31.657031}),
        ("torch.compile takes 21.40 s in total", {"compile": 21.4}),
        ("torch.compile took 21.40 s in total", {"compile": 21.4}),
        ("[eagle] torch.compile took 2.10 s in total", {"compile": 2.1}),
        (
            "torch.compile and initial profiling/warmup run together took 30.00 s in total",
            {"compile": 30.0},
        ),
        ("Initial profiling/warmup run took 0.57 s", {"profiling": 0.57}),
        ("Graph capturing finished in 61 secs, took 1.02 GiB", {"graph_capture": 61.0}),
        (
            "Encoder graph capturing finished in 4 secs, took 0.10 GiB (3 graphs)",
            {"graph_capture": 4.0},
        ),
        (
            "init engine (profile, create kv cache, warmup model) took 28.44 seconds",
            {"engine_init": 28.44},
        ),
        (
            f"{INIT} took 70.62 s (compilation: 42.18 s)",
            {"compile": 42.18, "engine_init": 70.62},
        ),
        (
            f"{INIT} took 70.62 s (compilation: 42.18 s — {MODELS})",
            {"compile": 42.18, "engine_init": 70.62},
        ),
        ("Loading weights took 99999999 seconds", {}),
        ("Loading weights took -1 seconds", {}),
        ("It took 3.5 seconds to wake up tags kv_cache.", {}),
    ],
)
def test_each_line(line, expected):
    assert phases(HEAD.format(0, 1) + line) == expected
    assert phases(line) == expected


def test_models_of_a_process_add_up_and_the_slowest_process_counts():
    lines = [
        HEAD.format(0, 10) + "Loading weights took 20.00 seconds\n",
        HEAD.format(1, 11) + "Loading weights took 22.00 seconds\n",
        HEAD.format(0, 10) + "Loading weights took 5.00 seconds\n",  # a drafter
        HEAD.format(0, 10) + "torch.compile takes 10.00 s in total\n",
        HEAD.format(0, 10) + "torch.compile takes 12.00 s in total\n",  # so far
    ]
    assert startup_phases(lines) == {"weights": 25.0, "compile": 12.0}


@pytest.mark.parametrize(
    ("first", "last", "seconds"),
    [
        ("12-31 23:59:58", "01-01 00:00:03", 5.0),
        ("02-28 23:59:58", "02-29 00:00:03", 5.0),
        ("11-27 01:00:00", "11-27 01:00:00", 0.0),
    ],
)
def test_times_of_logs_have_no_year(first, last, seconds):
    up = f"INFO {last} [b.py:2] Starting vLLM server on http://x"
    assert startup_phases([f"INFO {first} [a.py:1] hello", up]) == {"api": seconds}


def test_the_figures_of_a_deployment():
    """All servers have to be up: each phase takes as long as the slowest server's."""
    servers = [{"weights": 3.0, "api": 60.0}, {"weights": 5.0}, {}]
    assert slowest_start(servers) == {"startup_weights_s": 5.0, "startup_api_s": 60.0}
    assert slowest_start([]) == {}
    assert len({phase.metric for phase in PHASES}) == len(PHASES)
