"""Test that each typical mistake of a person is found at its place, with the way out.

A row changes one of three valid case files: old text → new text; the part of the new text that the
diagnostic has to point at; and words of its message.
"""

# ruff: noqa: RUF001 - characters that look like ASCII are what is tested

import pytest

from ci.catalog import vllm_flags
from ci.check.lint import check_files, examine
from ci.vllm.options import Option

DEPLOYMENT = """\
test_name: prefill and decode
model: org/model
vllm: 0.32.0
device: cuda
num_nodes: 2
npu_per_node: 8
ready_timeout_s: 1200
special_dependencies: {transformers: "5.2.0"}
env_common:
  OMP_NUM_THREADS: 10
  HCCL_OP_EXPANSION_MODE: AIV
disaggregated_prefill:
  enabled: true
  prefiller_host_index: [0]
  decoder_host_index: [1]
deployment:
  - envs:
      SERVER_PORT: 8100
    server_cmd: >-
      vllm serve org/model
      --host 0.0.0.0
      --port $SERVER_PORT
      --tensor-parallel-size 8
      --max-model-len 4096
      --enforce-eager
      --kv-transfer-config
      '{"kv_connector": "MooncakeConnector", "kv_role": "kv_producer",
      "kv_connector_extra_config": {"prefill": {"dp_size": 1, "tp_size": 8},
      "decode": {"dp_size": 2, "tp_size": 4}}}'
  - envs:
      SERVER_PORT: 8200
    server_cmd: >-
      vllm serve org/model
      --port $SERVER_PORT
      --tensor-parallel-size 4
      --data-parallel-size 2
      --max-model-len 4k
      --kv-transfer-config
      '{"kv_connector": "MooncakeConnector", "kv_role": "kv_consumer"}'
benchmarks:
  acc:
    case_type: accuracy
    dataset_path: gsm8k
    request_conf: vllm_api_general_chat
    dataset_conf: gsm8k/gsm8k_gen_0_shot_cot_chat_prompt
    num_prompts: 200
    max_out_len: 1024
    batch_size: 32
    baseline: 95
    threshold: 5
  perf:
    case_type: performance
    dataset_path: gsm8k
    request_conf: vllm_api_stream_chat
    num_prompts: 400
    max_out_len: 1500
    batch_size: 64
    request_rate: 11.2
    baseline: 1800.5
    threshold: 0.97
"""
EXTERNAL = """\
model: org/model
vllm: 0.32.0
device: cuda
num_nodes: 2
npu_per_node: 4
routing:
  type: disaggregated_prefill
  groups: {prefiller: [0], decoder: [1]}
config:
  - node_index: 0
    port_start: 7100
    dp_rpc_port: 12321
    dp_size: 2
    dp_size_local: 2
    tp_size: 2
    dp_address: $NODE_0_IP
  - {port_start: 7100, dp_rpc_port: 12322, dp_address: $NODE_1_IP}
templates:
  - node_index: 0
    envs: &envs
      CUDA_VISIBLE_DEVICES: ${VISIBLE_DEVICES}
      OMP_NUM_THREADS: "1"
    server_cmd_template:
      - --port
      - ${PORT}
      - --data-parallel-size
      - ${DP_SIZE}
      - --data-parallel-rank
      - ${DP_RANK}
      - --data-parallel-address
      - ${DP_ADDRESS}
      - --data-parallel-rpc-port
      - ${DP_RPC_PORT}
      - --tensor-parallel-size
      - ${TP_SIZE}
      - --max-model-len
      - "4096"
      - --kv-transfer-config
      - '{"kv_connector": "NixlConnector", "kv_role": "kv_producer"}'
  - envs: *envs
    server_cmd_template:
      - --port
      - ${PORT}
      - --max-model-len
      - "4096"
      - --kv-transfer-config
      - '{"kv_connector": "NixlConnector", "kv_role": "kv_consumer"}'
benchmarks:
  acc:
    case_type: accuracy
    dataset_path: gsm8k
    dataset_conf: gsm8k/gsm8k_gen_0_shot_cot_chat_prompt
    max_out_len: 1024
    batch_size: 32
    baseline: 95
    threshold: 5
"""
SINGLE = """\
_bench: &bench
  case_type: performance
  dataset_path: gsm8k
  num_prompts: 64
  max_out_len: 256
  batch_size: 16
  baseline: 100
  threshold: 0.97
test_cases:
  - name: cold
    model: org/model
    vllm: 0.32.0
    device: cuda
    envs:
      SERVER_PORT: DEFAULT_PORT
      OMP_NUM_THREADS: "10"
    special_dependencies: {transformers: "5.2.0"}
    server_cmd:
      - --port
      - $SERVER_PORT
      - --tensor-parallel-size
      - "2"
      - --max-model-len
      - "4096"
      - --enforce-eager
      - --additional-config
      - '{"a": {"b": true}}'
    prompts: ["Hello, how are you?", "“你好”是什么意思？"]
    test_content: [completion, benchmark_comparisons]
    benchmark_comparisons_args:
      - {metric: TTFT, baseline: one, target: two, ratio: 0.8, operator: "<"}
    benchmarks:
      one: *bench
      two:
        <<: *bench
        num_prompts: 128
      acc:
        case_type: accuracy
        dataset_path: gsm8k
        dataset_conf: gsm8k/gsm8k_gen_0_shot_cot_chat_prompt
        max_out_len: 1024
        batch_size: 32
        baseline: 95
        threshold: 5
"""
BASES = {"D": DEPLOYMENT, "E": EXTERNAL, "S": SINGLE}
EXTRA = '"kv_role": "kv_consumer", "kv_connector_extra_config": {"decode": {"tp_size": 2}}}'
ONE_WORD = '      - --max-model-len\n      - "4096"\n'
NO_VERSION = "vllm: 0.32.0\n"

