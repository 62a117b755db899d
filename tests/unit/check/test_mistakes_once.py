"""Test that a typical mistake of a person is told once: at its place, with the way out.

A row changes one of the valid case files: old text → new text; the part of the new text that the
only diagnostic has to point at; and words of its message.
"""

# ruff: noqa: RUF001 - characters that look like ASCII are what is tested

import pytest
from test_mistakes import BASES, DEPLOYMENT, SINGLE, position_of

from ci.check.lint import examine

# Two hosts of one data-parallel group.
GROUP = """\
test_name: one group
model: org/model
vllm: 0.32.0
device: cuda
num_nodes: 2
npu_per_node: 8
env_common:
  SERVER_PORT: 8080
deployment:
  - server_cmd: >
      vllm serve org/model
      --port $SERVER_PORT
      --tensor-parallel-size 8
      --data-parallel-size 2
      --data-parallel-size-local 1
      --data-parallel-address $LOCAL_IP
      --data-parallel-rpc-port 13389
  - server_cmd: >
      vllm serve org/model
      --tensor-parallel-size 8
      --data-parallel-size 2
      --data-parallel-size-local 1
      --data-parallel-start-rank 1
      --data-parallel-address $MASTER_IP
      --data-parallel-rpc-port 13389
      --headless
benchmarks:
  perf:
    case_type: performance
    dataset_path: vllm-ascend/GSM8K-in1000-bs100
    request_conf: vllm_api_stream_chat
    dataset_conf: gsm8k/gsm8k_gen_0_shot_cot_str_perf
    num_prompts: 72
    max_out_len: 1500
    batch_size: 18
    baseline: 314.1355
    threshold: 0.97
"""
# Two hosts for prefill and one for decode; two ranks of prefill on each.
RANKS = """\
model: org/model
vllm: 0.32.0
device: cuda
num_nodes: 3
npu_per_node: 8
routing:
  type: disaggregated_prefill
  groups:
    prefiller: [0, 1]
    decoder: [2]
config:
  - {port_start: 7100, dp_rpc_port: 13321, dp_size: 4, dp_size_local: 2, tp_size: 4,
     dp_address: $NODE_0_IP}
  - port_start: 7100
    dp_rpc_port: 13321
    dp_size: 4
    dp_size_local: 2
    dp_rank_start: 2
    tp_size: 4
    dp_address: $NODE_0_IP
  - {port_start: 7100, dp_rpc_port: 13322, dp_size: 4, dp_size_local: 4, tp_size: 2,
     dp_address: $NODE_2_IP}
env_common: &env
  SERVER_PORT: ${PORT}
  CUDA_VISIBLE_DEVICES: ${VISIBLE_DEVICES}
_prefill: &prefill
  - --port
  - $SERVER_PORT
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
  - "16384"
  - --gpu-memory-utilization
  - "0.92"
  - --kv-transfer-config
  - '{"kv_connector": "MooncakeConnector",
    "kv_role": "kv_producer",
    "kv_connector_extra_config": {
      "prefill": {
        "tp_size": 4
      },
      "decode": {"tp_size": 2}
    }}'
_decode: &decode
  - --port
  - $SERVER_PORT
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
  - --kv-transfer-config
  - '{"kv_connector": "MooncakeConnector", "kv_role": "kv_consumer"}'
templates:
  - {envs: *env, server_cmd_template: *prefill}
  - {envs: *env, server_cmd_template: *prefill}
  - {envs: *env, server_cmd_template: *decode}
"""
FILES = BASES | {"G": GROUP, "R": RANKS}
TP = "--tensor-parallel-size"

