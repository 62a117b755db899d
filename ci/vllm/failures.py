"""List the errors in logs of failed vLLM servers, with their causes and remedies. Pure.

From logs of real servers (tests/unit/captured/vllm_logs) and, for devices, from bug reports.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "port_in_use",
    "out_of_memory",
    "unknown_flag",
    "model_not_found",
    "bad_config",
    "import_error",
    "killed",
    "unknown",
]


@dataclass(frozen=True)
class Rule:
    """A pattern of a log's errors, and its cause. `{name}` in `message` is a group of it.

    A message may also use `{model}` and `{port}`, as the server logged them.
    """

    pattern: str
    kind: Kind
    message: str


_LESS = "lower --gpu-memory-utilization or --max-model-len, or use more devices"
FLAG_ADVICE = "correct server_cmd in the case"

OOM_KILLER = "most likely by the host's out-of-memory killer; see `dmesg | grep -i oom`"

# The first rule that matches anywhere in the log wins: causes before their consequences.
RULES = (
    Rule(
        r"error: (?:unrecognized arguments|no such option): (?P<flags>.+)",
        "unknown_flag",
        "this vLLM does not know {flags}; {advice}",
    ),
    Rule(
        r"error: argument (?P<flag>[^\s:]+): (?P<detail>.+)",
        "unknown_flag",
        "this vLLM refuses {flag}: {detail}; " + FLAG_ADVICE,
    ),
    Rule(
        r"error: (?P<detail>(?:the following arguments are required|ambiguous option).+)",
        "unknown_flag",
        "this vLLM refuses its command line: {detail}; " + FLAG_ADVICE,
    ),
    Rule(
        r"[Aa]ddress already in use \(addr='[^']*:(?P<port>\d+)'",
        "port_in_use",
        "port {port} is in use; find the process with `ss -ltnp 'sport = :{port}'`",
    ),
    Rule(
        r"(?:bind on address \('[^']*', |server socket has failed to listen.*? port: )"
        r"(?P<port>\d+).*(?:[Aa]ddress already in use|EADDRINUSE)",
        "port_in_use",
        "port {port} is in use; find the process with `ss -ltnp 'sport = :{port}'`",
    ),
    Rule(
        r"Address already in use|EADDRINUSE",
        "port_in_use",
        "port {port} is in use; find the process with `ss -ltnp`, or choose another --port",
    ),
    Rule(
        r"Repo id must be in the form .*?: '(?P<model>/[^']+)'",
        "model_not_found",
        "there is no model folder {model} on this host; check the path in the case",
    ),
    Rule(
        r"Repo id must be in the form .*?: '(?P<model>[^']+)'",
        "model_not_found",
        "{model} is neither a folder on this host nor a model's name; check the case",
    ),
    Rule(
        r"(?:Invalid repository ID or local directory specified: ?|"
        r"Can't load the configuration of |Repository Not Found for url: \S*?huggingface\.co/|"
        r"OSError: )'?(?P<model>[^\s'\"]+?)'?(?:\.\s*$|/resolve/|\. If you were| is not a local "
        r"folder| does not appear to have a file named)",
        "model_not_found",
        "there is no usable model in {model}; it needs a config.json and weights",
    ),
    Rule(
        r"Cannot find an appropriate cached snapshot folder|LocalEntryNotFoundError|"
        r"OfflineModeIsEnabled|We couldn't connect to 'https://huggingface",
        "model_not_found",
        "model {model} is not on this host and the hub is not reachable (offline?); "
        "download it first and give its folder",
    ),
    Rule(
        r"GatedRepoError|RepositoryNotFoundError|40[134] Client Error",
        "model_not_found",
        "the hub refuses model {model}: check its name, or set a token (HF_TOKEN)",
    ),
    Rule(
        r"(?P<device>CUDA|NPU|HIP|XPU) out of memory\. Tried to allocate (?P<size>[\d.]+ \w+)",
        "out_of_memory",
        "{device} out of memory allocating {size}; " + _LESS,
    ),
    Rule(
        r"(?:CUDA|HIP) error: out of memory|EL0004.*Failed to allocate memory|"
        r"Memory resources are exhausted",
        "out_of_memory",
        "the device is out of memory; find its processes (nvidia-smi, npu-smi info); " + _LESS,
    ),
    Rule(
        r"Free memory on (?:NPU )?device ?(?P<device>[\w:]*) ?\((?P<free>[\d.]+)/(?P<total>[\d.]+)"
        r" GiB\) on startup is less than desired \w+ memory utilization",
        "out_of_memory",
        "only {free} of {total} GiB are free on {device} at start; another process "
        "uses the rest (nvidia-smi, npu-smi info): stop it, or lower --gpu-memory-utilization",
    ),
    Rule(
        r"Available memory on node \d+ \((?P<free>[\d.]+)/[\d.]+ GiB\) on kv cache allocation is "
        r"less than requested memory for kv \((?P<wanted>[\d.]+) GiB\)",
        "out_of_memory",
        "the KV cache needs {wanted} GiB and {free} GiB are free; lower VLLM_CPU_KVCACHE_SPACE",
    ),
    Rule(
        r"No available memory for the cache blocks",
        "out_of_memory",
        "no memory is left for the KV cache; raise --gpu-memory-utilization "
        "(on a CPU VLLM_CPU_KVCACHE_SPACE), or use more devices",
    ),
    Rule(
        r"max seq len \((?P<length>\d+)\), \(?(?P<wanted>[\d.]+) GiB KV cache is needed.*?"
        r"available KV cache memory \((?P<free>[\d.]+) GiB\)",
        "out_of_memory",
        "one request of {length} tokens needs {wanted} GiB of KV cache and {free} GiB are free; "
        "lower --max-model-len, or raise --gpu-memory-utilization",
    ),
    Rule(
        r"DefaultCPUAllocator: (?:can't allocate memory|not enough memory): you tried to allocate "
        r"(?P<size>\d+) bytes",
        "out_of_memory",
        "the host has no memory for {size} more bytes; free some, or lower VLLM_CPU_KVCACHE_SPACE",
    ),
    Rule(
        r"std::bad_alloc|^MemoryError|Cannot allocate memory|failed to map segment|"
        r"unable to mmap \d+ bytes",
        "out_of_memory",
        "the host is out of memory; free some, or raise the server's limit (ulimit -v)",
    ),
    Rule(
        r"User-specified max_model_len \((?P<wanted>\d+)\) is greater than the derived "
        r"max_model_len \(\w+=(?P<limit>\d+)",
        "bad_config",
        "--max-model-len {wanted} is more than the model's {limit}; lower it",
    ),
    Rule(
        r"^(?:[\w.]*\.)?ValidationError: \d+ validation errors? for (?P<config>\w+)\n"
        r"(?:\w+\n)?\s+(?:Value error, |Assertion failed, )?(?P<detail>.+?)(?: \[type=.*)?$",
        "bad_config",
        "{config}: {detail}; " + FLAG_ADVICE,
    ),
    Rule(
        r"(?:^|specification for .*)ModuleNotFoundError: No module named '(?P<module>[^']+)'",
        "import_error",
        "Python module {module} is not installed in this environment; make the environment again",
    ),
    Rule(
        r"^ImportError: (?P<detail>.+)",
        "import_error",
        "an import failed: {detail}; its environment has incompatible packages; make it again",
    ),
    Rule(
        r"(?P<child>Worker proc \S+) died unexpectedly \(exit code: (?:-9|137)\)",
        "out_of_memory",
        "{child} was killed with SIGKILL; " + OOM_KILLER,
    ),
    Rule(
        r"Failed core proc\(s\): \{.*?'(?P<child>\w+)': -9",
        "out_of_memory",
        "{child} was killed with SIGKILL; " + OOM_KILLER,
    ),
)

# Removed flag → the first version without it, from the argument parsers of the wheels from 0.10.1
# on. flags.py has the replacements.
REMOVED_SINCE = {
    "--cuda-graph-sizes": "0.13.0",
    "--disable-async-output-proc": "0.11.0",
    "--disable-log-requests": "0.17.0",
    "--guided-decoding-backend": "0.12.0",
    "--max-seq-len-to-capture": "0.11.0",
    "--num-scheduler-steps": "0.10.1",
    "--rope-scaling": "0.11.1",
    "--swap-space": "0.18.0",
    "--task": "0.13.0",
    "--use-v2-block-manager": "0.10.1",
}