MISTAKES = {
    # Flags of `vllm serve`
    "misspelt flag": (
        "D",
        "--enforce-eager",
        "--enforce-eagre",
        "--enforce-eagre",
        "--enforce-eager?",
    ),
    "misspelt flag in a list": (
        "S",
        "- --enforce-eager",
        "- --enforce-eagar",
        "--enforce-eagar",
        "--enforce-eager?",
    ),
    "misspelt flag in a template": (
        "E",
        "- --max-model-len\n",
        "- --max-modle-len\n",
        "--max-modle-len",
        "--max-model-len?",
    ),
    "misspelt flag that each rank needs": (
        "E",
        "- --data-parallel-rank",
        "- --data-parallel-rakn",
        "--data-parallel-rakn",
        "did you mean --data-parallel-rank?",
    ),
    "removed flag": (
        "D",
        "--enforce-eager",
        "--swap-space 4",
        "--swap-space",
        "vLLM removed --swap-space",
    ),
    "renamed flag": (
        "D",
        "--enforce-eager",
        "--guided-decoding-backend x",
        "--guided",
        "use --structured-outputs-config",
    ),
    "switch with a value": (
        "D",
        "--enforce-eager",
        "--enforce-eager true",
        "--enforce-eager",
        "takes no value, but 'true'",
    ),
    "switch with = value": (
        "D",
        "--enforce-eager",
        "--enforce-eager=1",
        "--enforce-eager",
        "takes no value",
    ),
    "flag without its value": (
        "D",
        "--max-model-len 4096",
        "--max-model-len",
        "--max-model-len",
        "has no value",
    ),
    "text for a number": ("S", '- "2"', "- two", None, "expected a whole number, found 'two'"),
    "unknown choice": (
        "D",
        "--enforce-eager",
        "--dtype bf16",
        "--dtype",
        "did you mean 'bfloat16'?",
    ),
    "stray word": (
        "D",
        "--host 0.0.0.0",
        "--host 0.0.0.0 1.1.1.1",
        "--host",
        "'1.1.1.1' after the value of --host",
    ),
    "flag and value in one word": (
        "S",
        ONE_WORD,
        "      - --max-model-len 4096\n",
        "--max-model-len 4096",
        "write '--max-model-len' and '4096'",
    ),
    "flag and value in one item": (
        "E",
        ONE_WORD,
        "      - --max-model-len 4096\n",
        "--max-model-len 4096",
        "write '--max-model-len' and '4096' as two items",
    ),
    "a shell's default": (
        "S",
        "- $SERVER_PORT",
        "- ${SERVER_PORT:-8000}",
        "${SERVER_PORT:-8000}",
        "write ${SERVER_PORT}",
    ),
    "flag without its dashes": (
        "D",
        "--max-model-len 4096",
        "max-model-len 4096",
        "max-model-len",
        "'max-model-len' is not a flag; did you mean --max-model-len?",
    ),
    "flag with three dashes": (
        "S",
        "- --enforce-eager",
        "- ---enforce-eager",
        "---enforce-eager",
        "did you mean --enforce-eager?",
    ),
    "flag with a colon": ("D", "--host 0", "--host: 0", "--host:", "did you mean --host?"),
    "backslash in folded text": (
        "D",
        "--enforce-eager",
        "\\\n      --enforce-eager",
        "--enforce-eager",
        "and remove a '\\' at the end of the line above",
    ),
    "number with a comma": (
        "D",
        "--enforce-eager",
        "--max-num-seqs 16,",
        "--max-num-seqs",
        "expected a whole number, found '16,'",
    ),
    "length with a unit": (
        "E",
        '"4096"',
        '"4096 tokens"',
        None,
        "expected a whole number such as 4096 or 4k, found '4096 tokens'",
    ),
    "percent for a share": (
        "D",
        "--enforce-eager",
        "--gpu-memory-utilization 85",
        "--gpu-memory-utilization",
        "85 is out of range; it has to be 0.01 to 1",
    ),
    "number below its range": (
        "S",
        "- --enforce-eager",
        "- --max-num-seqs\n      - '0'",
        "0'",
        "it has to be at least 1",
    ),
    # Programs and shells
    "a template's variable": (
        "D",
        "--port $SERVER_PORT",
        "--port {{ PORT }}",
        "--port",
        "write $NAME",
    ),
    "another command of vllm": (
        "D",
        "vllm serve",
        "vllm start",
        "vllm",
        "write `vllm serve MODEL`",
    ),
    "misspelt program": ("D", "vllm serve", "vlllm serve", "vlllm", "write `vllm serve MODEL`"),
    "program in the background": ("D", "--host 0.0.0.0", "--host x &", "&", "remove the '&'"),
    "substitution": ("D", "--host 0.0.0.0", "--host $(hostname)", "$(", "write the value"),
    "program before vllm": ("D", "vllm serve", "nohup vllm serve", "nohup", "remove it"),
    "quote of JSON not closed": (
        "D",
        """"tp_size": 4}}}'""",
        """"tp_size": 4}}}""",
        None,
        """close every quote; this begins one: '{"kv_connector""",
    ),
    "port in the environment": (
        "D",
        "SERVER_PORT: 8100",
        "SERVER_PORT: 81000",
        "SERVER_PORT: 81000",
        "--port 81000 is not a port",
    ),
    # KV transfer
    "kv_role swapped": (
        "D",
        '"kv_producer"',
        '"kv_consumer"',
        "kv_consumer",
        "a prefill server; write kv_producer",
    ),
    "kv_role swapped in a template": (
        "E",
        '"kv_consumer"',
        '"kv_producer"',
        "kv_producer",
        "a decode server; write kv_consumer",
    ),
    "kv_role misspelt": (
        "D",
        '"kv_producer"',
        '"kv_prodcer"',
        "kv_prodcer",
        "did you mean kv_producer?",
    ),
    "kv size of prefill": (
        "D",
        '"tp_size": 8',
        '"tp_size": 16',
        None,
        "tp_size 16 for prefill, but its servers have --tensor-parallel-size 8",
    ),
    "kv size of decode": (
        "E",
        '"kv_role": "kv_consumer"}',
        EXTRA,
        "decode",
        "tp_size 2 for decode, but its servers have --tensor-parallel-size 1",
    ),
    "misspelt key of a KV transfer": (
        "E",
        '"kv_role": "kv_producer"',
        '"kv_roll": "kv_producer"',
        "kv_roll",
        "did you mean 'kv_role'?",
    ),
    "kv size as text": (
        "D",
        '"tp_size": 8',
        '"tp_size": "8"',
        None,
        "tp_size '8' for prefill, but its servers have --tensor-parallel-size 8",
    ),
    # Characters
    "en dash": (
        "D",
        "--enforce-eager",
        "–enforce-eager",
        "–enforce-eager",
        "write '--enforce-eager'",
    ),
    "em dash": ("D", "--host 0.0.0.0", "—host 0.0.0.0", "—host", "write '--host'"),
    "en dash in a list": (
        "S",
        "- --enforce-eager",
        "- –-enforce-eager",
        "–-enforce-eager",
        "write '--enforce-eager'",
    ),
    "no-break space": (
        "S",
        ONE_WORD,
        "      - --max-model-len\u00a04096\n",
        "--max-model-len",
        "has a no-break space",
    ),
    "zero width space": (
        "S",
        "--enforce-eager",
        "--enforce-\u200beager",
        "--enforce",
        "write '--enforce-eager'",
    ),
    "full-width digits in a command": ("S", '- "2"', '- "２"', "２", "write '2'"),
    "typographic quotes in an environment": (
        "S",
        'OMP_NUM_THREADS: "10"',
        "OMP_NUM_THREADS: 1 “0”",
        "OMP_NUM_THREADS",
        "write '1 \"0\"'",
    ),
    "typographic quotes": ("D", '"5.2.0"', "“5.2.0”", "“5.2.0”", 'are part of the text; write "'),
    "full-width colon": (
        "D",
        "  num_prompts: 200",
        "  num_prompts： 200",
        "num_prompts",
        "write `num_prompts: 200`",
    ),
    "full-width comma": ("D", "index: [0]", "index: [0，1]", "0，1", "write commas and digits"),
    "full-width number": ("E", "npu_per_node: 4", "npu_per_node: ４", "４", "; write 4"),
    "thousands": ("D", "num_prompts: 400", "num_prompts: 1,000", "1,000", "; write 1000"),
    "full-width thousands": (
        "S",
        "num_prompts: 128",
        "num_prompts: 1，000",
        "1，000",
        "; write 1000",
    ),
    "exponent": ("D", "max_out_len: 1500", "max_out_len: 1e3", "1e3", "; write 1000"),
    "k": ("D", "max_out_len: 1500", "max_out_len: 1k", "1k", "; write 1000"),
    "minutes": (
        "D",
        "ready_timeout_s: 1200",
        "ready_timeout_s: 20m",
        "20m",
        "; write 1200, in seconds",
    ),
    "base 60": ("S", 'THREADS: "10"', "THREADS: 20:00", "20:00", "base 60, as 1200"),
    "base 8": ("D", "THREADS: 10", "THREADS: 0755", "0755", "base 8, as 493"),
    # YAML
    "no colon": (
        "D",
        "  num_prompts: 200",
        "  num_prompts 200",
        "num_prompts",
        "no ':' after its key; write `num_prompts: 200`",
    ),
    "no colon at the top": (
        "D",
        "num_nodes: 2",
        "num_nodes 2",
        "num_nodes",
        "write `num_nodes: 2`",
    ),
    "no colon in the last line of a section": (
        "S",
        "        batch_size: 32",
        "        batch_size 32",
        "batch_size",
        "write `batch_size: 32`",
    ),
    "no colon in the first line of a section": (
        "D",
        "    case_type: accuracy",
        "    case_type accuracy",
        "case_type",
        "write `case_type: accuracy`",
    ),
    "no space": (
        "D",
        "  num_prompts: 200",
        "  num_prompts:200",
        "num_prompts",
        "a space is missing after ':'",
    ),
    "equals sign": (
        "E",
        "npu_per_node: 4",
        "npu_per_node = 4",
        "npu_per_node",
        "has '=' in place of ':'",
    ),
    "undefined alias": ("S", "one: *bench", "one: *bensh", "*bensh", "did you mean *bench?"),
    "undefined merge": ("S", "<<: *bench", "<<: *benhc", "*benhc", "did you mean *bench?"),
    "alias above its anchor": (
        "D",
        "test_name: prefill",
        "a: *x\nb: &x {}\ntest_name: prefill",
        "*x",
        "of line 2; move that up",
    ),
    "tab": ("D", "    num_prompts: 200", "\tnum_prompts: 200", "\t", "a tab here"),
    "indentation": (
        "D",
        "    num_prompts: 200",
        "      num_prompts: 200",
        "num_prompts",
        "indented deeper than the line above",
    ),
    "colon in text": (
        "D",
        "test_name: prefill",
        "test_name: a: prefill",
        "a: prefill",
        "put the whole text in quotes",
    ),
    "unclosed bracket": ("D", "index: [0]", "index: [0", "[0", "']' for this '['"),
    "unclosed quote": ("D", '"5.2.0"}', '"5.2.0}', None, "'}' for this '{'"),
    "percent sign": ("D", "test_name: prefill", "test_name: %a", "%a", "put it in quotes"),
    "no space in a list": (
        "S",
        "- --port\n",
        '-"--port"\n',
        None,
        "space is missing after the '-'",
    ),
    "no space in the middle of a list": (
        "E",
        "- --max-model-len\n",
        "-'--max-model-len'\n",
        "-'",
        "space is missing after the '-'",
    ),
    "quote closed by the next line": (
        "D",
        "test_name: prefill and decode\nmodel: org/model",
        'test_name: "prefill and decode\nmodel: "org/model"',
        '"prefill',
        "this quote is not closed on its line",
    ),
    "conflict of git": (
        "E",
        "num_nodes: 2\n",
        "<<<<<<< HEAD\nnum_nodes: 2\n=======\nnum_nodes: 3\n>>>>>>> b\n",
        "<<<<<<<",
        "a conflict of git is not resolved here",
    ),
    "merge with one sign": ("S", "<<: *bench", "<: *bench", "<", "write `<<: *ANCHOR`"),
    # Names and values
    "unknown variable": (
        "D",
        "--port $SERVER_PORT",
        "--port $SERVR_PORT",
        "$SERVR_PORT",
        "did you mean $SERVER_PORT?",
    ),
    "unknown variable in a template": (
        "E",
        "- ${TP_SIZE}",
        "- ${TP_SIZES}",
        "${TP_SIZES}",
        "did you mean $TP_SIZE?",
    ),
    "unknown variable in a list": (
        "S",
        "- $SERVER_PORT",
        "- $SERVERPORT",
        "$SERVERPORT",
        "did you mean $SERVER_PORT?",
    ),
    "swapped operator": ("S", 'operator: "<"', 'operator: "=<"', '"=<"', "did you mean '<='?"),
    "other swapped operator": (
        "S",
        'operator: "<"',
        'operator: "=>"',
        '"=>"',
        "did you mean '>='?",
    ),
    "unknown key": (
        "E",
        "batch_size: 32",
        "batchsize: 32",
        "batchsize",
        "did you mean 'batch_size'?",
    ),
    "version as a number": ("D", "vllm: 0.32.0", "vllm: 0.32", "0.32", "put it in quotes"),
    "misspelt key that selects the dialect": (
        "S",
        "test_cases:",
        "testcases:",
        "testcases",
        "did you mean 'test_cases'?",
    ),
    "unknown variable for an address": (
        "E",
        "dp_address: $NODE_0_IP",
        "dp_address: $NODE0_IP",
        "$NODE0_IP",
        "did you mean $NODE_0_IP?",
    ),
    "host twice": (
        "D",
        "num_nodes: 2",
        "num_nodes: 2\ncluster_hosts: [npu-1, npu-1]",
        "cluster_hosts",
        "would both run on npu-1",
    ),
    "address out of range": (
        "D",
        "num_nodes: 2",
        "num_nodes: 2\ncluster_hosts: [10.0.0.300, npu-1]",
        "10.0.0.300",
        "'10.0.0.300' is not an IPv4 address",
    ),
    "yes in an environment": ("S", '"10"', "yes", "yes", "reads 'yes' as true; put it in quotes"),
    "version of a package as a number": (
        "D",
        '"5.2.0"',
        "5.10",
        "5.10",
        "reads '5.10' as 5.1; put it in quotes",
    ),
    # Benchmarks
    "accuracy over 100": ("D", "baseline: 95", "baseline: 9500", "9500", "is in percent"),
    "accuracy over 100, external_dp": (
        "E",
        "baseline: 95",
        "baseline: 950",
        "950",
        "is in percent",
    ),
    "accuracy over 100, single_node": (
        "S",
        "baseline: 95",
        "baseline: 100.5",
        "100.5",
        "is in percent",
    ),
    "performance conf for accuracy": (
        "D",
        "cot_chat_prompt",
        "cot_str_perf",
        None,
        "write 'gsm8k/gsm8k_gen_0_shot_cot_str'",
    ),
    "conf in another folder": (
        "S",
        "gsm8k/gsm8k_gen",
        "gpqa/gsm8k_gen",
        None,
        "write 'gsm8k/gsm8k_gen_0_shot_cot_chat_prompt'",
    ),
    "answers over --max-model-len": (
        "S",
        "max_out_len: 1024",
        "max_out_len: 8192",
        "max_out_len",
        "has --max-model-len 4096",
    ),
    "answers over 4k": (
        "D",
        "max_out_len: 1024",
        "max_out_len: 4050",
        "max_out_len",
        "has --max-model-len 4000",
    ),
}
CONSUMER = """'{"kv_connector": "MooncakeConnector", "kv_role": "kv_consumer"}'\n"""
WARNINGS = {
    "misspelt model": (
        "D",
        "vllm serve org/model",
        "vllm serve org/modle",
        "org/modle",
        "but the case has model: 'org/model'",
    ),
    "cache of the same prompt without a router": (
        "D",
        f"{CONSUMER}benchmarks:\n  acc:\n",
        CONSUMER.replace("Mooncake", "Example") + "benchmarks:\n  acc:\n    without_router: true\n",
        "without_router",
        "finds no damaged KV cache with ExampleConnector: server-1 takes the KV cache",
    ),
    "misspelt connector": (
        "E",
        '"NixlConnector"',
        '"NixlConector"',
        "NixlConector",
        "did you mean 'NixlConnector'?",
    ),
    "dataset_conf of another dataset": (
        "D",
        "dataset_path: gsm8k",
        "dataset_path: vllm-ascend/aime2025",
        "dataset_path",
        "a dataset of aime2025, but dataset_conf reads one of gsm8k",
    ),
    "misspelt dataset": (
        "S",
        "dataset_path: gsm8k",
        "dataset_path: gms8k-lite",
        None,
        "no dataset is called 'gms8k'; did you mean 'gsm8k'?",
    ),
    "share for a percentage": (
        "D",
        "baseline: 95",
        "baseline: 0.95",
        "baseline",
        "write 95 if you",
    ),
    "factor for percentage points": (
        "E",
        "threshold: 5",
        "threshold: 0.95",
        "threshold",
        "write 4.75 if you mean 0.95 times",
    ),
    "packages without vllm": (
        "S",
        f"    {NO_VERSION}",
        "",
        "special_dependencies",
        "not installed, because",
    ),
    "packages without vllm, deployment": (
        "D",
        NO_VERSION,
        "",
        "special_dependencies",
        "not installed, because",
    ),
    "packages without vllm, external_dp": (
        "E",
        NO_VERSION,
        "special_dependencies: {a: '1'}\n",
        "special_dependencies",
        "not installed, because",
    ),
    "overridden address": (
        "D",
        "HCCL_OP_EXPANSION_MODE: AIV",
        "HCCL_IF_IP: 10.0.0.1",
        "HCCL_IF_IP",
        "sets HCCL_IF_IP to the host's own $LOCAL_IP",
    ),
    "overridden interface": (
        "S",
        'OMP_NUM_THREADS: "10"',
        "GLOO_SOCKET_IFNAME: eth0",
        "GLOO_SOCKET_IFNAME",
        "host's own $NIC_NAME",
    ),
}