ROWS = {
    # A flag in two words
    "split flag": ("G", f"{TP} 8", "--tensor -parallel-size 8", "--tensor", f"write {TP}"),
    "split flag of P/D": ("D", f"{TP} 8", "--tensor -parallel-size 8", "--tensor", f"write {TP}"),
    "split flag in one item": (
        "S",
        f"- {TP}\n",
        "- --tensor -parallel-size\n",
        "--tensor -",
        f"write '{TP}'",
    ),
    "split flag in a template": (
        "R",
        f"- {TP}\n",
        "- --tensor -parallel-size\n",
        "--tensor -",
        f"write '{TP}'",
    ),
    "space for a dash": ("G", f"{TP} 8", "--tensor-parallel size 8", "--tensor", f"write {TP}"),
    "space after the dashes": ("G", "--port $S", "-- port $S", "-- port", "write --port"),
    "space after the dashes, in an item": (
        "S",
        "- --max-model-len\n",
        '- "-- max-model-len"\n',
        "-- max",
        "write '--max-model-len'",
    ),
    "colon and value in one item": (
        "S",
        '- --max-model-len\n      - "4096"',
        '- "--max-model-len: 4096"',
        "--max",
        "write '--max-model-len' and '4096'",
    ),
    "colon without quotes": (
        "S",
        '- --max-model-len\n      - "4096"',
        "- --max-model-len: 4096",
        "--max",
        "write '--max-model-len' and '4096' as two items",
    ),
    "nothing after =": (
        "S",
        "- --max-model-len\n",
        "- --max-model-len=\n",
        "--max",
        "nothing after",
    ),
    "no program": ("G", "vllm serve org/model\n      --port", "--port", "--port", "MODEL` first"),
    # Ports
    "port out of range": (
        "G",
        "--port $SERVER_PORT",
        "--port 80800",
        "--port",
        "--port 80800 is not a port; write 1 to 65535",
    ),
    "port out of range in a list": ("S", "- $SERVER_PORT", '- "80800"', "80800", "is not a port"),
    "port out of range for ranks": ("R", "- $SERVER_PORT", '- "80800"', '"80800', "write ${PORT}"),
    # Numbers of hosts and devices
    "fewer nodes than hosts": ("R", "num_nodes: 3", "num_nodes: 2", "2\n", "list 3 hosts"),
    "more nodes than servers": ("G", "num_nodes: 2", "num_nodes: 3", "3\n", "lists 2 servers"),
    "tensor parallel size of all": (
        "G",
        f"{TP} 8",
        f"{TP} 32",
        TP,
        f"needs 32 devices ({TP} 32",
    ),
    "tensor parallel size of P/D": ("D", f"{TP} 8", f"{TP} 64", TP, "needs 64 devices"),
    "tensor parallel size in a list": ("S", '- "2"', '- "64"', '"64', "hosts have 16 at most"),
    "tp_size": ("R", "tp_size: 4\n", "tp_size: 16\n", "tp_size", "a rank of 16 devices fits on no"),
    "tp_size, several ranks": ("R", "tp_size: 4\n", "tp_size: 8\n", "tp_size", "2 ranks of 8"),
    "dp_size_local": (
        "R",
        "dp_size_local: 2\n",
        "dp_size_local: 4\n",
        "dp_size_local",
        "4 ranks of 4 devices need 16",
    ),
    "devices of all": (
        "G",
        "npu_per_node: 8",
        "npu_per_node: 4",
        "npu_per_node",
        "each of the 2 servers needs 8 devices",
    ),
    "devices of all ranks": ("R", "npu_per_node: 8", "npu_per_node: 4", "4\n", "needs 8 devices"),
    # Roles
    "other type of routing": (
        "R",
        "type: disaggregated_prefill",
        "type: generic_dp",
        "generic_dp",
        "`groups` names prefiller and decoder; write disaggregated_prefill",
    ),
    "host in two groups": (
        "R",
        "decoder: [2]",
        "decoder: [1, 2]",
        "1, 2]",
        "already in 'prefiller'",
    ),
    "host in no group": ("R", "decoder: [2]", "decoder: [3]", "3]", "there is no host 3"),
    "misspelt list of hosts": (
        "D",
        "decoder_host_index",
        "decode_host_index",
        "decode_host_index",
        "did you mean 'decoder_host_index'?",
    ),
    "hosts exchanged": (
        "D",
        "prefiller_host_index: [0]\n  decoder_host_index: [1]",
        "prefiller_host_index: [1]\n  decoder_host_index: [0]",
        None,
        "exchange kv_producer and kv_consumer, or the hosts",
    ),
    # Data parallelism
    "size of the head": (
        "G",
        "--data-parallel-size 2",
        "--data-parallel-size 4",
        "--data-parallel-size",
        "server-0 has --data-parallel-size 4, but server-1",
    ),
    "local size": (
        "G",
        "size-local 1",
        "size-local 2",
        "size-local",
        "lower it, or raise --data-parallel-size",
    ),
    "start rank": (
        "G",
        "start-rank 1",
        "start-rank 2",
        "start-rank",
        "with --data-parallel-start-rank 2, server-1 has data-parallel ranks 2",
    ),
    "no start rank": (
        "G",
        "      --data-parallel-start-rank 1\n",
        "",
        None,
        "correct --data-parallel-start-rank",
    ),
    "other port of the head": (
        "G",
        "$MASTER_IP\n      --data-parallel-rpc-port 13389",
        "$MASTER_IP\n      --data-parallel-rpc-port 13390",
        "--data-parallel-rpc-port",
        "is 13390, but server-0 with the same --data-parallel-address has 13389",
    ),
    "size misspelt": (
        "G",
        "--data-parallel-size 2",
        "--data-parallel-sze 2",
        "--data",
        "did you mean --data-parallel-size?",
    ),
    "rank's start": (
        "R",
        "rank_start: 2",
        "rank_start: 1",
        None,
        "rank 1 runs on config[0] already",
    ),
    "size of a group": ("R", "dp_size: 4\n", "dp_size: 6\n", "dp_size", "6, but config[0] of the"),
    # Variables
    "unclosed variable": ("G", "$MASTER_IP", "${MASTER_IP", "${MASTER", "write $MASTER_IP"),
    "two dollars": ("G", "$MASTER_IP", "$$MASTER_IP", "$$MASTER", "write $MASTER_IP"),
    "a batch file's variable": ("G", "$MASTER_IP", "%MASTER_IP%", "%MASTER", "write $MASTER_IP"),
    "unclosed variable of ranks": (
        "R",
        "- ${DP_ADDRESS}",
        "- ${DP_ADDRESS",
        "${DP",
        "write $DP_ADDRESS",
    ),
    "a template engine's variable": ("R", "- ${DP_RANK}", "- {{DP_RANK}}", "{DP", "write ${NAME}"),
    "variable in the environment": ("R", "${PORT}", "${PROT}", None, "did you mean $PORT?"),
    # KV transfer
    "size in several lines": (
        "R",
        '"tp_size": 4\n',
        '"tp_size": 8\n',
        "tp_size",
        "but its servers have --tensor-parallel-size 4",
    ),
    # JSON
    "no comma": (
        "R",
        '"kv_producer",',
        '"kv_producer"',
        '"\n',
        """write a ',' after "kv_producer\"""",
    ),
    "comma before a bracket": ("R", '"tp_size": 4\n', '"tp_size": 4,\n', ",", "remove the comma"),
    "unquoted text": (
        "D",
        '"kv_role": "kv_producer",',
        '"kv_role": kv_producer,',
        None,
        'write "kv_producer", in double quotes',
    ),
    "typographic quotes in JSON": (
        "D",
        '{"kv_connector": "MooncakeConnector", "kv_role": "kv_producer"',
        '{“kv_connector”: "MooncakeConnector", "kv_role": "kv_producer"',
        "“",
        "has a left double quotation mark",
    ),
    "typographic quote around JSON": (
        "D",
        "'{\"kv_c",
        '‘{"kv_c',
        "‘",
        "write ' or \" of a keyboard",
    ),
    "JSON without quotes": (
        "S",
        '- \'{"a": {"b": true}}\'',
        '- {"a": {"b": true}}',
        '{"a"',
        "put JSON in single quotes",
    ),
    "JSON in double quotes": (
        "S",
        '- \'{"a": {"b": true}}\'',
        '- "{"a": {"b": true}}"',
        'a": {',
        "JSON needs single quotes around",
    ),
    "misspelt key of speculation": (
        "G",
        "--port $S",
        """--speculative-config '{"num_speculative_token": 3}'\n      --port $S""",
        "num_speculative_token",
        "did you mean 'num_speculative_tokens'?",
    ),
    "unknown cudagraph_mode": (
        "S",
        '- --additional-config\n      - \'{"a": {"b": true}}\'',
        '- --compilation-config\n      - \'{"cudagraph_mode": "FULL_DECODE"}\'',
        None,
        "cudagraph_mode is 'FULL_DECODE'; did you mean 'FULL_DECODE_ONLY'?",
    ),
    # Names
    "GPU": ("G", "device: cuda", "device: gpu", "gpu", "did you mean 'cuda'?"),
    "NPU": ("R", "device: cuda", "device: npu", "npu", "did you mean 'ascend'?"),
    # YAML
    "comma after an item": ("S", '- "4096"\n', '- "4096",\n', ",\n", "after the value is not YAML"),
    "item without a dash": (
        "S",
        '      - "4096"\n',
        '      "4096"\n',
        '"4096"',
        "a '-' is missing",
    ),
    "merge without a star": ("S", "<<: *bench", "<<: bench", "bench\n", "write `<<: *bench`"),
    "item in a mapping": (
        "G",
        "  SERVER_PORT: 8080\n",
        "  A: 1\n  - SERVER_PORT: 8080\n",
        "- SERVER",
        "remove the '-'",
    ),
    "list of benchmarks": (
        "G",
        "  perf:\n",
        "  - perf:\n",
        "- perf",
        "remove the '-' before its keys",
    ),
    "pinned packages": (
        "D",
        '{transformers: "5.2.0"}',
        "[transformers==5.2.0]",
        "[trans",
        'write {transformers: "5.2.0"}',
    ),
    "brackets of another alphabet": ("R", "[0, 1]", "【0, 1】", "【", "write [0, 1]"),
    "one host without brackets": ("R", "decoder: [2]", "decoder: 2", "2\n", "write [2]"),
    "name with a space": (
        "G",
        "SERVER_PORT: 8080",
        "SERVER PORT: 8080",
        None,
        "names have no space",
    ),
    # Numbers
    "comma after a number": ("G", "num_prompts: 72", "num_prompts: 72,", "72,", "; write 72"),
    "decimal comma": ("G", "threshold: 0.97", "threshold: 0,97", "0,97", "; write 0.97"),
    "percent sign": ("D", "baseline: 95", "baseline: 95%", "95%", "; write 95 without '%'"),
    "decimal comma in a command": ("R", '"0.92"', '"0,92"', '"0,92', "; write 0.92"),
    "thousands in a command": ("R", '"16384"', '"16,384"', '"16,384', "; write 16384"),
    "fraction for a count": ("G", "num_nodes: 2", "num_nodes: 2.0", "2.0", "; write 2"),
    "true in quotes": ("D", "enabled: true", 'enabled: "true"', '"true"', "write true, without"),
    "operator of a book": ("S", 'operator: "<"', 'operator: "≤"', '"≤"', "did you mean '<='?"),
    # Benchmarks
    "tokens per second for accuracy": (
        "G",
        "case_type: performance",
        "case_type: accuracy",
        None,
        "only case_type: performance has token/s",
    ),
    "accuracy as performance": (
        "D",
        "case_type: accuracy",
        "case_type: performance",
        None,
        "does not stream, so AISBench measures no TTFT",
    ),
    "no stream": (
        "G",
        "vllm_api_stream_chat",
        "vllm_api_general_chat",
        "request_conf",
        "write 'vllm_api_stream_chat'",
    ),
    "no stream, completions": (
        "G",
        "vllm_api_stream_chat",
        "vllm_api_general",
        "request_conf",
        "write 'vllm_api_general_stream'",
    ),
    "AISBench's other API": (
        "G",
        "vllm_api_stream_chat",
        "tgi_stream_api_general",
        "request_conf",
        "AISBench's, but not used here",
    ),
    "conf for accuracy": (
        "G",
        "gsm8k_gen_0_shot_cot_str_perf",
        "gsm8k_gen_0_shot_cot_chat_prompt",
        "dataset_conf",
        "is for accuracy: it adds its own text to every prompt",
    ),
    "unknown conf for performance": (
        "D",
        "gsm8k_gen_0_shot_cot_chat_prompt",
        "gsm8k_gen_0_shot_cto_str_perf",
        None,
        "did you mean 'gsm8k/gsm8k_gen_0_shot_cot_str_perf'?",
    ),
    "prompt and answer too long": (
        "G",
        "--port $SERVER_PORT",
        "--port $SERVER_PORT --max-model-len 2048",
        None,
        "answers of 1500 tokens after a prompt of 1000",
    ),
    "almost gsm8k-lite": (
        "D",
        "dataset_path: gsm8k",
        "dataset_path: gsm8k-light",
        "dataset_path",
        "did you mean 'gsm8k-lite'?",
    ),
    "almost another dataset's sample": (
        "D",
        "dataset_path: gsm8k",
        "dataset_path: vllm-ascend/gsm8k-lte",
        "dataset_path",
        "did you mean 'vllm-ascend/gsm8k-lite'?",
    ),
    "misspelt owner": (
        "G",
        "vllm-ascend/",
        "vllm-ascned/",
        "dataset_path",
        "did you mean 'vllm-ascend/GSM8K-in1000-bs100'?",
    ),
    "letters exchanged": (
        "D",
        "dataset_path: gsm8k",
        "dataset_path: gms8k",
        "dataset_path",
        "did you mean 'gsm8k'?",
    ),
    "no number of tokens": ("G", "-in1000-", "-1000-", None, "names no number of input tokens"),
    "dash in a name": ("G", "vllm-ascend", "vllm–ascend", None, "write 'vllm-ascend/GSM8K"),
    "redirection": ("G", "--port $S", "> log --port $S", "> log", "remove the redirection"),
}


@pytest.mark.parametrize("base", [GROUP, RANKS], ids=["group", "ranks"])
def test_the_valid_files_have_no_diagnostics(base):
    assert examine(base.encode(), "c.yaml") == ()


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_a_mistake_is_told_once(row):
    base, old, new, point, words = row
    assert old in FILES[base], old
    text = FILES[base].replace(old, new, 1)
    diagnostics = examine(text.encode(), "c.yaml")
    assert len(diagnostics) == 1, diagnostics
    problem = diagnostics[0].problem
    assert words in problem.message
    begin = FILES[base].index(old)
    if point is None:  # on the line of the change, or a key or command around it
        return
    line, _ = position_of(text, text.rindex("\n", 0, begin), point)
    assert problem.line == line, problem


def test_roles_of_encoders():
    command = "vllm serve org/model --port $SERVER_PORT --ec-transfer-config"
    configs = ['{"ec_connector": "E", "ec_role": "ec_consumer"}'] * 2
    text = GROUP[: GROUP.index("deployment")] + "deployment:\n"
    for config in configs:
        text += f"  - server_cmd: >\n      {command}\n      '{config}'\n"
    [found] = examine(text.encode(), "c.yaml")
    assert (
        "every ec_role is ec_consumer; write ec_producer for the encoder" in found.problem.message
    )
    assert found.problem.line == text[: text.index("ec_role")].count("\n") + 1