def position_of(text, begin, point):
    at = text.index(point, begin)
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)


def changed(base, old, new):
    assert old in BASES[base], old
    return BASES[base].replace(old, new, 1)


@pytest.mark.parametrize("base", BASES.values(), ids=BASES)
def test_the_valid_files_have_no_diagnostics(base):
    assert examine(base.encode(), "c.yaml") == ()


def check(row, severity):
    base, old, new, point, words = row
    text = changed(base, old, new)
    found = [item for item in examine(text.encode(), "c.yaml") if words in item.problem.message]
    assert found, examine(text.encode(), "c.yaml")
    assert found[0].severity == severity
    if point is not None:
        place = found[0].problem.line, found[0].problem.column
        assert place == position_of(text, BASES[base].index(old) if new else 0, point)


@pytest.mark.parametrize("row", MISTAKES.values(), ids=MISTAKES)
def test_an_error_is_found_at_its_place(row):
    check(row, "error")


ONE_MESSAGE = (
    *(
        "a template's variable",
        "flag without its dashes",
        "flag with a colon",
        "backslash in folded text",
    ),
    *("unknown variable for an address", "misspelt key that selects the dialect"),
    *("text for a number", "kv size of prefill", "unknown variable in a template"),
)


@pytest.mark.parametrize("name", ONE_MESSAGE)
def test_one_mistake_gives_one_message(name):
    base, old, new, _, words = MISTAKES[name]
    [found] = examine(changed(base, old, new).encode(), "c.yaml")
    assert words in found.problem.message


@pytest.mark.parametrize("row", WARNINGS.values(), ids=WARNINGS)
def test_a_warning_is_found_at_its_place(row):
    check(row, "warning")


SOUND = {
    "abbreviation": ("D", "--enforce-eager", "--enforce-eag"),
    "underscores": ("D", "--enforce-eager", "--no_enforce_eager"),
    "hidden spelling": ("D", "--enforce-eager", "--no-enable-prefix-caching"),
    "optimization level": ("D", "--enforce-eager", "-O3"),
    "part of a JSON value": ("D", "--enforce-eager", "--hf-overrides.text_config.a 1"),
    "list": ("D", "--enforce-eager", "--served-model-name a b --cudagraph-capture-sizes 1 2 4"),
    "negative number": ("D", "--enforce-eager", "--max-logprobs -1"),
    "own address": ("D", "HCCL_OP_EXPANSION_MODE: AIV", "HCCL_IF_IP: $LOCAL_IP"),
    "full-width text in JSON": ("S", '"b": true', '"b": "（“"'),
    "model after the flags": (
        "D",
        "serve org/model\n",
        "serve --enable-sleep-mode\n      org/model\n",
    ),
}


@pytest.mark.parametrize("row", SOUND.values(), ids=SOUND)
def test_what_vllm_accepts_is_accepted(row):
    assert examine(changed(*row).encode(), "c.yaml") == ()