def test_command_line_that_every_kv_configuration_contradicts():
    extra = '"kv_connector_extra_config": {"prefill": {"dp_size": 1, "tp_size": 8}}'
    text = DEPLOYMENT.replace('"kv_role": "kv_consumer"', f'"kv_role": "kv_consumer", {extra}')
    assert examine(text.encode(), "c.yaml") == ()
    [found] = examine(text.replace(f"{TP} 8", f"{TP} 2").encode(), "c.yaml")
    assert "but every --kv-transfer-config has tp_size 8 for prefill" in found.problem.message
    assert found.problem.line == text[: text.index(f"{TP} 8")].count("\n") + 1


def test_an_unknown_variable_is_told_beside_an_error_in_a_benchmark():
    text = SINGLE.replace("- $SERVER_PORT", "- $SERVERPORT").replace(
        "gsm8k/gsm8k_gen", "gpqa/gsm8k_gen"
    )
    messages = [item.problem.message for item in examine(text.encode(), "c.yaml")]
    assert len(messages) == len(("the variable", "the dataset_conf"))
    assert any("did you mean $SERVER_PORT?" in message for message in messages)


SWEEP = GROUP.replace("env_common:", "sweep: {tp: [4, 8]}\nenv_common:").replace(
    f"{TP} 8", f"{TP} ${{sweep.tp}}"
)


def test_a_mistake_in_a_sweep_is_told_at_its_line():
    assert examine(SWEEP.encode(), "c.yaml") == ()
    text = SWEEP.replace("${sweep.tp}", "${sweep.tpp}", 1)
    [found] = examine(text.encode(), "c.yaml")
    assert found.problem.line == text[: text.index("${sweep.tpp}")].count("\n") + 1
    [found] = examine(SWEEP.replace("npu_per_node: 8", "npu_per_node: 2").encode(), "c.yaml")
    assert found.problem.key == "npu_per_node"