@pytest.mark.parametrize(
    ("device", "version", "severity"),
    [
        ("ascend", "0.18.0", "warning"),
        ("cuda", "0.32.0", "error"),
        ("cuda", None, "warning"),
    ],
)
def test_a_flag_that_a_plugin_may_add_is_an_error_only_without_plugins(device, version, severity):
    text = DEPLOYMENT.replace("--enforce-eager", "--npu-zzz 4").replace("cuda", device)
    text = text.replace("vllm: 0.32.0\n", f"vllm: {version}\n" if version else "")
    text = text.replace('special_dependencies: {transformers: "5.2.0"}\n', "")
    [found] = examine(text.encode(), "c.yaml")
    assert (found.severity, found.rule) == (severity, "unknown-flag")
    assert ("if a plugin" in found.problem.message) == (severity == "warning")


@pytest.mark.parametrize(
    ("version", "flag", "words"),
    [
        ("0.30.0", "--enable-hc-sp", "--enable-hc-sp is new in vLLM 0.32.0; and the case has"),
        ("0.32.0", "--enable-mamba-fine-grained-prefix-cache", "was last in vLLM 0.30.0, and the"),
        (None, "--enable-mamba-fine-grained-prefix-cache", "newer versions exit at once with it"),
    ],
)
def test_a_flag_of_another_version(version, flag, words):
    text = DEPLOYMENT.replace("--enforce-eager", flag)
    text = text.replace(
        "vllm: 0.32.0", f"vllm: {version}" if version else "special_dependencies: {}"
    )
    text = text.replace('special_dependencies: {transformers: "5.2.0"}\n', "")
    [found] = examine(text.encode(), "c.yaml")
    assert words.replace(";", ",") in found.problem.message
    assert found.severity == ("error" if version else "warning")


def test_copies_are_found_in_a_file_and_between_files(tmp_path):
    again = SINGLE[SINGLE.index("  - name: cold") :].replace("name: cold", "name: warm")
    (tmp_path / "a.yaml").write_text(SINGLE + again, encoding="utf-8")
    (tmp_path / "b.yaml").write_text(DEPLOYMENT, encoding="utf-8")
    (tmp_path / "c.yaml").write_text(DEPLOYMENT.replace("prefill and", "x"), encoding="utf-8")
    lines = check_files([str(tmp_path)])[0].splitlines()
    first = SINGLE.count("\n") + 1
    assert lines[0].startswith(f"{tmp_path}/a.yaml:{first}:5: warning: test_cases[1]: is word for")
    assert f"the case {tmp_path}/a.yaml#cold; change it" in lines[0]
    assert (
        f"{tmp_path}/c.yaml:1:1: warning: is word for word the case {tmp_path}/b.yaml" in lines[1]
    )
    assert lines[2:] == ["3 files: 0 errors, 2 warnings"]


def test_the_flags_of_every_version():
    versions = vllm_flags.by_version()
    assert next(iter(versions)) == "0.33.0"
    assert len(versions) == 11
    for version, options in versions.items():
        assert options["--tensor-parallel-size"] == options["-tp"] == Option(1, 1, "int"), version
        assert options["--enforce-eager"].most == 0
        assert "--no-enable-prefix-caching" in options
        assert "bfloat16" in options["--dtype"].choices
    assert "--swap-space" in versions["0.13.0"]
    assert "--swap-space" not in versions["0.18.0"]
